"""The newest event of a topic."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from stream_ml.console.newest import newest_event
from stream_ml.streams.log import Fetch, Reader
from stream_ml.streams.memory import MemoryLog


@pytest.fixture
def log() -> MemoryLog:
    clock: Iterator[float] = iter(range(1_000, 2_000))
    log = MemoryLog(now=lambda: next(clock))
    log.ensure_topic("events", 3)
    return log


def send(log: MemoryLog, partition: int, *values: bytes | None) -> None:
    with log.writer() as writer:
        for value in values:
            writer.send("events", value, partition=partition)


def test_it_is_the_last_line_of_the_record_that_came_last(log: MemoryLog) -> None:
    send(log, 2, b'{"id": 1}')
    send(log, 0, b'{"id": 2}', b'{"id": 3}\n{"id": 4}\n')
    assert newest_event(log, "events") == '{"id": 4}'
    send(log, 2, b'{"id": 5}')
    assert newest_event(log, "events") == '{"id": 5}'


def test_tombstones_and_blank_records_are_none(log: MemoryLog) -> None:
    send(log, 1, b'{"id": 1}', None, b" \n", b"")
    assert newest_event(log, "events") == '{"id": 1}'


def test_what_is_no_text_is_shown_as_far_as_it_is(log: MemoryLog) -> None:
    send(log, 1, b'{"id": "\xff"}')
    assert newest_event(log, "events") == '{"id": "\ufffd"}'


class Hesitant:
    """A reader to which one partition answers after the other, the highest first."""

    def __init__(self, reader: Reader) -> None:
        self._reader, self._kept = reader, list[Fetch]()

    def poll(self, max_records: int, timeout_seconds: float) -> list[Fetch]:
        self._kept += self._reader.poll(max_records, 0.0)
        return [self._kept.pop()] if self._kept else []

    def __getattr__(self, name: str) -> object:
        return getattr(self._reader, name)


def test_the_partition_that_answers_last_may_have_it(log: MemoryLog, monkeypatch: pytest.MonkeyPatch) -> None:
    send(log, 2, b'{"id": 1}')
    send(log, 0, b'{"id": 2}')
    reader = log.reader
    monkeypatch.setattr(log, "reader", lambda topic, starts: Hesitant(reader(topic, starts)))
    assert newest_event(log, "events") == '{"id": 2}'


def test_offsets_that_are_no_records_are_not_waited_for(log: MemoryLog) -> None:
    send(log, 0, b'{"id": 1}')
    log.skip_offsets("events", 0, 1)
    assert newest_event(log, "events") == '{"id": 1}'


def test_without_a_topic_or_events_there_is_none(log: MemoryLog) -> None:
    assert newest_event(log, "events") is None
    assert newest_event(log, "others") is None
