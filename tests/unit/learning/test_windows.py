"""A duplicate window that is read back is the one that a learner has; retention may be at work meanwhile."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest

from stream_ml.learning import windows
from stream_ml.learning.windows import WindowReader
from stream_ml.streams.log import Fetch, LogTruncated
from stream_ml.streams.memory import MemoryLog, MemoryReader


class Known:
    """Remembers what it is handed; a record says how many of its events have an id."""

    def __init__(self) -> None:
        self.values: list[bytes | None] = []

    def remember(self, values: Sequence[bytes | None], _times: Sequence[int]) -> int:
        self.values += values
        return sum(int(value or b"0") for value in values)

    def forget(self) -> None:
        self.values.clear()


def log_with(values: Sequence[bytes]) -> MemoryLog:
    log = MemoryLog()
    log.ensure_topic("events", 1)
    with log.writer() as writer:
        for value in values:
            writer.send("events", value, partition=0)
    return log


def read_back(log: MemoryLog, window: int, *, began: int = 0, end: int) -> list[bytes | None]:
    known = Known()
    WindowReader(log, "events", window).remember(known.remember, known.forget, 0, began, end)
    return known.values


def test_it_hands_over_at_least_a_window_of_events_and_nothing_at_or_behind_the_end() -> None:
    log = log_with([b"1"] * 50 + [b"9"] * 50)
    assert read_back(log, 10, end=50) == [b"1"] * 10
    assert read_back(log, 0, end=50) == []


def test_where_few_events_are_accepted_it_reads_further_back_up_to_the_beginning() -> None:
    log = log_with([b"1"] * 20 + [b"0"] * 35)
    assert sum(int(value or b"0") for value in read_back(log, 10, end=55)) >= 10
    assert len(read_back(log, 1000, end=55)) == 55
    assert len(read_back(log, 1000, began=30, end=55)) == 25
    log.delete_records("events", 0, 40)
    assert len(read_back(log, 1000, end=55)) == 15
    log.delete_records("events", 0, 55)
    assert read_back(log, 1000, end=55) == []


def test_what_retention_takes_while_it_reads_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    log = log_with([b"1"] * 60)
    poll: Callable[[MemoryReader, int, float], list[Fetch]] = MemoryReader.poll
    trims = iter([20, 30])

    def trimmed(reader: MemoryReader, records: int, seconds: float) -> list[Fetch]:
        if (before := next(trims, None)) is not None:
            log.delete_records("events", 0, before)
        return poll(reader, records, seconds)

    monkeypatch.setattr(MemoryReader, "poll", trimmed)
    assert read_back(log, 1000, end=60) == [b"1"] * 30


def test_a_hole_at_the_end_is_no_reason_to_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(windows, "_SILENCE_SECONDS", 0.1)
    log = log_with([b"1"] * 10)
    log.skip_offsets("events", 0, 3)
    assert read_back(log, 10, end=13) == [b"1"] * 10


def test_one_fetch_that_is_slow_does_not_shorten_the_window(monkeypatch: pytest.MonkeyPatch) -> None:
    poll: Callable[[MemoryReader, int, float], list[Fetch]] = MemoryReader.poll
    silent = iter([True, True])
    monkeypatch.setattr(
        MemoryReader,
        "poll",
        lambda reader, records, seconds: [] if next(silent, False) else poll(reader, records, seconds),
    )
    assert read_back(log_with([b"1"] * 10), 10, end=10) == [b"1"] * 10


@pytest.mark.timeout(20)
def test_an_end_that_the_partition_does_not_reach_is_an_error_not_an_endless_search() -> None:
    log = log_with([b"1"] * 50)
    with pytest.raises(LogTruncated, match=r"offset 90 is gone"):
        read_back(log, 10, end=100)
