from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream_ml.streams.packing import PackedRecord, pack


def lines(*baskets: object) -> list[dict[str, Any]]:
    return [{"basket": basket, "line": number} for number, basket in enumerate(baskets)]


def bodies(records: Sequence[PackedRecord]) -> list[list[int]]:
    return [[orjson.loads(line)["line"] for line in record.value.split(b"\n")] for record in records]


def test_an_event_is_a_record_unless_a_field_packs_them() -> None:
    records = list(pack(lines("a", "a", "b")))
    assert bodies(records) == [[0], [1], [2]]
    assert [record.key for record in records] == [None, None, None]


def test_consecutive_events_with_one_value_share_a_record_and_its_key() -> None:
    records = list(pack(lines("a", "a", "b", "a"), record_by="basket"))
    assert bodies(records) == [[0, 1], [2], [3]]
    assert [record.key for record in records] == [b"a", b"b", b"a"]
    assert [record.events for record in records] == [2, 1, 1]


def test_a_key_may_be_another_field() -> None:
    records = list(pack(lines("a", "a"), record_by="basket", key="line"))
    assert [record.key for record in records] == [b"0"]


@pytest.mark.parametrize(
    ("value", "key"), [(7, b"7"), ("é", "é".encode()), (1.5, b"1.5"), (None, None), (True, b"true")]
)
def test_a_key_is_the_value_as_text(value: object, key: bytes | None) -> None:
    (record,) = pack([{"id": value}], key="id")
    assert record.key == key


def test_events_without_the_field_share_a_record_with_nobody() -> None:
    assert bodies(list(pack(lines(None, None, "a", "a"), record_by="basket"))) == [[0], [1], [2, 3]]


def test_a_line_of_a_file_is_sent_as_it_is() -> None:
    (record,) = pack([b'{ "a":1.0e0,  "a":2 }'], key="a")
    assert record.value == b'{ "a":1.0e0,  "a":2 }'


@pytest.mark.parametrize("line", [b"{", b"[1]", b"nonsense", b'"text"', b"\xff"])
def test_a_broken_line_is_kept_alone_and_counted(line: bytes) -> None:
    records = list(pack([b'{"b":1}', line, line, b'{"b":1}'], record_by="b"))
    assert [(record.value, record.broken, record.key) for record in records] == [
        (b'{"b":1}', 0, b"1"),
        (line, 1, None),
        (line, 1, None),
        (b'{"b":1}', 0, b"1"),
    ]


def test_a_record_holds_no_more_events_than_allowed() -> None:
    records = list(pack(lines(*"aaaaabb"), record_by="basket", max_events=2))
    assert bodies(records) == [[0, 1], [2, 3], [4], [5, 6]]


def test_a_record_says_whether_it_holds_the_rest_of_the_one_before() -> None:
    records = list(pack(lines(*"aaaaabbc", None, None), record_by="basket", max_events=2))
    assert [record.rest for record in records] == [False, True, True] + [False] * 4
    by_bytes = list(pack(lines(*"aab"), record_by="basket", max_bytes=1))
    assert [record.rest for record in by_bytes] == [False, True, False]
    assert not any(record.rest for record in pack(lines(*"aaa"), max_events=2)), "nothing belongs together"


@given(
    baskets=st.lists(st.integers(0, 2), max_size=60),
    max_bytes=st.integers(1, 200),
    max_events=st.integers(1, 9),
)
def test_nothing_is_lost_or_moved_whatever_the_limits(
    baskets: list[int], max_bytes: int, max_events: int
) -> None:
    events = lines(*baskets)
    records = list(pack(events, record_by="basket", max_bytes=max_bytes, max_events=max_events))
    assert [line for record in bodies(records) for line in record] == list(range(len(events)))
    assert all(record.events <= max_events for record in records)
    assert all(record.events == 1 or len(record.value) <= max_bytes for record in records)
    assert all(
        record.key == b"%d" % baskets[body[0]] for record, body in zip(records, bodies(records), strict=True)
    )


@given(st.lists(st.integers(0, 2), max_size=60))
def test_without_limits_a_run_is_a_record(baskets: list[int]) -> None:
    records = list(pack(lines(*baskets), record_by="basket"))
    assert [record.events for record in records] == [len(list(run)) for _, run in groupby(baskets)]
