"""Learners that share their weights, on the log and the shards in memory, wired as the service wires them."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from stream_ml.features import CompiledModel, compile_model
from stream_ml.learning.orders import Order
from stream_ml.learning.parties import Parties
from stream_ml.learning.points import go_on
from stream_ml.learning.topics import ensure_topics
from stream_ml.runtime.clock import SystemClock
from stream_ml.runtime.lifecycle import Stop
from stream_ml.runtime.settings import LearnerSettings
from stream_ml.sharing.starting import SharedStart
from stream_ml.sharing.variant import SharedVariant
from stream_ml.sharing.wiring import Sharing
from stream_ml.streams.memory import MemoryLog
from stream_ml.weights.journal import JournalWriter
from stream_ml.weights.lines import Layout
from stream_ml.weights.shards import Shards
from stream_ml.weights.shards_memory import MemoryShards
from stream_ml.weights.snapshots import SnapshotStore
from tests.clicks import MODEL
from tests.servers.processes import wait_until

SHARDS = 3


@dataclass
class Rig:
    """A model, its events in memory, the shards (*new_shards* makes so many), its snapshots in *folder*."""

    folder: Path
    partitions: int = 1
    model_text: str = MODEL
    overrides: dict[str, Any] = field(default_factory=dict)
    order: Order | None = None
    new_shards: Callable[[int], Shards] = MemoryShards

    def __post_init__(self) -> None:
        self.log = MemoryLog()
        self.log.ensure_topic("events", self.partitions)
        self.shards = self.new_shards(SHARDS)
        self.layout = Layout(0, SHARDS)
        self.names = itertools.count()
        self.store = SnapshotStore(str(self.folder / "snapshots"))
        self.folder.mkdir(exist_ok=True)
        (self.folder / "model.toml").write_text(self.model_text)

    @property
    def model(self) -> CompiledModel:
        return compile_model(self.model_text)

    def settings(self) -> LearnerSettings:
        return LearnerSettings(
            **{
                "kafka": {"bootstrap.servers": "memory"},
                "model_file": self.folder / "model.toml",
                "weights": "redis://memory",
                "redis_shards": SHARDS,
                "poll_wait_seconds": 0.005,
                "publish_interval_seconds": 0.005,
                "heartbeat_interval_seconds": 0.1,
                "takeover_after_seconds": 0.5,
                "batch_max_records": 20,
                "redis_batches_joined": 1,
                "commit_interval_seconds": 0.01,
                **self.overrides,
            }
        )

    def send(self, events: Iterable[bytes], partition: int | None = 0) -> None:
        with self.log.writer() as writer:
            for event in events:
                writer.send("events", event, partition=partition)

    def parties(self, layout: Layout | None) -> Parties:
        topics = ensure_topics(self.log, self.model.model_file.name, "events", 2, 86_400.0)
        who = f"learner-{next(self.names)}"
        return Parties(self.log, self.store, topics, self.model, who, False, go_on, layout)

    def life(self, *, accept_loss: bool = False) -> Life:
        """Begin a learner's life; it ends when it is asked to."""
        return Life(self, accept_loss)

    def fences(self) -> list[dict[int, int]]:
        """By shard, up to where it has each partition."""
        looks = [self.shards.look(shard) for shard in range(self.shards.count)]
        return [{p: fence.next for p, fence in look.fences.items()} for look in looks]

    def all_pushed(self) -> bool:
        ends = {p: self.log.bounds("events", p).next for p in range(self.partitions)}
        return all(fences == ends for fences in self.fences())


class Life:
    """A learner in a thread."""

    def __init__(self, rig: Rig, accept_loss: bool) -> None:
        parties = replace(rig.parties(rig.layout), accept_loss=accept_loss)
        settings, clock = rig.settings(), SystemClock()
        journal = JournalWriter(rig.log, parties.topics.journal.name)
        begun: list[str] = []

        def shards_of(variant: SharedVariant) -> Shards:
            if begun:
                # Asked again: of a variant begun after a loss, which has none yet.
                rig.shards = rig.new_shards(SHARDS)
            begun.append(variant.name)
            return rig.shards

        start = SharedStart(parties, journal, shards_of, settings, clock, rig.order)
        parties, self.variant, shards = start.run()
        self.sharing = Sharing(parties, self.variant, shards, journal, rig.log.writer(), settings, clock)
        self.stop = Stop()
        self.error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def wait_until(self, done: Callable[[], bool], seconds: float = 20) -> None:
        def over() -> bool:
            if self.error is not None:
                raise self.error
            return done()

        wait_until(over, seconds)

    def end(self) -> None:
        self.stop.request()
        self._thread.join(20)
        assert not self._thread.is_alive()
        if self.error is not None:
            raise self.error

    @property
    def running(self) -> bool:
        return self._thread.is_alive()

    def wait_ended(self) -> None:
        """Wait until it ends by itself."""
        self.wait_until(lambda: not self.running)

    def _run(self) -> None:
        try:
            self.sharing.run(self.stop)
        except BaseException as error:  # shown to the test's own thread
            self.error = error
