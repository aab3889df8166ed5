"""`loadtest scenarios`: the system under an open load up to its knee and beyond, and while things happen."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from loadtest.generating import LATE_MS, LATE_PERCENTILE, MOST_OF_NEIGHBOURS, Generators, Phase
from loadtest.happenings import (
    AFTER_THE_BURST,
    SLOW_EVENTS_PER_SECOND,
    SLOW_PERIOD_SECONDS,
    SLOW_RUNS_SECONDS,
    Rows,
    burst,
    joined,
    rebalance,
    reload,
    slow_consumer,
    unless_void,
)
from loadtest.report import Report
from loadtest.scene import (
    ALL_CORES,
    EVENTS_A_CALL,
    GENERATORS,
    OTHER_CORE,
    Scene,
    Value,
    callers,
    row,
    scene,
    voids,
)
from loadtest.stack import Stack, on_cores
from loadtest.stream import Stream
from tests.servers.redis import RedisServer

KNEE_P99_MS = 10.0
FIRST_RATE, HIGHEST_RATE = 500.0, 200_000.0
STEPS = (0.5, 0.6, 0.7, 0.8, 0.9, 1.0, 1.1)
EVENTS_PER_SECOND = 5_000.0
SHARED_EVENTS_PER_SECOND, SHARED_PARTITIONS = 500.0, 4
# The knee moves a little from run to run.
MOST_BELOW_PERCENT, AT_THE_KNEE_PERCENT = 90, 100
# Beyond the knee generators leave the broker too little of its core for heartbeats with itself.
PATIENT = {"broker.session.timeout.ms": 60_000}
METHOD = (
    "Real broker, learner and predictor; the predictor alone on one core, everything else on the other: "
    f"broker, learner, a producer of {EVENTS_PER_SECOND:,.0f} events of 39 fields a second, and {GENERATORS} "
    f"generators (processes of their own, preferred by the scheduler). A call scores {EVENTS_A_CALL} events. "
    "Open loop: Poisson arrivals, latency from the intended time, whatever came before; a call that was shed "
    f"counts as the slowest. Knee: highest rate with p99 ≤ {KNEE_P99_MS:g} ms while the model is learned, by "
    "bisection; a rate is too high if it was so twice. Held: the highest steady run up to it that is within "
    "the limit, as are all valid ones below. A run is void where the generators were late "
    f"themselves (p{LATE_PERCENTILE:g} of their lateness above {LATE_MS:g} ms) or others had more than "
    f"{MOST_OF_NEIGHBOURS:.0%} of the server's core; what follows from a void run is left out. Burst: calls "
    "and events ten times as many. Reload: the learner is started again with a "
    f"changed model file. Slow consumer: {SLOW_EVENTS_PER_SECOND:,.0f} events a second, and the learner may "
    f"run for one part in {SLOW_PERIOD_SECONDS / SLOW_RUNS_SECONDS:.0f} of the time. These at half the knee. "
    f"Rebalance: rows in a Redis, {SHARED_EVENTS_PER_SECOND:,.0f} events a second; a second learner joins "
    "and leaves, at a quarter of the knee, for Redis and its learners take what they want of both cores."
)
BARS = {"shed_calls_below_the_knee": "= 0"}


@dataclass(frozen=True, slots=True)
class Size:
    """How much a run does."""

    distinct_events: int
    knee_seconds: float
    bisections: int
    step_seconds: float
    steps: tuple[float, ...]
    burst_seconds: tuple[float, float, float]
    slow_seconds: float
    reloads: int
    shared: bool = True


FULL = Size(
    distinct_events=200_000,
    knee_seconds=2.0,
    bisections=4,
    step_seconds=4.0,
    steps=STEPS,
    burst_seconds=(3.0, 2.0, 5.0),
    slow_seconds=4.0,
    reloads=2,
)
QUICK = Size(
    distinct_events=20_000,
    knee_seconds=0.5,
    bisections=1,
    step_seconds=0.8,
    steps=(0.5, 1.0),
    burst_seconds=(0.5, 0.5, 1.0),
    slow_seconds=1.0,
    reloads=1,
)


@dataclass(frozen=True, slots=True)
class Knee:
    """The knee, and whether it is the server's, not the generators'."""

    calls_per_second: float
    is_the_servers: bool


def run(quick: bool, seed: int) -> Report:
    """Find the knee, load the system around it, then let things happen."""
    size = QUICK if quick else FULL
    stream = Stream(size.distinct_events, seed=seed)
    with Stack(OTHER_CORE, PATIENT) as stack, callers(stream, seed) as generators:
        with scene(stack, generators, stream, EVENTS_PER_SECOND) as played:
            knee = find_knee(played, size)
            rate = knee.calls_per_second
            happened = [
                (steady(played, rate, size), {}),
                burst(played, rate, *size.burst_seconds, KNEE_P99_MS),
                slow_consumer(played, rate, size.slow_seconds),
            ]
            if size.reloads:
                happened.append(reload(played, rate, size.reloads))
        if size.shared:
            with _shared(stack, generators, stream) as played:
                happened.append(rebalance(played, rate, SHARED_PARTITIONS))
    rows, figures = joined(*happened)
    return Report("scenarios", METHOD, seed, quick, {**_figures(knee, rows), **figures}, BARS, rows)


@contextmanager
def _shared(stack: Stack, generators: Generators, stream: Stream) -> Iterator[Scene]:
    """Let a second model be learned by a learner that keeps its rows in a Redis."""
    with on_cores(ALL_CORES):
        redis = RedisServer(stack.directory / "redis").start()
    try:
        shared = scene(
            stack,
            generators,
            stream,
            SHARED_EVENTS_PER_SECOND,
            model="shared",
            partitions=SHARED_PARTITIONS,
            learner_cores=ALL_CORES,
            weights=redis.url,
        )
        with shared as played:
            yield played
    finally:
        redis.stop()


def find_knee(played: Scene, size: Size) -> Knee:
    """Double the rate until it is too high, then bisect."""
    # Until a rate was too high, nothing is known of the server's end.
    good, bad, void = 0.0, FIRST_RATE, True
    while bad < HIGHEST_RATE:
        fine, was_void = _is_fine(played, bad, size.knee_seconds)
        if not fine:
            void = was_void
            break
        good, bad = bad, 2 * bad
    if not good:
        raise RuntimeError(f"p99 is above {KNEE_P99_MS} ms at any rate: the machine is busy with other work")
    for _ in range(size.bisections):
        rate = (good + bad) / 2
        fine, was_void = _is_fine(played, rate, size.knee_seconds)
        good, bad, void = (rate, bad, void) if fine else (good, rate, was_void)
    return Knee(good, is_the_servers=not void)


def _is_fine(played: Scene, rate: float, seconds: float) -> tuple[bool, bool]:
    """Return whether the rate is below the knee, and if not, whether only a void run says so."""
    void = False
    for _ in range(2):
        calls = played.calls(Phase(rate, seconds))
        if not calls.void and calls.waited_ms(99)[0] <= KNEE_P99_MS:
            return True, False
        void |= bool(calls.void)
    return False, void


def steady(played: Scene, knee: float, size: Size) -> Rows:
    """Load the system step by step."""
    rows = []
    for share in size.steps:
        calls = played.calls(Phase(share * knee, size.step_seconds))
        rows.append(row("steady", share, share * knee, calls))
    return rows


def held(rows: Rows) -> float | None:
    """Return the highest steady rate up to the knee at which it, and each below it, was within the limit."""
    reached = None
    for line in rows:
        if (
            line["scenario"] != "steady"
            or float(line["% of the knee"] or 0) > AT_THE_KNEE_PERCENT
            or line["run"] == "void"
        ):
            continue
        p99 = line["p99 ms"]
        if not isinstance(p99, int | float) or p99 > KNEE_P99_MS:
            break
        reached = float(line["calls/s"] or 0)
    return reached


def _figures(knee: Knee, rows: Rows) -> dict[str, Value]:
    below = [
        line
        for line in rows
        if line["scenario"] != AFTER_THE_BURST and float(line["% of the knee"] or 0) <= MOST_BELOW_PERCENT
    ]
    return {
        "knee_calls_per_second": round(knee.calls_per_second),
        "knee_scores_per_second": round(knee.calls_per_second * EVENTS_A_CALL),
        "knee_is_the_servers": knee.is_the_servers,
        **_sized_by(rows),
        "p99_ms_at_half": _p99_at(rows, 50),
        "p99_ms_at_ninety": _p99_at(rows, 90),
        "runs": len(rows),
        "void_runs": voids(rows),
        "shed_calls_below_the_knee": sum(int(line["shed"] or 0) for line in below),
    }


def _sized_by(rows: Rows) -> dict[str, Value]:
    calls = held(rows)
    return {
        "held_calls_per_second": calls and round(calls),
        "held_scores_per_second": calls and round(calls * EVENTS_A_CALL),
    }


def _p99_at(rows: Rows, percent: int) -> Value:
    """Return the steady p99 at so much of the knee; None where nobody measured it, or the run is void."""
    found = [each for each in rows if each["scenario"] == "steady" and each["% of the knee"] == percent]
    return unless_void(found, found[0]["p99 ms"]) if found else None
