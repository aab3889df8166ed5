"""`loadtest endurance`: what the services hold after long work, and that one that leaks is noticed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from time import monotonic
from typing import Any

from loadtest import latencies
from loadtest.generating import Phase
from loadtest.growth import BARS as MOST_GROWTH
from loadtest.growth import Held, sampling
from loadtest.model import model_file
from loadtest.report import Report
from loadtest.scene import Scene, callers, scene
from loadtest.slopes import CONFIDENCE, WARM_UP_SHARE
from loadtest.stack import Service, Stack
from loadtest.stream import Stream

ALL_CORES = (0, 1)
CONTROL = "predictor that leaks"
DUPLICATE_WINDOW = 20_000
# In all over what is judged, several times what may be: MiB, descriptors, threads.
LEAKED = (60.0, 30.0, 15.0)
ALLOWED = ", ".join(f"{most:g} ({name})" for name, most in MOST_GROWTH.items())
METHOD = (
    "Real broker, learner, predictor and drift monitor, on cores that other work may share; events of 39 "
    "fields, the same ones over and over so that the model's rows are soon there, and calls at Poisson "
    "times over connections that are made anew every few seconds. Beside them a predictor that leaks on "
    "purpose. Of every process resident memory, descriptors and threads are sampled; the first "
    f"{WARM_UP_SHARE:.0%} of the time is left out. Growth: slope of Theil and Sen over medians of blocks, "
    f"times the time; flat is who surely (the upper end of the {CONFIDENCE:.0%} interval) grew by no more "
    f"than {ALLOWED}; leaks, who surely grew by more."
)
BARS = {"not_flat": "= 0", "leaks_found_in_the_control": f"= {len(MOST_GROWTH)}", "shed_calls": "= 0"}


@dataclass(frozen=True, slots=True)
class Size:
    """How much a run does."""

    minutes: float
    distinct_events: int
    events_per_second: float
    calls_per_second: float
    chunk_seconds: float
    sample_seconds: float


FULL = Size(
    10.0, 20_000, events_per_second=2_000.0, calls_per_second=200.0, chunk_seconds=5.0, sample_seconds=1.0
)
QUICK = Size(
    0.4, 5_000, events_per_second=500.0, calls_per_second=50.0, chunk_seconds=1.0, sample_seconds=0.1
)


@dataclass(frozen=True, slots=True)
class Called:
    """How many calls there were, and how long they took."""

    calls: int
    shed: int
    histograms: list[bytes]


def run(quick: bool, seed: int, minutes: float | None = None) -> Report:
    """Let the services work for so long, and judge what they hold."""
    size = QUICK if quick else FULL
    seconds = 60 * (minutes or size.minutes)
    stream = Stream(size.distinct_events, seed=seed)
    with (
        Stack(ALL_CORES) as stack,
        callers(stream, seed) as generators,
        scene(stack, generators, stream, size.events_per_second, text=_model()) as played,
    ):
        leaking, leaking_port = stack.start_predictor(ALL_CORES, leaking=_rates(seconds))
        monitor = stack.start_drift_monitor(ALL_CORES)
        services = {"learner": played.learner, "predictor": played.predictor, "drift monitor": monitor}
        processes = _processes({**services, CONTROL: leaking})
        with sampling(processes, size.sample_seconds) as held:
            called = _call(played, (played.port, leaking_port), size, seconds)
    rows = [row for name, each in held.items() for row in _rows(name, each)]
    return Report("endurance", METHOD, seed, quick, _figures(rows, called, seconds), BARS, rows)


def _model() -> str:
    """Return a model whose duplicate window is soon full: until then it grows, as it should."""
    return f"{model_file(identified=True)}duplicate_window = {DUPLICATE_WINDOW}\n"


def _rates(seconds: float) -> tuple[float, ...]:
    """Return what leaks a second."""
    return tuple(each / (seconds * (1 - WARM_UP_SHARE)) for each in LEAKED)


def _processes(services: Mapping[str, Service]) -> dict[str, int]:
    return {name: service.process.pid for name, service in services.items()}


def _call(played: Scene, ports: tuple[int, int], size: Size, seconds: float) -> Called:
    """Call the two predictors in turn, until the time is over."""
    end, calls, shed, histograms, turn = monotonic() + seconds, 0, 0, list[bytes](), 0
    while monotonic() < end:
        made = played.generators.run(ports[turn % 2], [Phase(size.calls_per_second, size.chunk_seconds)])
        calls, shed, turn = calls + len(made.waited), shed + made.shed, turn + 1
        histograms.append(latencies.encode(made.waited))
    return Called(calls, shed, histograms)


def _rows(name: str, held: Held) -> list[dict[str, Any]]:
    rows = []
    for what, (slope, verdict) in held.judged().items():
        values = held.columns[what]
        rows.append(
            {
                "process": name,
                "what": what,
                "first": round(values[0], 1),
                "last": round(values[-1], 1),
                "an hour": round(slope.an_hour(slope.growth), 2),
                "growth": round(slope.growth, 2),
                "at least": round(slope.least, 2),
                "at most": round(slope.most, 2),
                "allowed": MOST_GROWTH[what],
                "verdict": verdict,
            }
        )
    return rows


def _figures(rows: list[dict[str, Any]], called: Called, seconds: float) -> dict[str, Any]:
    ours = [row for row in rows if row["process"] != CONTROL]
    control = [row for row in rows if row["process"] == CONTROL]
    longest = latencies.joined(called.histograms)
    return {
        "minutes": round(seconds / 60, 1),
        "calls": called.calls,
        "shed_calls": called.shed,
        "p99_ms": round(latencies.percentile_ms(longest, 99), 3),
        "not_flat": sum(row["verdict"] != "flat" for row in ours),
        "leaks_found_in_the_control": sum(row["verdict"] == "leaks" for row in control),
    }
