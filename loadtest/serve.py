"""`loadtest serve`: scores over Thrift from one server core, against a server that returns a constant."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any

import orjson

from loadtest.calls import Load, closed_loop, open_loop
from loadtest.feed_source import feed
from loadtest.isolation import beside, isolated
from loadtest.report import Report
from loadtest.stack import MODEL, Service, Stack
from loadtest.taught import OTHER_CORE, SERVER_CORE, taught
from tests.servers.processes import Process, answers, free_port, wait_until

CONNECTIONS = 8
PIPELINED = 16
KNEE_P99_MS = 10.0
LEAST_RATE = 50.0
LEAST_ROWS_PER_SECOND = 200_000
FRESHNESS_RESULT = Path("docs/results/freshness.json")
FEED_ROWS = "stream_ml_predictor_delta_rows_total"
CALLED_EVENTS = 20_000
METHOD = (
    "The predictor service on one core; on the other a real broker and the load generator (its own "
    "process, frames built beforehand, plain sockets). Model of a learner that learned the stream before; "
    "events of 39 fields, one a call, 8 connections. Peer: thriftpy2's Cython server, framed, that only "
    "returns a constant, same core, runs interleaved. Calls/s: closed loop, 1 or 16 calls in flight a "
    "connection, medians. Latency: open loop, Poisson arrivals, from the intended time of sending "
    "(coordinated omission corrected), HdrHistogram. Knee: highest rate with p99 ≤ 10 ms; p99 at a third "
    "of it, in turn without and with the feed applied by the same core; medians."
)
BARS = {
    "ratio_thriftpy2": "≥ 2.5",
    "ratio_thriftpy2_pipelined": "≥ 10",
    "p99_ratio_while_learning": "≤ 1.5",
    "feed_rows_per_second": "≥ 200000",
}


@dataclass(frozen=True, slots=True)
class Size:
    """How much a run does."""

    learned_events: int
    rounds: int
    closed_seconds: float
    knee_seconds: float
    knee_steps: int
    latency_seconds: float


FULL = Size(400_000, rounds=3, closed_seconds=4.0, knee_seconds=4.0, knee_steps=6, latency_seconds=10.0)
QUICK = Size(100_000, rounds=2, closed_seconds=0.8, knee_seconds=0.8, knee_steps=4, latency_seconds=1.5)


@dataclass(frozen=True, slots=True)
class Bench:
    """The two servers, and the calls they are sent."""

    port: int
    peer_port: int
    frames: list[bytes]
    size: Size
    seed: int

    def closed(self, port: int, pipelined: int) -> Load:
        """Return what a closed loop saw."""
        return isolated(
            OTHER_CORE, closed_loop, port, self.frames, CONNECTIONS, pipelined, self.size.closed_seconds
        )

    def open(self, rate: float, seconds: float) -> Load:
        """Return what an open loop on our server saw."""
        return isolated(OTHER_CORE, open_loop, self.port, self.frames, CONNECTIONS, rate, seconds, self.seed)


def run(quick: bool, seed: int) -> Report:
    """Teach a model, serve it, load it."""
    size = QUICK if quick else FULL
    with taught(size.learned_events, CALLED_EVENTS, seed) as ours, _constant_server(ours.stack) as peer_port:
        bench = Bench(ours.port, peer_port, ours.frames, size, seed)
        closed = _closed_loops(bench)
        knee = _knee(bench, closed["ours"].calls_per_second)
        alone, learning, rows_per_second = _at_a_third(bench, knee, ours.stack, ours.predictor)
    rows = [_row(name, load) for name, load in closed.items()]
    figures = _figures(closed, knee, alone, learning) | {"feed_rows_per_second": round(rows_per_second)}
    return Report("serve", METHOD, seed, quick, figures, BARS, rows)


@contextmanager
def _constant_server(stack: Stack) -> Iterator[int]:
    port = free_port()
    command = [sys.executable, "-m", "loadtest.constant_server", str(port), ",".join(map(str, SERVER_CORE))]
    process = Process(command, stack.directory / "constant_server.log")
    process.start().wait_until(lambda: answers(port))
    try:
        yield port
    finally:
        process.kill()


def _closed_loops(bench: Bench) -> dict[str, Load]:
    """Run the four closed loops in turn; return the median run of each."""
    loads: dict[str, list[Load]] = {}
    for _ in range(bench.size.rounds):
        for name, port, pipelined in (
            ("ours", bench.port, 1),
            ("thriftpy2", bench.peer_port, 1),
            ("ours, 16 pipelined", bench.port, PIPELINED),
            ("thriftpy2, 16 pipelined", bench.peer_port, PIPELINED),
        ):
            loads.setdefault(name, []).append(bench.closed(port, pipelined))
    return {
        name: sorted(runs, key=lambda load: load.calls_per_second)[len(runs) // 2]
        for name, runs in loads.items()
    }


def _knee(bench: Bench, most: float) -> float:
    """Return the highest rate with p99 ≤ KNEE_P99_MS, by bisection below the closed loop's rate."""
    good, bad, steps = 0.0, 1.2 * most, 0
    while steps < bench.size.knee_steps or not good:
        steps, rate = steps + 1, (good + bad) / 2
        if rate < LEAST_RATE:
            raise RuntimeError(
                f"p99 is above {KNEE_P99_MS} ms at any rate: the machine is busy with other work"
            )
        if bench.open(rate, bench.size.knee_seconds).percentile_ms(99) <= KNEE_P99_MS:
            good = rate
        else:
            bad = rate
    return good


