"""A learner that shares its weights, in this process: records in memory, rows in a real Redis."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from loadtest.model import MODEL_FILE
from loadtest.rows import generated_rows
from stream_ml.features import compile_model
from stream_ml.learning.parties import Parties
from stream_ml.learning.points import go_on
from stream_ml.learning.topics import ensure_topics
from stream_ml.runtime import metrics
from stream_ml.runtime.clock import SystemClock
from stream_ml.runtime.lifecycle import Stop
from stream_ml.runtime.settings import LearnerSettings
from stream_ml.sharing.places import JournalPlaces
from stream_ml.sharing.restoring import Beginning, Restorer
from stream_ml.sharing.rows import PACKED, RESERVED, shard_of
from stream_ml.sharing.variant import KeptShards, SharedVariant, redis_shards
from stream_ml.sharing.wiring import Sharing
from stream_ml.streams.memory import MemoryLog
from stream_ml.weights.journal import JournalWriter
from stream_ml.weights.lines import Layout
from stream_ml.weights.shards import Rows
from stream_ml.weights.snapshots import SnapshotStore

TOPIC = "events"
PARTITIONS = 2
NEVER_SECONDS = 86_400.0
LOOK_SECONDS = 0.001


class SharedLearner:
    """The parts of the service, wired by its own code, but for the broker: the log is in memory."""

    def __init__(self, url: str, folder: Path, **settings: Any) -> None:
        """Begin a variant in the Redis at *url*; snapshots go to *folder*."""
        self.log = MemoryLog()
        self.log.ensure_topic(TOPIC, PARTITIONS)
        self.settings = LearnerSettings(
            **{
                "kafka": {"bootstrap.servers": "memory"},
                "model_file": MODEL_FILE,
                "weights": url,
                "snapshot_interval_seconds": NEVER_SECONDS,
                **settings,
            }
        )
        model = compile_model(MODEL_FILE.read_text())
        name = model.model_file.name
        self._store = SnapshotStore(str(folder))
        topics = ensure_topics(self.log, name, TOPIC, PARTITIONS, NEVER_SECONDS)
        layout = Layout(0, self.settings.redis_shards)
        parties = Parties(self.log, self._store, topics, model, "learner", False, go_on, layout)
        self._journal = JournalWriter(self.log, topics.journal.name)
        _, self.variant = SharedVariant.begun(parties, self._journal)
        self.shards = redis_shards(self.variant, name, url, self.settings)
        self.sharing = Sharing(
            parties,
            self.variant,
            self.shards,
            self._journal,
            self.log.writer(),
            self.settings,
            SystemClock(),
        )
        clock = SystemClock()
        self.kept = KeptShards(parties, self.variant, self.shards, self._journal, self.settings, clock)

    def fill(self, records: Iterable[bytes]) -> None:
        """Append events, dealt to the partitions in turn."""
        with self.log.writer() as writer:
            for at, record in enumerate(records):
                writer.send(TOPIC, record, partition=at % PARTITIONS)

    def load(self, rows: int, seed: int) -> None:
        """Restore the shards with so many generated rows."""
        places = JournalPlaces(
            self._journal, self.variant.number, self.variant.name, self.variant.layout, "load"
        )
        source = _Generated(self._store, rows, seed, self.shards.count)
        restore = Restorer(self.shards, places, lambda _shard: source, self.kept.homes.choose)
        for shard in range(self.shards.count):
            restore(shard)

    @contextmanager
    def running(self) -> Iterator[None]:
        """Let it learn, in threads of its own."""
        stop, errors = Stop(), list[BaseException]()

        def run() -> None:
            try:
                self.sharing.run(stop)
            except BaseException as error:  # raised again by the thread that began it
                errors.append(error)

        thread = threading.Thread(target=run)
        thread.start()
        try:
            yield
        finally:
            stop.request()
            thread.join()
        if errors:
            raise errors[0]

    def wait_until_learned(self) -> None:
        """Wait until all shards have all events."""
        ends = {p: self.log.bounds(TOPIC, p).next for p in range(PARTITIONS)}
        while self.sharing.loop.fences != ends:
            time.sleep(LOOK_SECONDS)

    def stages(self) -> dict[str, float]:
        """Return what its metrics say: seconds of each stage, and how many batches there were."""
        seconds: dict[str, float] = {}
        for sample in next(iter(metrics.LEARNER_STAGE_SECONDS.collect())).samples:
            if sample.name.endswith("_sum"):
                seconds[sample.labels["stage"]] = sample.value
            elif sample.name.endswith("_count"):
                seconds["batches"] = sample.value
        return seconds


class _Generated:
    """Shards as they begin, with rows that a learner might have written."""

    def __init__(self, store: SnapshotStore, rows: int, seed: int, shards: int) -> None:
        self._rows, self._seed, self._count = rows, seed, shards
        events = dict.fromkeys(range(PARTITIONS), 0)
        self.image = Beginning(events, store, None, shards).image

    def rows(self, shard: int) -> Iterator[Rows]:
        """Yield those of the shard."""
        for piece in generated_rows(self._rows, self._seed):
            every = np.frombuffer(piece, PACKED)
            mine = every[(shard_of(every["id"], self._count) == shard) & (every["id"] >= RESERVED)]
            order = np.argsort(mine["id"])
            yield Rows(mine["id"][order].copy(), mine["values"][order].copy())
