"""A writer that does exactly what a test says, right or wrong, and the predictor's loop that reads it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from stream_ml import _native
from stream_ml.features import compile_model
from stream_ml.runtime.clock import ManualClock
from stream_ml.serving.client import PredictorClient
from stream_ml.serving.follower import Follower
from stream_ml.serving.results import Score, Scores
from stream_ml.streams.log import Fetch, Log
from stream_ml.streams.memory import MemoryLog, MemoryReader
from stream_ml.weights.artefact import ArtefactReader, Manifest, Parts
from stream_ml.weights.feed import Delta, Interval, cut_into_chunks, encode_chunk, feed_topic
from stream_ml.weights.journal import JournalReader, JournalWriter, journal_topic
from stream_ml.weights.lines import Begin, Claim, Decision, Line, Range, Snapshot, Step, Variant
from stream_ml.weights.snapshots import SnapshotName, SnapshotStore
from tests.clicks import MODEL, events

FEED_PARTITIONS = 2
NAME = "clicks"


class ScriptedWriter:
    """Writer of one variant on a log in memory."""

    def __init__(
        self,
        folder: Path,
        variant: str = "v1",
        log: Log | None = None,
        text: str = MODEL,
        name: str = NAME,
    ) -> None:
        self.name = name
        self.model = compile_model(text)
        self.plan = _native.Plan(self.model.plan_bytes)
        self.learner = _native.Learner(self.plan)
        self.store = GatedStore(str(folder / "snapshots"))
        self.folder, self.text, self.variant = folder, text, variant
        self.log: Log = log or InterruptedLog()
        self.log.ensure_topic(journal_topic(self.name), 1)
        self.log.ensure_topic(feed_topic(self.name), FEED_PARTITIONS)
        self.journal = JournalReader(self.log, journal_topic(self.name))
        self._lines = JournalWriter(self.log, journal_topic(self.name))
        self._feed = self.log.writer()
        self.step = self.learned = self.cut_at = self.epoch = 0

    def say(self, *lines: Line) -> None:
        for line in lines:
            self._lines.append(line)
        self._lines.flush(10)
        self.journal.read_to_end()

    def begin(self) -> None:
        """Begin the journal if it is empty, then the variant, and claim it."""
        if self.log.bounds(journal_topic(self.name), 0).next == 0:
            self.say(Begin(journal=0))
        fingerprint = self.plan.fingerprint
        self.say(
            Variant(
                variant=self.variant,
                fingerprint=fingerprint,
                seed=None,
                topic_id="t",
                events={0: 0},
                why="test",
            )
        )
        self.claim()

    def claim(self) -> None:
        self.say(Claim(variant=self.variant, who="test", step=self.step))
        self.epoch = self.journal.state.variants[self.variant].epoch

    def decide(self) -> None:
        """Decide that this variant serves."""
        self.journal.read_to_end()
        known = self.journal.state.decisions.get("serve")
        replaces = known.place if known else None
        self.say(Decision(kind="serve", variant=self.variant, who="test", why="test", replaces=replaces))

    def learn(self, count: int = 200) -> None:
        """Learn one batch, as a line and in memory."""
        self.learn_unsaid(self._step(count), count)

    def _step(self, count: int) -> int:
        """Say the line of a batch of *count* records; return the first offset."""
        first, self.learned = self.learned, self.learned + count
        self.step += 1
        ranges = (Range(0, first, self.learned, count, 7),)
        self.say(Step(variant=self.variant, epoch=self.epoch, step=self.step, topic_id="t", ranges=ranges))
        return first

    def learn_nothing(self) -> None:
        """Learn one batch, of one event that is refused."""
        self._step(1)
        self.learner.learn([(0, [b"no JSON"], [-1])])

    def learn_unsaid(self, first: int, count: int) -> None:
        batch = events(count, first)
        self.learner.learn([(0, batch, [-1] * count)])

    def interval(self) -> Interval:
        return Interval(
            variant=self.variant,
            fingerprint=self.plan.fingerprint,
            epoch=self.epoch,
            from_step=self.cut_at,
            to_step=self.step,
            learned_at=time.time(),
        )

    def delta(
        self, *, learned_at: float | None = None, fingerprint: str | None = None
    ) -> list[tuple[int, bytes]]:
        """Cut what changed since the last cut; return the records of the feed."""
        cut, interval = self.learner.cut(), self.interval()
        interval = replace(interval, fingerprint=fingerprint or interval.fingerprint)
        interval = replace(interval, learned_at=interval.learned_at if learned_at is None else learned_at)
        self.cut_at = self.step
        whole = Delta(interval, cut.score_state, cut.rows, cut.removed)
        chunks = cut_into_chunks(whole, FEED_PARTITIONS, 2_000)
        return [(partition, encode_chunk(chunk)) for partition, chunk in chunks]

    def delta_of_all(self, from_step: int) -> list[tuple[int, bytes]]:
        """Return the records of a delta of ``(from_step, now]`` that carries every row: more than it must."""
        self.learner.begin_image()
        rows = b"".join(iter(lambda: self.learner.take_image(1000), b""))
        rows += self.learner.seal_image().rows
        interval = replace(self.interval(), from_step=from_step)
        chunks = cut_into_chunks(Delta(interval, self.learner.cut().score_state, rows, b""), FEED_PARTITIONS)
        return [(partition, encode_chunk(chunk)) for partition, chunk in chunks]

    def send(self, records: Sequence[tuple[int, bytes]]) -> None:
        for partition, value in records:
            self._feed.send(feed_topic(self.name), value, partition=partition)
        self._feed.flush(10)

    def publish(self) -> None:
        self.send(self.delta())

    def feed_ends(self) -> dict[int, int]:
        return {at: self.log.bounds(feed_topic(self.name), at).next for at in range(FEED_PARTITIONS)}

    def snapshot(self, *, fingerprint: str | None = None, plan: bytes | None = None) -> SnapshotName:
        """Take a snapshot of now, all of which must be published, and announce it."""
        self.learner.begin_image()
        with self.store.writer(self.name, self.variant) as writer:
            while rows := self.learner.take_image(1000):
                writer.add_rows(rows)
            seal = self.learner.seal_image()
            manifest = Manifest(
                model=self.name,
                variant=self.variant,
                fingerprint=fingerprint or self.plan.fingerprint,
                seed=None,
                epoch=self.epoch,
                step=self.step,
                events={0: self.learned},
                feed=self.feed_ends(),
                total_rows=seal.total_rows,
                rows_hash=seal.rows_hash,
                learned_at=time.time(),
                created_at=time.time(),
            )
            text, plan = self.text.encode(), plan or self.model.plan_bytes
            parts = Parts(seal.removed, seal.state, seal.score_state, text, plan)
            name = writer.finish(manifest, seal.rows, parts)
        self.announce(name, manifest)
        return name

    def announce(self, name: SnapshotName, manifest: Manifest) -> None:
        self.say(
            Snapshot(
                variant=name.variant,
                epoch=name.epoch,
                step=name.step,
                name=str(name),
                checksum=name.checksum,
                events=manifest.events,
                feed=manifest.feed,
                as_of=self.journal.state.place,
                in_force=self.journal.state.in_force(),
            )
        )

    def trim_feed(self) -> None:
        """Forget everything in the feed, as retention does."""
        assert isinstance(self.log, MemoryLog)
        for partition, end in self.feed_ends().items():
            self.log.delete_records(feed_topic(self.name), partition, end)

    def damage(self, name: SnapshotName) -> None:
        """Flip one bit in the middle of a stored snapshot."""
        path = self.folder / "snapshots" / str(name)
        data = bytearray(path.read_bytes())
        data[-len(data) // 20] ^= 1
        path.write_bytes(data)

    def close(self) -> None:
        self.journal.close()
        self._lines.close()
        self._feed.close()

    def prediction(self, event: bytes) -> float:
        """What the learner's rows give for *event*, by a replica made of them alone."""
        self.learner.begin_image()
        replica = _native.Replica(self.plan)
        while rows := self.learner.take_image(1000):
            replica.load_rows(rows)
        seal = self.learner.seal_image()
        replica.load_rows(seal.rows)
        replica.apply(b"", seal.removed, seal.score_state, self.step, 0.0)
        return float(replica.score([event])[0]["prediction"])


