"""`loadtest replay`: a log is learned again and again, with and without the scans that were kept of it."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import closing, nullcontext
from pathlib import Path
from typing import Any

from loadtest.ingest import LEARNED, records
from loadtest.isolation import Watch, isolated
from loadtest.model import model_file
from loadtest.report import Report
from loadtest.stack import MODEL, Stack, flush
from loadtest.stream import Stream
from stream_ml._native import Learner, Plan
from stream_ml.features.plan import compile_model
from stream_ml.learning.parties import Parties
from stream_ml.learning.points import go_on
from stream_ml.learning.rebuilding import rebuild
from stream_ml.learning.topics import ensure_topics
from stream_ml.streams.kafka import KafkaLog
from stream_ml.streams.scan_cache import ScanCache
from stream_ml.weights.journal import Entry
from stream_ml.weights.snapshots import SnapshotStore

FULL_EVENTS, FULL_ROUNDS = 3_000_000, 5
QUICK_EVENTS, QUICK_ROUNDS = 300_000, 3
EVENTS_PER_RECORD = 50
TOPIC = "events"
ALL_CORES = (0, 1)
LEARNED_SECONDS = 300.0
RETENTION_SECONDS = 600.0
METHOD = (
    "The learner service learns generated events with ids from one partition of a real broker, 50 events a "
    "record. Then its journal is replayed into an empty table, as `stream-ml replay` does it, on the same "
    "two cores: once to fill the cache of scans, then in turn without and with it, each in a fresh process. "
    "Timed from the journal's first line to the last row; the best of each."
)
BARS = {"ratio_cached": "≥ 1.5", "same_bits": "= true"}


def run(quick: bool, seed: int) -> Report:
    """Replay the log several times each way."""
    rounds = QUICK_ROUNDS if quick else FULL_ROUNDS
    stream = Stream(QUICK_EVENTS if quick else FULL_EVENTS, identified=True, seed=seed)
    with Stack(ALL_CORES) as stack:
        _learn_once(stack, stream.path(), stream.events)
        cache = stack.directory / "scans"
        arguments = (stack.kafka.bootstrap, stack.directory / "snapshots")
        cases = [isolated(ALL_CORES, replay, "filling the cache", *arguments, cache)]
        for _ in range(rounds):
            cases.append(isolated(ALL_CORES, replay, "without", *arguments, None))
            cases.append(isolated(ALL_CORES, replay, "cached", *arguments, cache))
        cache_bytes = sum(path.stat().st_size for path in cache.rglob("*.scans"))
    return Report("replay", METHOD, seed, quick, _figures(cases, stream.events, cache_bytes), BARS, cases)


def _figures(cases: list[dict[str, Any]], events: int, cache_bytes: int) -> dict[str, Any]:
    def speed(kind: str) -> int:
        return max(int(case["events/s"]) for case in cases if case["replay"] == kind)

    def cpu_seconds(kind: str) -> float:
        return min(float(case["CPU seconds"]) for case in cases if case["replay"] == kind)

    return {
        "events_per_second": speed("without"),
        "events_per_second_filling": speed("filling the cache"),
        "events_per_second_cached": speed("cached"),
        "ratio_cached": round(speed("cached") / speed("without"), 3),
        "cpu_ratio_cached": round(cpu_seconds("cached") / cpu_seconds("without"), 3),
        "same_bits": len({case["bits"] for case in cases}) == 1,
        "cache_bytes_per_event": round(cache_bytes / events, 1),
    }


def _learn_once(stack: Stack, path: Path, events: int) -> None:
    stack.create_topic(TOPIC)
    producer = stack.producer()
    for value in records(path, EVENTS_PER_RECORD):
        producer.produce(TOPIC, value)
        producer.poll(0)
    flush(producer)
    learner = stack.start_learner(ALL_CORES, TOPIC)
    learner.process.wait_until(lambda: learner.metric(LEARNED) == events, LEARNED_SECONDS)
    learner.stop()


def replay(kind: str, bootstrap: str, store: Path, cache: Path | None) -> dict[str, Any]:
    """Return the line of the table for one replay."""
    model = compile_model(model_file(identified=True))
    plan = Plan(model.plan_bytes)
    watches: list[Watch] = []

    def watched(lines: list[Entry]) -> Iterable[Entry]:
        watches.append(Watch())
        return lines

    with closing(KafkaLog({"bootstrap.servers": bootstrap})) as log:
        topics = ensure_topics(log, MODEL, TOPIC, 1, RETENTION_SECONDS)
        parties = Parties(log, SnapshotStore(str(store)), topics, model, "loadtest", False, go_on)
        with ScanCache(cache, plan, topics.events) if cache else nullcontext() as scans:
            found = rebuild(parties, lambda: Learner(plan), watched=watched, scans=scans).described()
            seconds, cpu_seconds = watches[0].read()
    return {
        "replay": kind,
        "steps": found["step"],
        "seconds": round(seconds, 3),
        "events/s": round(found["learned"] / seconds),
        "CPU seconds": round(cpu_seconds, 3),
        "bits": f"{found['rows_hash']:016x} {found['state_hash']:016x}",
    }
