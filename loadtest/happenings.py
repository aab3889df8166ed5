"""The scenarios of `loadtest scenarios` in which something happens; each gives lines and figures."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from itertools import pairwise
from time import monotonic, sleep

import numpy as np

from loadtest.generating import Calls, Phase
from loadtest.ingest import LEARNED
from loadtest.proc import MEBIBYTE, resident_bytes
from loadtest.scene import Scene, Value, changed_model, row
from loadtest.stack import Service
from tests.servers.processes import wait_until

Rows = list[dict[str, Value]]
Figures = dict[str, Value]
# When it was, in seconds, and what was seen.
Look = tuple[float, float]

# Of the knee, before and after a burst; ten times as much is beyond it.
BURST_BASE, BURST_TIMES = 0.15, 10
# Its first calls find the burst's still waiting.
AFTER_THE_BURST = "after"
# Of the knee, while other things happen.
HALF = 0.5
# And where a Redis and its learners want their part of both cores.
QUARTER = 0.25
SLOW_EVENTS_PER_SECOND = 20_000.0
# Of each period the slow learner may run for the first part.
SLOW_PERIOD_SECONDS, SLOW_RUNS_SECONDS = 0.4, 0.01
LAG_RECORDS = "stream_ml_learner_lag_records"
SWAPS = "stream_ml_predictor_swaps_total"
WAIT_SECONDS = 60.0
LOOK_SECONDS = 0.05
# Records; what comes while one looks is no backlog.
CAUGHT_UP = 500


def burst(
    played: Scene, knee: float, before: float, during: float, after: float, limit_ms: float
) -> tuple[Rows, Figures]:
    """Ten times the calls and ten times the events, for a while."""
    base = BURST_BASE * knee
    phases = [Phase(base, before), Phase(BURST_TIMES * base, during), Phase(base, after)]
    usual = played.tap.rate.value
    with _watching(lambda: _backlog(played)) as backlog, ThreadPoolExecutor(1) as pool:
        calling = pool.submit(played.calls, *phases)
        sleep(before)
        played.tap.rate.value = BURST_TIMES * usual
        sleep(during)
        played.tap.rate.value = usual
        calls = calling.result()
    begins = float(calls.intended.min()) + before
    ends = begins + during
    later = calls.between(ends, np.inf)
    rows = [
        row("burst ×10: before", BURST_BASE, base, calls.between(0.0, begins)),
        row("during", BURST_TIMES * BURST_BASE, BURST_TIMES * base, calls.between(begins, ends)),
        row(AFTER_THE_BURST, BURST_BASE, base, later),
    ]
    return rows, {
        "burst_recovered_seconds": unless_void(rows, recovered_after(later, ends, limit_ms / 1e3)),
        "burst_backlog_events": round(max(value for _, value in backlog)),
    }


def slow_consumer(played: Scene, knee: float, seconds: float) -> tuple[Rows, Figures]:
    """Events come faster than the learner, which hardly gets the processor, can learn them."""
    usual, before = played.tap.rate.value, _resident_mib(played.learner)
    with (
        _watching(lambda: _backlog(played)) as backlog,
        played.calling(HALF * knee) as calling,
    ):
        played.tap.rate.value = SLOW_EVENTS_PER_SECOND
        _hold_back(played.learner, seconds)
        grown = _resident_mib(played.learner) - before
        played.tap.rate.value = usual
        began, pushed = monotonic(), played.tap.pushed.value
        wait_until(
            lambda: played.learner.metric(LEARNED) >= pushed, WAIT_SECONDS, played.learner.process.tail
        )
        took = monotonic() - began
    rows = [row("slow consumer", HALF, HALF * knee, calling.result())]
    return rows, {
        "slow_consumer_backlog_events": round(max(value for _, value in backlog)),
        "slow_consumer_caught_up_seconds": round(took, 2),
        "slow_consumer_grown_mib": round(grown, 1),
        "slow_consumer_p99_ms": unless_void(rows, rows[0]["p99 ms"]),
    }


def reload(played: Scene, knee: float, times: int) -> tuple[Rows, Figures]:
    """The model file is changed, again and again: a new variant is learned, loaded aside and swapped in."""
    with played.calling(HALF * knee) as calling:
        for number in range(1, times + 1):
            _change_the_model(played, number)
    rows = [row(f"reload, {times} times", HALF, HALF * knee, calling.result())]
    return rows, {"reloads": times, "reload_p99_ms": unless_void(rows, rows[0]["p99 ms"])}


def _change_the_model(played: Scene, number: int) -> None:
    swaps = played.predictor.metric(SWAPS)
    played.learner.stop()
    played.learner = played.start_learner(changed_model(played, number))
    wait_until(lambda: played.predictor.metric(SWAPS) > swaps, WAIT_SECONDS)


def rebalance(played: Scene, knee: float, partitions: int) -> tuple[Rows, Figures]:
    """Of learners that share their weights a second one joins, and leaves."""
    learners = [played.learner]
    with (
        _watching(lambda: sum(each.metric(LEARNED) for each in learners)) as learned,
        played.calling(QUARTER * knee) as calling,
    ):
        second = played.start_learner()
        learners.append(second)
        wait_until(lambda: second.metric(LEARNED) > 0, WAIT_SECONDS, second.process.tail)
        learners.remove(second)
        second.stop()
        wait_until(lambda: _owned(played.learner) == partitions, WAIT_SECONDS)
        wait_until(lambda: played.learner.metric(LAG_RECORDS) < CAUGHT_UP, WAIT_SECONDS)
    rows = [row("rebalance", QUARTER, QUARTER * knee, calling.result())]
    return rows, {
        "rebalance_standstill_seconds": round(longest_standstill(learned), 2),
        "rebalance_p99_ms": unless_void(rows, rows[0]["p99 ms"]),
    }


def unless_void(rows: Rows, figure: Value) -> Value:
    """Return a figure of these lines, None where one of them is void: then nothing follows from it."""
    return None if any(each["run"] != "valid" for each in rows) else figure


def recovered_after(calls: Calls, ends: float, limit: float) -> float | None:
    """
    Return when the last slow call was due, in seconds after the burst *ends*; None if it was the last of all.

    Args:
        limit: seconds that a call may take.
    """
    slow = calls.intended[calls.waited > limit]
    last = float(slow.max(initial=ends))
    return round(last - ends, 3) if last < calls.intended.max(initial=-np.inf) else None


@contextmanager
def _watching(look: Callable[[], float]) -> Iterator[Sequence[Look]]:
    """Look again and again meanwhile; what was seen, at least once. Who does not answer is asked again."""
    seen, ended = list[Look](), threading.Event()

    def watch() -> None:
        while not ended.wait(LOOK_SECONDS):
            with suppress(OSError):
                seen.append((monotonic(), look()))

    watching = threading.Thread(target=watch)
    watching.start()
    try:
        yield seen
    finally:
        ended.set()
        watching.join()
        seen.append((monotonic(), look()))


def longest_standstill(looks: Sequence[Look]) -> float:
    """Return for how long at most, in seconds, no look saw another value than the one before it."""
    longest = stands = 0.0
    for (before, was), (at, value) in pairwise(looks):
        stands = stands + at - before if value == was else 0.0
        longest = max(longest, stands)
    return longest


def _backlog(played: Scene) -> float:
    pushed = played.tap.pushed.value
    return max(0.0, pushed - played.learner.metric(LEARNED))


def _hold_back(service: Service, seconds: float) -> None:
    """Let *service* run for a small part of the time only."""
    end = monotonic() + seconds
    while monotonic() < end:
        service.process.send(signal.SIGSTOP)
        sleep(SLOW_PERIOD_SECONDS - SLOW_RUNS_SECONDS)
        service.process.send(signal.SIGCONT)
        sleep(SLOW_RUNS_SECONDS)


def _resident_mib(service: Service) -> float:
    return resident_bytes(service.process.pid) / MEBIBYTE


def _owned(service: Service) -> int:
    """Return how many partitions it says the lag of: those that are its own."""
    return len(service.samples(LAG_RECORDS))


def joined(*happened: tuple[Rows, Figures]) -> tuple[Rows, Mapping[str, Value]]:
    """Return all lines, and all figures."""
    rows = [line for lines, _ in happened for line in lines]
    return rows, {name: value for _, figures in happened for name, value in figures.items()}