def begun(writer: ScriptedWriter) -> ScriptedWriter:
    """Return *writer* with a variant that serves, one batch learned, published, and in a snapshot."""
    writer.begin()
    writer.decide()
    writer.learn()
    writer.publish()
    writer.snapshot()
    return writer


class InterruptedLog(MemoryLog):
    """A log in which a test can act at the moment when a topic is polled, before anything is returned."""

    def __init__(self) -> None:
        super().__init__()
        self._actions: dict[str, list[Callable[[], None]]] = {}

    def at_polls(self, topic: str, *actions: Callable[[], None]) -> None:
        """Do these at the next polls of *topic*, one at each."""
        self._actions[topic] = list(actions)

    def reader(
        self, topic: str, starts: Mapping[int, int], *, keys: bool = False, headers: bool = False
    ) -> MemoryReader:
        return _InterruptedReader(self, topic, starts, keys=keys, headers=headers)

    def polled(self, topic: str) -> None:
        if actions := self._actions.get(topic):
            actions.pop(0)()


class _InterruptedReader(MemoryReader):
    def poll(self, max_records: int, timeout_seconds: float) -> list[Fetch]:
        assert isinstance(self._log, InterruptedLog)
        self._log.polled(self._topic)
        return super().poll(max_records, timeout_seconds)


