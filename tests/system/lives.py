"""Many lives of one learner on a real broker, each killed, and what must be true after the last."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any

from stream_ml import _native
from stream_ml.features import compile_model
from stream_ml.learning.points import Point
from stream_ml.streams.kafka import KafkaLog
from stream_ml.streams.log import Fetch
from stream_ml.weights.feed import Action, Assembler, decode_chunk
from stream_ml.weights.journal import JournalReader
from stream_ml.weights.lines import Claim, Snapshot, Step
from stream_ml.weights.snapshots import SnapshotStore, load
from tests.clicks import EVALUATE_EVERY, MODEL, event, expected_counts, identity
from tests.servers.kafka import KafkaServer
from tests.servers.processes import Process

GROUP = "lives"
EVENTS_PER_TICK = 20
TICK_SECONDS = 0.02
SETTINGS = """
model_file = "{directory}/model.toml"
snapshot_store = "{directory}/snapshots"
events_topic = "events"
consumer_group = "{group}"
batch_max_records = 40
step_interval_seconds = 0.0
publish_interval_seconds = 0.01
snapshot_interval_seconds = 0.2
commit_interval_seconds = 0.05
takeover_after_seconds = 0.2
heartbeat_interval_seconds = 0.05
feed_partitions = 2
[kafka]
"bootstrap.servers" = "{bootstrap}"
"""


class Lives:
    """One model on one broker; each life sees more events than the one before."""

    def __init__(self, kafka: KafkaServer, directory: Path, partitions: int) -> None:
        self.directory, self.partitions = directory, partitions
        self.log = KafkaLog({"bootstrap.servers": kafka.bootstrap})
        self.log.ensure_topic("events", partitions)
        self.settings = directory / "learner.toml"
        self.settings.write_text(SETTINGS.format(directory=directory, bootstrap=kafka.bootstrap, group=GROUP))
        (directory / "model.toml").write_text(MODEL)
        self._writer = self.log.writer()
        self.produced = 0
        self._processes: list[Process] = []

    def produce(self, count: int) -> None:
        for number in range(self.produced, self.produced + count):
            self._writer.send("events", event(number), key=b"%d" % identity(number))
        self.produced += count

    def killed_at(self, point: Point, times: int) -> None:
        """One life that ends when *point* was reached so many times; events come all the while."""
        life = self.start("tests.system.doomed_learner", f"{point.name}:{times}")
        self.produce_until(lambda: not life.running, 60)
        assert life.wait(0) == -9, f"{point} was not reached\n{life.tail()}"

    def killed_after(self, seconds: float) -> None:
        """One life that ends some seconds after its start, wherever it is; events come all the while."""
        life = self.start()
        self.produce_until(lambda: False, seconds)
        life.kill()

    def produce_until(self, ended: Callable[[], bool], seconds: float) -> None:
        end = time.monotonic() + seconds
        while time.monotonic() < end and not ended():
            self.produce(EVENTS_PER_TICK)
            time.sleep(TICK_SECONDS)

    def last(self) -> dict[str, Any]:
        """A life that learns everything and is asked to stop; return what it says of its state."""
        self.produce(EVENTS_PER_TICK)  # or the life before has committed all there is
        return self.ended(self.start())

    def ended(self, life: Process) -> dict[str, Any]:
        """Let *life* learn everything, ask it to stop, and return what it says of its state."""
        self.flush()
        life.wait_until(self._all_learned, 60)
        assert life.terminate() == 0, life.tail()
        lines = [json.loads(line) for line in life.output().splitlines() if line.startswith("{")]
        # A learner may have gone over from one variant to another.
        return next(line for line in reversed(lines) if line["message"] == "released")

    def flush(self) -> None:
        """Wait until the broker has everything produced."""
        self._writer.flush(60)

    def close(self) -> None:
        for process in self._processes:
            process.kill()
        self._writer.close()
        self.log.close()

    def start(
        self,
        module: str = "services.learner",
        *arguments: str,
        environment: Mapping[str, str] | None = None,
    ) -> Process:
        """Begin a life."""
        log = self.directory / f"life-{len(self._processes)}.log"
        command = ["-m", module, *arguments, "--settings", str(self.settings)]
        self._processes.append(Process.python(command, log, environment).start())
        return self._processes[-1]

    def _all_learned(self) -> bool:
        """Whether the journal has step lines for everything there is."""
        if self.log.topic("clicks.journal") is None:
            return False
        ends = {p: self.log.bounds("events", p).next for p in range(self.partitions)}
        with JournalReader.open(self.log, "clicks.journal") as journal:
            journal.read_to_end()
            serving = journal.state.serving
            return serving is not None and journal.state.variants[serving].events == ends

    # -- what must be true ------------------------------------------------------------------------------

    def replayed(self, *options: str) -> dict[str, Any]:
        """Return what `stream-ml replay` makes of the journal that survived."""
        command = [sys.executable, "-m", "stream_ml", "replay", str(self.settings), "--json", *options]
        done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120)
        found: dict[str, Any] = json.loads(done.stdout)
        return found

    def learned_at_once(self) -> _native.Learner:
        """Return a learner that saw all records of the only partition in one call."""
        learner = self._new_learner()
        (fetch,) = self._whole("events")
        learner.learn([(0, fetch.values, fetch.timestamps_ms)])
        return learner

    def ranges(self) -> dict[int, list[tuple[int, int]]]:
        """Return what the valid step lines of the journal say was learned, by partition, in their order."""
        found: dict[int, list[tuple[int, int]]] = {p: [] for p in range(self.partitions)}
        ends: dict[int, dict[int, int]] = {0: {}}
        with JournalReader(self.log, "clicks.journal") as journal:
            for _, line, verdict in journal.read_to_end():
                if isinstance(line, Step) and verdict.valid:
                    for part in line.ranges:
                        found[part.partition].append((part.first, part.next))
                    ends[line.step] = {p: ranges[-1][1] for p, ranges in found.items() if ranges}
                elif isinstance(line, Snapshot) and verdict.valid:
                    told = {partition: end for partition, end in line.events.items() if end}
                    assert told == ends[line.step], f"{line.name} names other places than its steps"
        return found

    def writers(self) -> int:
        """Return how many claims the journal holds."""
        with JournalReader(self.log, "clicks.journal") as journal:
            return sum(isinstance(entry.line, Claim) for entry in journal.read_to_end())

    def steps(self) -> int:
        """Return how many step lines the journal holds, if there is one."""
        if self.log.topic("clicks.journal") is None:
            return 0
        with JournalReader(self.log, "clicks.journal") as journal:
            return sum(isinstance(entry.line, Step) for entry in journal.read_to_end())

    def keys(self, topic: str) -> list[bytes]:
        return [key for fetch in self._whole(topic) for key in fetch.keys or [] if key]

    def followed(self) -> dict[str, Any]:
        """Return the digest of the rows that a reader of snapshots and feed has in the end."""
        journal = JournalReader(self.log, "clicks.journal")
        journal.read_to_end()
        state = journal.state.variants["v1"]
        journal.close()
        rows, assembler = self._new_learner(), Assembler("v1", compile_model(MODEL).fingerprint)
        for chunk in map(decode_chunk, self._feed()):
            outcome = assembler.offer(chunk, state)
            if outcome.action is Action.APPLY and outcome.delta is not None:
                rows.load_rows(outcome.delta.rows)
                rows.load_removed(outcome.delta.removed)
            elif outcome.action is Action.RESYNC:
                # A reader of old records meets gaps that a snapshot of that time would have filled.
                store = SnapshotStore(str(self.directory / "snapshots"))
                kept = {str(name) for name in store.names("clicks")}
                later = [
                    s for s in state.snapshots if s.step >= chunk.interval.from_step and str(s.name) in kept
                ]
                rows = self._new_learner()
                with store.open(later[0].name) as snapshot:
                    load(snapshot, rows)
                assembler.restart(later[0].step)
        return rows.digest()

    def check(self, last: dict[str, Any]) -> None:
        """The bits are those of a replay (of an uninterrupted run, with one partition), the counts exact."""
        replayed = self.replayed()
        assert digest(replayed) == digest(last)
        for partition, ranges in self.ranges().items():
            assert ranges[0][0] == 0
            assert ranges[-1][1] == self.log.bounds("events", partition).next
            assert all(before[1] == after[0] for before, after in pairwise(ranges)), "a gap, or a range twice"
        assert replayed["learned"] + replayed["duplicates"] + replayed["refused"] == self.produced
        assert len(set(self.keys("clicks.dead-letters"))) == replayed["refused"]
        assert len(set(self.keys("clicks.evaluations"))) == replayed["learned"] // EVALUATE_EVERY
        assert self.followed()["rows_hash"] == last["rows_hash"], "the feed says something else"
        if self.partitions == 1:
            assert digest(self.learned_at_once().digest()) == digest(last)
            counts = expected_counts(self.produced)
            assert (replayed["learned"], replayed["duplicates"], replayed["refused"]) == counts

    def _feed(self) -> Iterator[bytes]:
        """Yield the feed's records, partition 0 before partition 1, as a slow reader may."""
        for fetch in self._whole("clicks.weights"):
            yield from (value for value in fetch.values if value is not None)

    def _new_learner(self) -> _native.Learner:
        return _native.Learner(_native.Plan(compile_model(MODEL).plan_bytes))

    def _whole(self, topic: str) -> list[Fetch]:
        """Return all records of a topic, one fetch a partition."""
        found = self.log.topic(topic)
        assert found is not None
        return [self._all_of(topic, partition) for partition in range(found.partitions)]

    def _all_of(self, topic: str, partition: int) -> Fetch:
        bounds = self.log.bounds(topic, partition)
        reader = self.log.reader(topic, {partition: bounds.first}, keys=True)
        fetches: list[Fetch] = []
        while not fetches or fetches[-1].next < bounds.next:
            came = reader.poll(100_000, 10)
            assert came, f"{topic}[{partition}] does not arrive: {bounds}"
            fetches += came
        reader.close()
        return _joined(fetches)


def digest(said: dict[str, Any]) -> tuple[int, int, int]:
    return said["rows"], said["rows_hash"], said["state_hash"]


def _joined(fetches: list[Fetch]) -> Fetch:
    first, last = fetches[0], fetches[-1]
    return Fetch(
        partition=first.partition,
        first=first.first,
        next=last.next,
        offsets=[offset for fetch in fetches for offset in fetch.offsets],
        keys=[key for fetch in fetches for key in fetch.keys or []],
        values=[value for fetch in fetches for value in fetch.values],
        timestamps_ms=[stamp for fetch in fetches for stamp in fetch.timestamps_ms],
    )
