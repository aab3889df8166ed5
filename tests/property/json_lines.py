"""Events as producers may write them: any order of keys, white space, escapes, numbers; and broken ones."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import strategies as st

SPACE = st.sampled_from(["", "", "", " ", "\t", " \r "])
NUMBERS = st.one_of(
    st.integers(-12, 12).map(str),
    st.sampled_from(["-0", "0.0", "-0.0", "1e0", "10e-1", "0.1", "2.50", "-1.25E+2", "1234567", "12345678"]),
    st.sampled_from(
        ["1e400", "-1e400", "1e-400", "9007199254740993", "1" * 30, "0.8444218515250481", "1234567.1234567"]
    ),
    st.floats(allow_nan=False, allow_infinity=False).map(repr),
    st.decimals(-9999, 9999, places=3).map(str),
)
NO_NUMBERS = st.sampled_from(["01", "1.", ".5", "-", "+1", "1e", "0x1", "NaN", "1_0", "--1", "00", "1.e1"])
# What Python's Unicode and ours know alike: no character of a later version, none that got a capital in one.
CHARACTERS = st.characters(exclude_categories=["Cs", "Cn"], exclude_characters="\u019b\u0264")
TEXTS = st.one_of(
    st.sampled_from(["", "a", "a1b2c3d4", "12345678", "exactly sixteen!", "one more than 16.", '"\\\x7f']),
    st.text(CHARACTERS, max_size=20),
)
ESCAPED = st.sampled_from(
    [r"\u0041", r"\ud83d\ude00", r"\n\t\/\b\f\r", r"\\\"", r"x\u00e9x", r"\ud800", r"\udc00x", r"\x", "\\"]
)


@st.composite
def text_literals(draw: st.DrawFn) -> str:
    text = draw(TEXTS)
    literal = json.dumps(text, ensure_ascii=draw(st.booleans()))
    return literal[:-1] + draw(ESCAPED) + '"' if draw(st.integers(0, 9)) == 0 else literal


def values(depth: int = 3) -> st.SearchStrategy[str]:
    words = st.sampled_from(["null", "true", "false"])
    scalars = [text_literals(), text_literals(), NUMBERS, NUMBERS, words]
    if depth == 0:
        return st.one_of(*scalars)
    inner = values(depth - 1)
    arrays = st.lists(inner, max_size=3).map(lambda items: "[" + ", ".join(items) + "]")
    return st.one_of(*scalars, arrays, objects(st.tuples(text_literals(), inner)))


@st.composite
def objects(draw: st.DrawFn, member: st.SearchStrategy[tuple[str, str]]) -> str:
    """An object of up to five members, each with white space anywhere it may be."""
    members = draw(st.lists(member, max_size=5))
    spaced = [f"{draw(SPACE)}{key}{draw(SPACE)}:{draw(SPACE)}{value}{draw(SPACE)}" for key, value in members]
    return "{" + (",".join(spaced) or draw(SPACE)) + "}"


@st.composite
def events(draw: st.DrawFn, fields: dict[str, st.SearchStrategy[str]]) -> bytes:
    """An event of these fields, or most of them; compact or not, in any order, some twice."""
    names = draw(st.permutations(list(fields))) if draw(st.booleans()) else list(fields)
    names = [name for name in names if draw(st.integers(0, 7)) > 0]
    names += draw(st.lists(st.sampled_from(list(fields)), max_size=2)) if draw(st.integers(0, 3)) == 0 else []
    space = SPACE if draw(st.booleans()) else st.just("")
    members = []
    for name in names:
        key = f"\\u{ord(name[0]):04x}{name[1:]}" if draw(st.integers(0, 15)) == 0 else name
        value = draw(fields[name] if draw(st.integers(0, 7)) else st.one_of(values(), NO_NUMBERS))
        members.append(f'{draw(space)}"{key}"{draw(space)}:{draw(space)}{value}{draw(space)}')
    return ("{" + ",".join(members) + "}" + draw(space)).encode()


@st.composite
def broken(draw: st.DrawFn, event: st.SearchStrategy[bytes]) -> bytes:
    """An event with a few bytes changed, put in or taken out; no line feed, which would make two."""
    line = bytearray(draw(event))
    for _ in range(draw(st.integers(1, 3))):
        at = draw(st.integers(0, len(line)))
        put = draw(st.binary(max_size=2) | st.sampled_from([b'"', b"\\", b"}", b",", b"{", b"\xc3", b"\x00"]))
        line[at : at + draw(st.integers(0, 2))] = put
    return bytes(line).replace(b"\n", b" ")


def depth(value: Any) -> int:
    """Return how many objects and arrays are inside one another."""
    if isinstance(value, dict):
        return 1 + max(map(depth, value.values()), default=0)
    if isinstance(value, list):
        return 1 + max(map(depth, value), default=0)
    return 0
