"""How a mistake is shown: file, line, column, carets under what is meant, and a hint."""

import pytest

from stream_ml.errors import ConfigError
from stream_ml.features.problems import ModelFileError, Problems, Span, did_you_mean

TEXT = "first\n\tsecond = é x\r\nthird"


def shown(start: int, end: int, hint: str = "") -> str:
    problems = Problems("m.toml", TEXT)
    problems.add(Span(start, end), "wrong", hint)
    with pytest.raises(ConfigError) as caught:
        problems.raise_if_any()
    return str(caught.value)


@pytest.mark.parametrize(
    ("place", "expected"),
    [
        ("first", "m.toml:1:1: wrong\n 1 | first\n   | ^^^^^"),
        ("é x", "m.toml:2:11: wrong\n 2 | \tsecond = é x\n   | \t         ^^^"),
        ("third", "m.toml:3:1: wrong\n 3 | third\n   | ^^^^^"),
    ],
)
def test_the_carets_stand_under_what_is_meant(place: str, expected: str) -> None:
    start = TEXT.index(place)
    assert shown(start, start + len(place)) == expected


def test_the_carets_stay_on_their_line_and_are_never_none() -> None:
    assert shown(0, len(TEXT)).endswith("| ^^^^^")
    assert shown(2, 2).endswith("|   ^")
    assert shown(len(TEXT), len(TEXT) + 5).endswith("|      ^")


def test_a_hint_stands_below() -> None:
    assert shown(0, 5, "do this").endswith("\n   = hint: do this")


def test_mistakes_are_told_in_the_order_of_the_file() -> None:
    problems = Problems("m.toml", TEXT)
    problems.raise_if_any()
    for start in (7, 20, 0):
        problems.add(Span(start, start + 1), f"at {start}")
    with pytest.raises(ModelFileError) as caught:
        problems.raise_if_any()
    assert [problem.message for problem in caught.value.problems] == ["at 0", "at 7", "at 20"]
    assert str(caught.value).count("m.toml:") == 3


def test_the_nearest_word_is_suggested_and_all_where_none_is_near() -> None:
    assert did_you_mean("Buckt", ["bucket", "log_bucket"]) == "did you mean 'bucket'?"
    assert did_you_mean("zzz", ["b", "a"]) == "one of: a, b"
