"""`loadtest recover`: a large model's processes are started again; how long until they are what they were."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from time import perf_counter, sleep
from typing import Any

import xxhash

from loadtest.isolation import isolated
from loadtest.report import Report
from loadtest.stack import Service, Stack, flush
from loadtest.wide import EVENTS_PER_RECORD, ROWS_PER_RECORD, Wide
from stream_ml._native import Learner
from stream_ml.serving.client import PredictorClient
from stream_ml.weights.snapshots import SnapshotStore

TOPIC = MODEL = "wide"
ALL_CORES = (0, 1)
WINDOW = 100_000
POLL_SECONDS = 0.02
LONGEST_SECONDS = 300.0
# No snapshot but the one at the end.
NEVER_SECONDS = 1e6
UNKNOWN_TIME = -1
LEARNED = "stream_ml_learner_learned_total"
STEP = "stream_ml_learner_step"
METHOD = (
    "Events whose five features are all new go through a real broker into the learner service on the same "
    "two cores, until the model has that many rows; it is stopped, which takes a snapshot. Started again it "
    "learns some more and is killed (SIGKILL). Then: from the start of a learner until it has the step it "
    "was killed at (snapshot, then replay of the journal); from the start of a predictor until a client has "
    "its first score (snapshot, then the feed). The rate of replay leaves out the time in which the learner "
    "started with nothing to replay. Same bits: rows and state of the snapshot it takes at the end equal "
    "those of a learner in process that learned the same records without any stop."
)
BARS = {"seconds_to_first_score": "≤ 10", "same_bits": "= true"}


@dataclass(frozen=True, slots=True)
class Size:
    """Rows in the snapshot, and those of the events to replay."""

    rows: int
    replayed_rows: int

    @property
    def records(self) -> int:
        """All of them."""
        return (self.rows + self.replayed_rows) // ROWS_PER_RECORD


FULL = Size(rows=160_000 * ROWS_PER_RECORD, replayed_rows=16_000 * ROWS_PER_RECORD)
QUICK = Size(rows=10_000 * ROWS_PER_RECORD, replayed_rows=2_000 * ROWS_PER_RECORD)


def run(quick: bool, seed: int) -> Report:
    """Make the model, kill and start; compare."""
    size = QUICK if quick else FULL
    with Stack(ALL_CORES) as stack:
        figures = _measure(stack, size)
    return Report("recover", METHOD, seed, quick, {"rows": size.rows, **figures}, BARS)


def _measure(stack: Stack, size: Size) -> dict[str, Any]:
    stack.create_topic(TOPIC)
    records = Wide(WINDOW).records(size.rows + size.replayed_rows)
    _produce(stack, records, size.rows // ROWS_PER_RECORD)
    learner = _start_learner(stack)
    _wait(learner, LEARNED, size.rows // ROWS_PER_RECORD * EVENTS_PER_RECORD)
    learner.process.terminate(LONGEST_SECONDS)

    started = perf_counter()
    learner = _start_learner(stack)
    seconds_to_load = perf_counter() - started
    _produce(stack, records, size.replayed_rows // ROWS_PER_RECORD)
    _wait(learner, LEARNED, size.records * EVENTS_PER_RECORD)
    step = learner.metric(STEP)
    learner.process.kill()

    started = perf_counter()
    learner = _start_learner(stack)
    _wait(learner, STEP, step)
    seconds_to_same_step = perf_counter() - started
    seconds_to_first_score = _first_score(stack)
    learner.process.terminate(LONGEST_SECONDS)
    replayed = size.replayed_rows // ROWS_PER_RECORD * EVENTS_PER_RECORD
    return {
        "seconds_to_first_score": round(seconds_to_first_score, 2),
        "seconds_to_same_step": round(seconds_to_same_step, 2),
        "same_bits": _last_snapshot(stack) == isolated(ALL_CORES, learn_in_process, size.records),
        "seconds_to_load": round(seconds_to_load, 2),
        "replayed_events": replayed,
        "replayed_events_per_second": round(replayed / max(seconds_to_same_step - seconds_to_load, 0.001)),
    }


def _produce(stack: Stack, records: Iterable[bytes], count: int) -> None:
    producer = stack.producer()
    for _, record in zip(range(count), records, strict=False):
        producer.produce(TOPIC, record)
        producer.poll(0)
    flush(producer)


def _start_learner(stack: Stack) -> Service:
    text = Wide(WINDOW).model_file()
    return stack.start_learner(ALL_CORES, TOPIC, MODEL, text=text, snapshot_interval_seconds=NEVER_SECONDS)


def _wait(service: Service, metric: str, wanted: float) -> None:
    """Wait until a metric has the value."""
    deadline = perf_counter() + LONGEST_SECONDS
    while (found := service.metric(metric)) < wanted:
        if perf_counter() > deadline:
            raise TimeoutError(f"{metric} is {found:.0f}, not {wanted:.0f}, after {LONGEST_SECONDS} s")
        sleep(POLL_SECONDS)


def _first_score(stack: Stack) -> float:
    """Return the seconds from the start of a predictor until its first score came."""
    started = perf_counter()
    predictor, port = stack.start_predictor(ALL_CORES, MODEL)
    with PredictorClient([f"127.0.0.1:{port}"]) as client:
        client.score([b'{"tokens":"000000000"}'])
    seconds = perf_counter() - started
    predictor.stop()
    return seconds


def _last_snapshot(stack: Stack) -> tuple[int, int, int]:
    """Return count and hash of the newest snapshot's rows, and the hash of its learner's state."""
    store = SnapshotStore(str(stack.directory / "snapshots"))
    with store.open(store.names(MODEL)[0]) as snapshot:
        manifest, state = snapshot.manifest, snapshot.parts().state
    return manifest.total_rows, manifest.rows_hash, xxhash.xxh3_64_intdigest(state)


def learn_in_process(records: int) -> tuple[int, int, int]:
    """Return the same of a learner that learned the records one by one."""
    learner = Learner(Wide(WINDOW).plan(), scan_threads=0)
    for record in Wide(WINDOW).records(records * ROWS_PER_RECORD):
        learner.learn([(0, [record], [UNKNOWN_TIME])])
    digest = learner.digest()
    return digest["rows"], digest["rows_hash"], digest["state_hash"]
