"""`loadtest snapshots`: how long learning waits for a snapshot of many rows that is being taken."""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any, cast

from loadtest.latencies import encode, percentile_ms
from loadtest.model import model_file, plan
from loadtest.report import Report
from loadtest.rows import generated_rows
from loadtest.stream import Stream
from stream_ml._native import Learner
from stream_ml.features import compile_model
from stream_ml.learning.loading import Loaded
from stream_ml.learning.points import go_on
from stream_ml.learning.publishing import Writership
from stream_ml.learning.snapshotting import AsOf, Position, Snapshots
from stream_ml.runtime.clock import SystemClock
from stream_ml.runtime.settings import LearnerSettings
from stream_ml.weights.snapshots import KEEP, SnapshotStore
from stream_ml.weights.state import JournalState

FULL_ROWS, FULL_SECONDS, FULL_TURNS = 20_000_000, 20.0, 3
QUICK_ROWS, QUICK_SECONDS, QUICK_TURNS = 1_000_000, 2.0, 2
EVENTS = 200_000
BATCH_EVENTS = 1_000
PERCENTILE = 99.9
PIECE_ROWS = int(LearnerSettings.model_fields["snapshot_rows_per_batch"].default)
PUBLISH_SECONDS = float(LearnerSettings.model_fields["publish_interval_seconds"].default)
METHOD = (
    "The core learns batches of 1,000 generated events at full speed in a table of so many rows and "
    "cuts a delta every 10 ms, in turns without and with snapshots, one begun as soon as the one before is "
    "stored, by the service's own code, into a folder. A gap is from the end of one batch to the end of the "
    "next, less the median gap; stall_ms_p999 is what snapshots add to its 99.9th percentile (median turns)."
)
BARS = {"stall_ms_p999": "≤ 10"}


@dataclass
class _Turn:
    """Gaps of one turn, seconds, and how many snapshots were stored in it."""

    gaps: list[float] = field(default_factory=list)
    snapshots: int = 0

    def percentile_ms(self) -> float:
        return percentile_ms(encode(self.gaps), PERCENTILE)


def run(quick: bool, seed: int) -> Report:
    """Measure turns without and with snapshots of one table."""
    rows = QUICK_ROWS if quick else FULL_ROWS
    seconds = QUICK_SECONDS if quick else FULL_SECONDS
    learner = Learner(plan(), expected_rows=2 * rows)
    for piece in generated_rows(rows, seed):
        learner.load_rows(piece)
    batches = itertools.cycle(_batches(seed))
    turns: dict[str, list[_Turn]] = {"without": [], "with": []}
    _learn(learner, batches, None, seconds)  # rows of the stream are in the table from here on
    for _ in range(QUICK_TURNS if quick else FULL_TURNS):
        turns["without"].append(_learn(learner, batches, None, seconds))
        with TemporaryDirectory() as folder, ThreadPoolExecutor(1) as threads:
            turns["with"].append(_learn(learner, batches, _snapshots(folder, threads), seconds))
    p999 = {name: median(turn.percentile_ms() for turn in each) for name, each in turns.items()}
    longest = {name: max(max(turn.gaps) for turn in each) * 1e3 for name, each in turns.items()}
    figures: dict[str, Any] = {
        "table_rows": int(learner.metrics()["rows"]),
        "snapshots": sum(turn.snapshots for turn in turns["with"]),
        "gap_ms_p999_without": round(p999["without"], 3),
        "gap_ms_p999_with": round(p999["with"], 3),
        "stall_ms_p999": round(p999["with"] - p999["without"], 3),
        "longest_gap_ms_without": round(longest["without"], 3),
        "longest_gap_ms_with": round(longest["with"], 3),
    }
    shown: list[dict[str, Any]] = [
        {"snapshots": name, "stored": turn.snapshots, "p99.9 ms": round(turn.percentile_ms(), 3)}
        for name, each in turns.items()
        for turn in each
    ]
    return Report("snapshots", METHOD, seed, quick, figures, BARS, shown)


def _batches(seed: int) -> list[list[bytes]]:
    lines = Stream(EVENTS, seed=seed).path().read_bytes().splitlines()
    return [lines[at : at + BATCH_EVENTS] for at in range(0, len(lines), BATCH_EVENTS)]


def _learn(
    learner: Learner, batches: Iterator[list[bytes]], snapshots: Snapshots | None, seconds: float
) -> _Turn:
    """Learn for so long; between two batches, give *snapshots* its turn as the service does."""
    turn = _Turn()
    end = last = cut_at = time.perf_counter()
    end += seconds
    while last < end:
        batch = next(batches)
        learner.learn([(0, batch, [0] * len(batch))])
        if last - cut_at >= PUBLISH_SECONDS:
            learner.cut()
            cut_at = last
        if snapshots is not None:
            turn.snapshots += _advance(snapshots, learner)
        now = time.perf_counter()
        turn.gaps.append(now - last)
        last = now
    if snapshots is not None:
        snapshots.close()
    typical = median(turn.gaps)
    turn.gaps = [max(0.0, gap - typical) for gap in turn.gaps]
    return turn


def _snapshots(folder: str, threads: ThreadPoolExecutor) -> Snapshots:
    model = compile_model(model_file())
    writership = Writership("criteo", "v1", model.fingerprint, 0)
    # Nothing but where it began is asked of what was loaded.
    nothing = cast(Any, None)
    loaded = Loaded(nothing, nothing, None, 0, has_snapshot=False)
    store, clock = SnapshotStore(folder), SystemClock()
    return Snapshots(store, model, writership, loaded, clock, go_on, threads, PIECE_ROWS)


_steps = itertools.count(1)


def _advance(snapshots: Snapshots, learner: Learner) -> bool:
    """Do what the service does between two batches; return whether a snapshot exists now."""
    if snapshots.idle:
        state = JournalState()
        snapshots.begin(learner, AsOf(state.place, state.in_force()))
    line = snapshots.turn(learner, Position(next(_steps), {}, {}), acknowledged=True)
    return line is not None and snapshots.read_back(line.name, [line.name], KEEP, 0.0)