def _at_a_third(
    bench: Bench, knee: float, stack: Stack, predictor: Service
) -> tuple[list[float], list[float], float]:
    """Return p99 of each round in milliseconds, without and with the feed, and the rows applied a second."""
    alone, learning, applied, seconds = [], [], 0.0, 0.0
    for _ in range(bench.size.rounds):
        alone.append(bench.open(knee / 3, bench.size.latency_seconds).percentile_ms(99))
        with beside(OTHER_CORE, feed, stack.kafka.bootstrap, MODEL, _rows_per_second()):
            _wait_for_rows(predictor)
            before, began = predictor.metric(FEED_ROWS), perf_counter()
            learning.append(bench.open(knee / 3, bench.size.latency_seconds).percentile_ms(99))
            applied += predictor.metric(FEED_ROWS) - before
            seconds += perf_counter() - began
    return alone, learning, applied / seconds


def _wait_for_rows(predictor: Service) -> None:
    """Return once the feed source has started."""
    idle = predictor.metric(FEED_ROWS)
    wait_until(lambda: predictor.metric(FEED_ROWS) > idle)


def _rows_per_second() -> float:
    """Return the row rate that the freshness run showed, at least the bar's."""
    if not FRESHNESS_RESULT.exists():
        return LEAST_ROWS_PER_SECOND
    shown = orjson.loads(FRESHNESS_RESULT.read_bytes())["feed_rows_per_second"]
    return max(float(shown), LEAST_ROWS_PER_SECOND)


def _figures(
    closed: dict[str, Load], knee: float, alone: list[float], learning: list[float]
) -> dict[str, Any]:
    ours, peer, ours_pipelined, peer_pipelined = (load.calls_per_second for load in closed.values())
    return {
        "calls_per_second": round(ours),
        "calls_per_second_pipelined": round(ours_pipelined),
        "ratio_thriftpy2": round(ours / peer, 3),
        "ratio_thriftpy2_pipelined": round(ours_pipelined / peer_pipelined, 3),
        "knee_calls_per_second": round(knee),
        "p99_ms": round(median(alone), 3),
        "p99_ms_while_learning": round(median(learning), 3),
        "p99_ratio_while_learning": round(median(learning) / median(alone), 3),
    }


def _row(name: str, load: Load) -> dict[str, Any]:
    return {
        "server": name,
        "connections": CONNECTIONS,
        "calls/s": round(load.calls_per_second),
        "generator busy": round(load.busy, 2),
    }
