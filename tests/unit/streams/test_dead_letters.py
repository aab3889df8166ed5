from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream_ml.errors import InvalidRecord
from stream_ml.streams.dead_letters import ENVELOPE_BYTES, MAX_DETAIL_BYTES, DeadLetter, read_dead_letter

names = st.from_regex(r"[a-zA-Z0-9._-]{1,40}", fullmatch=True)
letters = st.builds(
    DeadLetter,
    event=st.binary(),
    reason=names,
    detail=st.text(max_size=200, alphabet=st.characters(exclude_categories=["Cs"])),
    model=names,
    variant=names,
    topic=names,
    partition=st.integers(0, 2**31 - 1),
    offset=st.integers(0, 2**63 - 1),
    index=st.integers(0, 2**32 - 1),
    cut_from_bytes=st.none() | st.integers(0, 2**31 - 1),
)
LETTER = DeadLetter(b"{", "invalid_json", "at 1", "coupon", "v1", "events", 3, 17, 2)


@given(letters)
def test_what_is_read_is_what_was_written(letter: DeadLetter) -> None:
    assert read_dead_letter(letter.key(), letter.event, letter.headers()) == letter


def test_the_key_names_the_event_and_the_variant() -> None:
    assert LETTER.key() == b"v1/events/3/17/2"
    assert replace(LETTER, detail="otherwise").key() == LETTER.key()


def test_a_header_says_the_format() -> None:
    assert LETTER.headers()["format"] == b"1"


def test_a_long_detail_is_cut_and_still_readable() -> None:
    letter = replace(LETTER, detail="é" * 5000)
    read = read_dead_letter(letter.key(), letter.event, letter.headers())
    assert read.detail == "é" * (MAX_DETAIL_BYTES // 2)


def test_the_envelope_is_smaller_than_is_reckoned_with() -> None:
    letter = DeadLetter(b"", "r" * 40, "é" * 5000, "m" * 100, "v" * 20, "t" * 249, 2**31, 2**63, 2**32, 2**31)
    headers = letter.headers()
    assert len(letter.key()) + sum(len(name) + len(headers[name]) + 10 for name in headers) < ENVELOPE_BYTES


@pytest.mark.parametrize("size", [0, 5903, 5904])
def test_an_event_that_fits_is_not_cut(size: int) -> None:
    letter = replace(LETTER, event=b"x" * size)
    assert letter.within(5904 + ENVELOPE_BYTES) == letter


@pytest.mark.parametrize(
    ("key", "value", "changes"),
    [
        (b"v1/events/3/17", b"{", {}),
        (b"v1/events/3/17/2/", b"{", {}),
        (b"v1/events/x/17/2", b"{", {}),
        (None, b"{", {}),
        (LETTER.key(), None, {}),
        (LETTER.key(), b"{", {"format": b"2"}),
        (LETTER.key(), b"{", {"reason": None}),
    ],
)
def test_a_record_that_is_no_dead_letter_is_refused(
    key: bytes | None, value: bytes | None, changes: dict[str, bytes | None]
) -> None:
    headers = {name: text for name, text in {**LETTER.headers(), **changes}.items() if text is not None}
    with pytest.raises(InvalidRecord, match="not a dead letter"):
        read_dead_letter(key, value, headers)
