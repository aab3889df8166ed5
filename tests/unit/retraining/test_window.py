"""The events of a window: all of them, or an error; a hole is told from a broker that is slow."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import pytest

from stream_ml.errors import RecoverableError
from stream_ml.retraining import window
from stream_ml.retraining.window import events_between
from stream_ml.streams.log import Fetch
from stream_ml.streams.memory import MemoryLog, MemoryReader

Silent = Callable[[int, int], bool]


class Slow(MemoryLog):
    """A log of which some polls bring nothing: by the reader's number, and the poll's of all readers."""

    def __init__(self, silent: Silent = lambda reader, poll: False) -> None:
        super().__init__()
        self.silent, self.polls, self.readers = silent, -1, -1

    def reader(
        self, topic: str, starts: Mapping[int, int], *, keys: bool = False, headers: bool = False
    ) -> MemoryReader:
        self.readers += 1
        return SlowReader(self, topic, starts, keys=keys, headers=headers)


class SlowReader(MemoryReader):
    _log: Slow

    def __init__(self, log: Slow, *rest: Any, **more: Any) -> None:
        super().__init__(log, *rest, **more)
        self._number = log.readers

    def poll(self, max_records: int, timeout_seconds: float) -> list[Fetch]:
        """Ten at most, so that a window is many polls."""
        self._log.polls += 1
        silent = self._log.silent(self._number, self._log.polls)
        return [] if silent else super().poll(min(max_records, 10), timeout_seconds)


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(window, "_SILENCE_SECONDS", 0.01)


def log_with(count: int, silent: Silent = lambda reader, poll: False) -> Slow:
    log = Slow(silent)
    log.ensure_topic("events", 1)
    append(log, count)
    return log


def append(log: MemoryLog, count: int) -> None:
    with log.writer() as writer:
        for number in range(count):
            writer.send("events", b"%d" % number, partition=0)


def read(log: MemoryLog, first: int, end: int) -> list[bytes]:
    return list(events_between(log, "events", {0: (first, end)}))


def test_a_window_that_ends_in_a_hole_ends_there() -> None:
    log = log_with(35)
    log.skip_offsets("events", 0, 1)
    assert len(read(log, 0, 36)) == 35
    assert read(log, 35, 36) == []


def test_a_hole_in_the_midst_is_passed_over() -> None:
    log = log_with(35)
    log.skip_offsets("events", 0, 3)
    append(log, 10)
    assert len(read(log, 0, 48)) == 45


def test_partitions_are_woven_by_the_newest_time_so_far() -> None:
    """Where a partition's times fall, its order stays, and nothing of another comes too early."""
    clock = [0.0]
    log = MemoryLog(now=lambda: clock[0])
    log.ensure_topic("events", 2)
    for partition, times in enumerate(((1, 5, 2, 3, 6), (2, 4, 5.5, 7))):
        with log.writer() as writer:
            for number, at in enumerate(times):
                clock[0] = at
                writer.send("events", f"{partition}{number}".encode(), partition=partition)
    found = list(events_between(log, "events", {0: (0, 5), 1: (0, 4)}))
    assert found == [b"00", b"10", b"11", b"01", b"02", b"03", b"12", b"04", b"13"]


@pytest.mark.parametrize("silent", [{2}, {2, 4}, {2, 5}, {2, 3}, {2, 5, 6, 8}, {0}, {0, 1}])
def test_a_broker_that_is_slow_for_some_time_costs_no_event(silent: set[int]) -> None:
    """Nor is it taken for the end of the window: a job would be judged on what came before."""
    assert len(read(log_with(50, lambda reader, poll: poll in silent), 0, 50)) == 50


def test_a_broker_that_stays_silent_is_an_error_that_may_pass() -> None:
    with pytest.raises(
        RecoverableError, match=r"events\[0\]: the events of the job's window from 20 on do not"
    ):
        read(log_with(50, lambda reader, poll: poll >= 2), 0, 50)


def test_a_reader_that_alone_is_silent_is_an_error_that_may_pass() -> None:
    """Others find the events: they are there, and this one does not get them."""
    with pytest.raises(RecoverableError, match="from 20 on do not arrive"):
        read(log_with(50, lambda reader, poll: reader == 0 and poll >= 2), 0, 50)


def test_a_hole_with_nothing_before_it_is_no_proof() -> None:
    log = log_with(5)
    log.delete_records("events", 0, 5)
    log.skip_offsets("events", 0, 1)
    with pytest.raises(RecoverableError, match="from 5 on do not arrive"):
        read(log, 5, 6)