class GatedStore(SnapshotStore):
    """A store that opens no snapshot while its gate is shut; `opened` are the names asked for."""

    def __init__(self, url: str) -> None:
        super().__init__(url)
        self.gate = threading.Event()
        self.gate.set()
        self.opened: list[str] = []

    @contextmanager
    def open(self, name: SnapshotName | str) -> Iterator[ArtefactReader]:
        self.opened.append(str(name))
        assert self.gate.wait(20), "nobody opened the gate"
        with super().open(name) as snapshot:
            yield snapshot


class Predictor:
    """A front and its follower, moved by hand, and a client."""

    def __init__(self, writer: ScriptedWriter) -> None:
        self.writer = writer
        self.front = _native.Front("127.0.0.1", 0)
        self.clock = ManualClock(time.time())
        self.follower = Follower(NAME, writer.log, writer.store, self.front, clock=self.clock)
        self.client = PredictorClient([f"127.0.0.1:{self.front.port}"], timeout_seconds=0.3)

    def turn(self, times: int = 1) -> None:
        for _ in range(times):
            self.follower.turn(0.0)

    def turn_until(self, condition: Callable[[], bool]) -> None:
        """Turn until *condition*, which needs a snapshot loaded by another thread."""
        give_up_at = time.monotonic() + 20
        while not condition():
            assert time.monotonic() < give_up_at, "it never came to be"
            self.follower.turn(0.001)

    def start(self) -> None:
        self.turn_until(lambda: self.follower.ready)

    def load(self, *before_the_end: Callable[[], None]) -> None:
        """
        Let the snapshot that is waiting at the gate be loaded, and turn once.

        Args:
            before_the_end: done in that turn after the journal was read, at the polls of the feed.
        """
        candidate = self.follower._candidate
        assert candidate is not None
        self.writer.store.gate.set()
        candidate.loading.result(20)
        assert isinstance(self.writer.log, InterruptedLog)
        self.writer.log.at_polls(feed_topic(NAME), *before_the_end)
        self.turn()

    def answer(self, event: bytes) -> Scores:
        return self.client.score([event])

    def score(self, event: bytes) -> Score:
        return self.answer(event).scores[0]

    def close(self) -> None:
        self.client.close()
        self.front.drain(1.0)
