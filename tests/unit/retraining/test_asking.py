"""Who asks twice for the same gets one job; a schedule asks once a time, whoever keeps it."""

from __future__ import annotations

import pytest

from stream_ml.errors import ConfigError
from stream_ml.retraining.asking import DEFAULT_GRID, Schedule, ask, window_around_now
from stream_ml.retraining.jobs import JOBS_TOPIC, decode_job, ensure_jobs
from stream_ml.streams.log import Bounds, LogUnavailable
from stream_ml.streams.memory import MemoryLog


class Watch:
    def __init__(self) -> None:
        self.at = 1_000_000.0

    def now(self) -> float:
        return self.at

    def monotonic(self) -> float:
        return self.at


def log_with(*counts: int) -> MemoryLog:
    log = MemoryLog()
    log.ensure_topic("events", len(counts))
    ensure_jobs(log)
    with log.writer() as writer:
        for partition, count in enumerate(counts):
            for _ in range(count):
                writer.send("events", b"{}", partition=partition)
    return log


def jobs(log: MemoryLog) -> list[str]:
    found = []
    for fetch in log.reader(JOBS_TOPIC, {0: 0}, keys=True).poll(100, 0):
        for key, value in zip(fetch.keys or (), fetch.values, strict=True):
            found.append(decode_job(key, value).job)
    return found


def test_the_window_is_an_equal_share_of_each_partition_as_far_as_there_is_one() -> None:
    assert window_around_now(log_with(100, 10), "events", 60) == {0: (70, 100), 1: (0, 10)}


@pytest.mark.parametrize("topic", ["events", "nothing"])
def test_without_events_there_is_nothing_to_train_on(topic: str) -> None:
    with pytest.raises(ConfigError, match=f"{topic} is empty, or not there"):
        window_around_now(log_with(0), topic, 60)


def test_it_may_reach_beyond_what_has_come() -> None:
    assert window_around_now(log_with(100, 10), "events", 60, 20) == {0: (70, 110), 1: (0, 20)}


def test_a_job_names_the_offsets_of_today() -> None:
    log = log_with(100)
    with log.writer() as writer:
        job = ask(log, writer, "clicks", "events", 40, job="j", reason={"asked": "x"}, asked_by="me")
    assert job.window.events == {0: (60, 100)}
    assert job.grid == DEFAULT_GRID
    assert jobs(log) == ["j"]


def test_a_schedule_asks_once_a_time_whoever_keeps_it() -> None:
    log, clock = log_with(100), Watch()
    both = [Schedule(log, "clicks", "events", 3600.0, 50, clock) for _ in range(2)]
    for _ in range(3):
        for schedule in both:
            schedule.turn()
        clock.at += 1800
    assert len(set(jobs(log))) == 1
    assert len(jobs(log)) == 2, "each has asked once"
    clock.at += 3600
    for schedule in both:
        schedule.turn()
    assert len(set(jobs(log))) == 2


def test_a_schedule_asks_again_where_the_brokers_were_away() -> None:
    log, clock = log_with(100), Watch()
    schedule = Schedule(log, "clicks", "events", 3600.0, 50, clock)
    clock.at += 3600
    bounds = log.bounds

    def away(topic: str, partition: int) -> Bounds:
        raise LogUnavailable("no broker")

    log.bounds = away  # type: ignore[method-assign]
    with pytest.raises(LogUnavailable):
        schedule.turn()
    log.bounds = bounds  # type: ignore[method-assign]
    for _ in range(2):
        schedule.turn()
    assert len(jobs(log)) == 1


def test_no_schedule_asks_for_nothing() -> None:
    log, clock = log_with(100), Watch()
    schedule = Schedule(log, "clicks", "events", 0.0, 50, clock)
    clock.at += 1e6
    schedule.turn()
    assert jobs(log) == []
