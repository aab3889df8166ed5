"""Every key and value of a TOML text is found where it stands, and every character of its strings."""

import tomllib
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from stream_ml.features.toml_positions import Position, positions

TEXT = '''\
# name = "no"
name = "a # not a comment"   # one = "two"
"odd key" = 'li"teral'
a . "b.c" = "x"
numbers = [1, "]", # ] in a comment
  2]
inline = { x = "}" } # after
date = 2026-01-02 03:04:05
[ features ]
long = """
first \\
   second "quoted" \\u00e9\\t."""
['tab.le'.sub]
last = """a"b""""
[[many]]
z = 1'''


def spanned(place: Position) -> str:
    return TEXT[place.value.start : place.value.end]


@pytest.mark.parametrize(
    ("path", "key", "value"),
    [
        (("name",), "name", '"a # not a comment"'),
        (("odd key",), '"odd key"', "'li\"teral'"),
        (("a", "b.c"), 'a . "b.c"', '"x"'),
        (("numbers",), "numbers", '[1, "]", # ] in a comment\n  2]'),
        (("inline",), "inline", '{ x = "}" }'),
        (("date",), "date", "2026-01-02 03:04:05"),
        (("features",), "[ features ]", "[ features ]"),
        (("tab.le", "sub", "last"), "last", '"""a"b""""'),
        (("many", "z"), "z", "1"),
    ],
)
def test_a_key_and_its_value_are_found_where_they_stand(path: tuple[str, ...], key: str, value: str) -> None:
    place = positions(TEXT)[path]
    assert TEXT[place.key.start : place.key.end] == key
    assert spanned(place) == value


def at(table: dict[str, Any], path: tuple[str, ...]) -> Any:
    return at(table[path[0]], path[1:]) if path else table


@pytest.mark.parametrize("path", [("name",), ("odd key",), ("features", "long"), ("tab.le", "sub", "last")])
def test_every_character_of_a_string_has_its_place(path: tuple[str, ...]) -> None:
    value = at(tomllib.loads(TEXT), path)
    starts = positions(TEXT)[path].value_starts
    assert starts is not None
    assert len(starts) == len(value) + 1
    for character, start in zip(value, starts, strict=False):
        escaped = {"é": "\\", "\t": "\\"}
        assert TEXT[start] == escaped.get(character, character)


def test_a_place_inside_a_string_is_that_of_its_characters() -> None:
    place = positions(TEXT)["features", "long"]
    value = tomllib.loads(TEXT)["features"]["long"]
    start = value.index("quoted")
    inside = place.inside(start, start + len("quoted"))
    assert TEXT[inside.start : inside.end] == "quoted"
    assert positions(TEXT)["date",].inside(3, 4) == positions(TEXT)["date",].value


def basic(text: str) -> str:
    escapes = {'"': '\\"', "\\": "\\\\", "\n": "\\n", "\t": "\\t"}
    return '"' + "".join(escapes.get(c, c if c.isprintable() else f"\\U{ord(c):08X}") for c in text) + '"'


@given(st.lists(st.text(st.characters(exclude_categories=["Cs"])), max_size=4), st.booleans())
@example(['"', "#\n", "é\x00\U0001f600"], True)
def test_any_strings_are_mapped_character_by_character(texts: list[str], crlf: bool) -> None:
    lines = [f"k{number} = {basic(text)} # {number}" for number, text in enumerate(texts)]
    document = ("\r\n" if crlf else "\n").join(lines)
    values, places = tomllib.loads(document), positions(document)
    assert set(places) == {(key,) for key in values}
    for key, value in values.items():
        starts = places[key,].value_starts
        assert starts is not None
        assert len(starts) == len(value) + 1
        for character, start in zip(value, starts, strict=False):
            assert document[start] in (character, "\\")
