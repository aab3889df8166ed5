"""`loadtest memory`: bytes a live row, the longest stall while the table grows, speed at 200 M live rows."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter, thread_time
from typing import Any

from loadtest import latencies, ours
from loadtest.isolation import isolated
from loadtest.model import plan
from loadtest.ours import BATCH_RECORDS, blocks
from loadtest.proc import resident_bytes
from loadtest.report import Report
from loadtest.stream import Stream
from loadtest.wide import Wide, random_rows
from stream_ml._native import Learner

ONE_CORE = (1,)
# Rows of a piece of an image, as the service takes them, and how often it does: some ms of learning.
PIECE_ROWS = 50_000
CALLS_BETWEEN_CUTS = 16
# The stream is learned so often, the first time to have its rows, and the quickest of the others counts.
TIMES_LEARNED = 4
FEW_ROWS = 1_000_000
UNKNOWN_TIME = -1
METHOD = (
    "Events whose five features are all new are learned in process on one core, 64 events a call, until the "
    "table has that many rows. Every call is timed, in processor time of its thread: page faults included, "
    "other processes on the machine not. Bytes a row: memory of the table's buckets over live rows. Grown: "
    "from empty; once more with a duplicate window, deltas cut, and images for snapshots taken piece by "
    "piece all the time; presized: expected_rows says how many come. Speed at many rows (not in a "
    "quick run): the generated Criteo-like stream, learned again and again by a table of a million live rows "
    "and by one of many, each presized for those and a hundredth more, so that it does not grow meanwhile; "
    "the stream's own rows are among them, and the last that came."
)
BARS = {
    "bytes_per_row": "≤ 32",
    "bytes_per_row_presized": "≤ 24",
    "max_stall_ms": "≤ 10",
    "speed_ratio_many_rows": "≥ 0.5",
}


@dataclass(frozen=True, slots=True)
class Size:
    """How much a run does; without *many_rows* speed is not measured."""

    rows: int
    window: int
    many_rows: int = 0
    stream_events: int = 0


FULL = Size(rows=50_000_000, window=10_000_000, many_rows=200_000_000, stream_events=300_000)
QUICK = Size(rows=10_000_000, window=1_000_000)


@dataclass(frozen=True, slots=True)
class Grown:
    """
    What one table came to.

    Attributes:
        calls, pauses: histograms of processor time: of the calls that learned, and of all others.
        longest_wall_ms: of a call that learned, by the clock on the wall.
    """

    rows: int
    table_bytes: int
    resident_bytes: int
    calls: bytes
    pauses: bytes
    longest_wall_ms: float

    @property
    def bytes_per_row(self) -> float:
        """Of the table, slack included."""
        return self.table_bytes / self.rows

    def row(self, label: str) -> dict[str, Any]:
        """Return the line of the table."""
        calls = {f"p{at} ms": latencies.percentile_ms(self.calls, at) for at in (50, 99, 99.9, 99.99)}
        return {
            "table": label,
            "rows": self.rows,
            "bytes/row": round(self.bytes_per_row, 2),
            "resident bytes/row": round(self.resident_bytes / self.rows, 2),
            **calls,
            "longest call ms": latencies.percentile_ms(self.calls, 100),
            "by the wall ms": round(self.longest_wall_ms, 2),
            "longest other pause ms": latencies.percentile_ms(self.pauses, 100),
        }


def run(quick: bool, seed: int) -> Report:
    """Grow three tables, each in a process of its own; then compare speeds."""
    size = QUICK if quick else FULL
    grown = isolated(ONE_CORE, grow, size.rows, 0, 0, False)
    busy = isolated(ONE_CORE, grow, size.rows, 0, size.window, True)
    presized = isolated(ONE_CORE, grow, size.rows, size.rows, 0, False)
    figures: dict[str, Any] = {
        "rows": size.rows,
        "bytes_per_row": round(max(grown.bytes_per_row, busy.bytes_per_row), 2),
        "bytes_per_row_presized": round(presized.bytes_per_row, 2),
        "max_stall_ms": max(latencies.percentile_ms(one.calls, 100) for one in (grown, busy)),
        "max_wall_ms": round(max(grown.longest_wall_ms, busy.longest_wall_ms), 2),
        "bytes_per_row_resident": round(grown.resident_bytes / grown.rows, 2),
    }
    if size.many_rows:
        figures |= _speeds(size, seed)
    bars = {figure: bar for figure, bar in BARS.items() if figure in figures}
    rows = [
        grown.row("grown"),
        busy.row("grown, with window, deltas and images"),
        presized.row("presized"),
    ]
    return Report("memory", METHOD, seed, quick, figures, bars, rows)


def grow(rows: int, expected_rows: int, window: int, busy: bool) -> Grown:
    """Learn until there are *rows* rows; *busy*: cut deltas and take images all the time."""
    wide = Wide(window)
    compiled = wide.plan()
    resident = resident_bytes()
    learner = Learner(compiled, scan_threads=0, expected_rows=expected_rows)
    image = _images(learner)
    calls: list[float] = []
    pauses: list[float] = [0.0]
    longest = 0.0
    for at, record in enumerate(wide.records(rows)):
        began, started = perf_counter(), thread_time()
        learner.learn([(0, [record], [UNKNOWN_TIME])])
        calls.append(thread_time() - started)
        longest = max(longest, perf_counter() - began)
        if busy and at % CALLS_BETWEEN_CUTS == 0:
            started = thread_time()
            learner.cut()
            next(image)
            pauses.append(thread_time() - started)
    found = learner.metrics()
    grown = resident_bytes() - resident
    encoded = latencies.encode(calls), latencies.encode(pauses)
    return Grown(int(found["rows"]), int(found["table_bytes"]), grown, *encoded, longest * 1000)


def _images(learner: Learner) -> Iterator[None]:
    """Take a piece of an image at each turn, one image after the other."""
    while True:
        learner.begin_image()
        while learner.take_image(PIECE_ROWS):
            yield
        learner.seal_image()
        yield


def _speeds(size: Size, seed: int) -> dict[str, Any]:
    path = Stream(size.stream_events, seed=seed).path()
    own_rows = ours.learn_file(path, 0).rows
    few, many = (isolated(ONE_CORE, learn_among, path, own_rows, rows) for rows in (FEW_ROWS, size.many_rows))
    return {
        "many_rows": size.many_rows,
        "events_per_second_few_rows": round(size.stream_events / few),
        "events_per_second_many_rows": round(size.stream_events / many),
        "speed_ratio_many_rows": round(few / many, 3),
    }


def learn_among(path: Path, own_rows: int, live_rows: int) -> float:
    """Return the seconds in which a table of *live_rows*, *own_rows* of them the file's, learns the file."""
    learner = Learner(plan(), scan_threads=0, expected_rows=live_rows + live_rows // 100)
    for rows in random_rows(live_rows - own_rows):
        learner.load_rows(rows)
    seconds = []
    for _ in range(TIMES_LEARNED):
        started = perf_counter()
        for batch in blocks(path, BATCH_RECORDS):
            learner.learn([(0, batch, [0] * len(batch))])
        seconds.append(perf_counter() - started)
    found = int(learner.metrics()["rows"])
    if found != live_rows:
        raise RuntimeError(f"{found} rows are live, {live_rows} were meant")
    return min(seconds[1:])
