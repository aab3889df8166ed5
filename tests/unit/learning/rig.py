"""A learner on the log in memory: its parts wired as the service wires them, ended at any point."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from stream_ml import _native
from stream_ml.features import CompiledModel, compile_model
from stream_ml.learning.orders import Order
from stream_ml.learning.parties import Parties
from stream_ml.learning.points import Point, Reached, go_on
from stream_ml.learning.starting import Start, Started
from stream_ml.learning.topics import ensure_topics
from stream_ml.learning.writing import WriterLoop
from stream_ml.runtime.clock import SystemClock
from stream_ml.runtime.lifecycle import Stop
from stream_ml.runtime.settings import LearnerSettings
from stream_ml.streams.log import Fetch, Log
from stream_ml.streams.memory import MemoryLog, MemoryWriter
from stream_ml.weights.feed import Chunk, decode_chunk
from stream_ml.weights.journal import Entry, JournalReader, JournalWriter
from stream_ml.weights.snapshots import SnapshotStore
from tests.clicks import MODEL
from tests.servers.processes import wait_until


class Killed(BaseException):
    """The process ends here: nothing is caught, nothing is finished."""


@dataclass
class EndAt:
    """Ends the life of a learner when *point* was reached *times* times, or does nothing without a point."""

    point: Point | None = None
    times: int = 1
    seen: list[Point] = field(default_factory=list)

    def __call__(self, point: Point) -> None:
        self.seen.append(point)
        if point is self.point and self.seen.count(point) == self.times:
            raise Killed


@dataclass
class Rig:
    """A model, its events in memory, and its snapshots in *folder*."""

    folder: Path
    partitions: int = 1
    model_text: str = MODEL
    accept_loss: bool = False
    order: Order | None = None
    overrides: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.log = MemoryLog()
        self.log.ensure_topic("events", self.partitions)
        self.names = itertools.count()
        self.store = SnapshotStore(str(self.folder / "snapshots"))

    @property
    def model(self) -> CompiledModel:
        return compile_model(self.model_text)

    def settings(self) -> LearnerSettings:
        return LearnerSettings(
            **{
                "kafka": {"bootstrap.servers": "memory"},
                "model_file": self.folder / "model.toml",
                "snapshot_interval_seconds": 0.05,
                "step_interval_seconds": 0.0,
                "poll_wait_seconds": 0.005,
                "publish_interval_seconds": 0.005,
                "batch_max_records": 20,
                "takeover_after_seconds": 0.05,
                "heartbeat_interval_seconds": 0.01,
                "commit_interval_seconds": 0.01,
                **self.overrides,
            }
        )

    def send(self, events: Iterable[bytes], partition: int | None = 0) -> None:
        with self.log.writer() as writer:
            for event in events:
                writer.send("events", event, partition=partition)

    def run_to_the_end(self, end: Reached | None = None) -> Life:
        """Run one life until everything that is in the log is learned, or *end* ends it."""
        life = Life(self, end or EndAt())
        life.run()
        return life

    def in_background(self, reached: Reached = go_on, log: Log | None = None) -> BackgroundLife:
        """Begin a life that goes on until it is asked to stop."""
        return BackgroundLife(self, reached, log)

    def forget_broker(self) -> None:
        """Begin with an empty broker, as when the embedded one was restarted."""
        self.log = MemoryLog()
        self.log.ensure_topic("events", self.partitions)

    @property
    def snapshots(self) -> list[Path]:
        """The stored ones, oldest step first."""
        return sorted(self.folder.rglob("*.safetensors"), key=lambda path: int(path.name.split("-")[1]))

    def records(self, topic: str) -> list[Fetch]:
        found = self.log.topic(topic)
        assert found is not None
        starts = {p: self.log.bounds(topic, p).first for p in range(found.partitions)}
        return self.log.reader(topic, starts, keys=True).poll(1_000_000, 0)

    def journal(self) -> list[Entry]:
        return JournalReader(self.log, "clicks.journal").read_to_end()

    def chunks(self) -> list[Chunk]:
        return [decode_chunk(value) for fetch in self.records("clicks.weights") for value in fetch.values]

    def keys(self, topic: str) -> list[bytes | None]:
        return [key for fetch in self.records(topic) for key in fetch.keys or []]


class _StopWhenLearned(Stop):
    """Asks for the end once the events are learned."""

    def __init__(self, life: Life) -> None:
        super().__init__()
        self._life = life

    def requested(self) -> bool:
        return super().requested() or self._life.all_learned()


class Life:
    """One life of a learner process."""

    def __init__(self, rig: Rig, reached: Reached, log: Log | None = None) -> None:
        self.rig, self._reached, self.log = rig, reached, log or rig.log
        self.killed = self.caught_up = False
        self.loop: WriterLoop | None = None
        self.started: Started | None = None
        self.who = f"life-{next(rig.names)}"

    def all_learned(self) -> bool:
        """Whether the loop has learned all there is."""
        if self.loop is None:
            return False
        topic = self.rig.log.topic("events")
        assert topic is not None
        return self.loop.events == {p: self.rig.log.bounds("events", p).next for p in range(topic.partitions)}

    def run(self) -> None:
        try:
            self.run_until(_StopWhenLearned(self))
        except Killed:
            self.killed = True

    def run_until(self, stop: Stop) -> None:
        rig, clock = self.rig, SystemClock()
        settings = rig.settings()
        parties = Parties(
            log=self.log,
            store=rig.store,
            topics=ensure_topics(self.log, "clicks", "events", 2, 60.0),
            model=rig.model,
            who=self.who,
            accept_loss=rig.accept_loss,
            reached=self._reached,
        )
        journal = JournalWriter(self.log, "clicks.journal")
        takeover_after = settings.takeover_after_seconds
        while not stop.requested():
            started = Start(
                parties, journal, new_learner, takeover_after, clock, rig.order, self._catches_up
            ).run(stop)
            if started is not None:
                self.started = started
                self.loop = WriterLoop(started, journal, self.log.writer(), settings, clock)
                self.loop.run(stop)
            elif rig.order is not None:
                return

    def _catches_up(self) -> None:
        self.caught_up = True

    @property
    def digest(self) -> dict[str, Any]:
        assert self.started is not None
        return self.started.loaded.replay.learner.digest()

    @property
    def counts(self) -> dict[str, float]:
        assert self.started is not None
        return self.started.loaded.replay.learner.metrics()


class HoldingLog:
    """The log of another process whose records to *topic*, or whose acknowledgements, can be held back."""

    def __init__(self, log: MemoryLog, topic: str, *, acknowledgements: bool = False) -> None:
        self._log, self.held_topic, self.acknowledgements = log, topic, acknowledgements
        self.held: list[Callable[[], None]] = []
        self.holding = False

    def __getattr__(self, name: str) -> Any:
        return getattr(self._log, name)

    def writer(self) -> HoldingWriter:
        return HoldingWriter(self, self._log)

    def let_go(self) -> None:
        """Let everything out that was held, in its order, and hold nothing any more."""
        self.holding = False
        while self.held:
            self.held.pop(0)()


class HoldingWriter(MemoryWriter):
    """The writer of a `HoldingLog`."""

    def __init__(self, holder: HoldingLog, log: MemoryLog) -> None:
        super().__init__(log)
        self._holder = holder

    def send(self, topic: str, value: bytes | None, **options: Any) -> None:
        holder, plainly = self._holder, super().send
        if not holder.holding or topic != holder.held_topic:
            plainly(topic, value, **options)
        elif holder.acknowledgements:
            acknowledge = options.pop("on_delivered")
            plainly(
                topic,
                value,
                **options,
                on_delivered=lambda *place: holder.held.append(lambda: acknowledge(*place)),
            )
        else:
            holder.held.append(lambda: plainly(topic, value, **options))


class BackgroundLife(Life):
    """A life in a thread of its own, from now until `end`; what ends it by itself is its `error`."""

    def __init__(self, rig: Rig, reached: Reached, log: Log | None) -> None:
        super().__init__(rig, reached, log)
        self.stop = Stop()
        self._thread = ThreadPoolExecutor(1)
        self._running = self._thread.submit(self.run_until, self.stop)

    @property
    def error(self) -> BaseException | None:
        """What ended it; waits for the end."""
        return self._running.exception(timeout=20)

    def wait_until_learned(self) -> None:
        """Wait until all that is in the log is learned."""
        wait_until(lambda: self._running.done() or self.all_learned())

    def end(self) -> None:
        """Ask it to stop, wait, and raise what it raised."""
        self.stop.request()
        self._running.result(timeout=20)
        self._thread.shutdown()


def new_learner(model: CompiledModel) -> _native.Learner:
    return _native.Learner(_native.Plan(model.plan_bytes))
