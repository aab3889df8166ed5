"""Learners on a real broker that share their weights in a real Redis, and what must be true after all."""

from __future__ import annotations

import json
import re
import time
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

from stream_ml.features import compile_model
from stream_ml.streams.kafka import KafkaLog
from stream_ml.weights.journal import JournalReader
from stream_ml.weights.redis.access import Access, connect
from stream_ml.weights.redis.shards import RedisShards
from stream_ml.weights.shards import ShardUnavailable
from stream_ml.weights.snapshots import SnapshotStore
from tests.clicks import event, identity
from tests.servers.kafka import LOGGING, KafkaServer
from tests.servers.processes import Process, free_port, wait_until
from tests.unit.sharing.exact import COUNTING, blobs, check_counts, check_outputs, check_totals

SESSION_SECONDS = 1.5
SETTINGS = """
model_file = "{directory}/model.toml"
snapshot_store = "{directory}/snapshots"
events_topic = "events"
weights = "{redis}"
redis_shards = {shards}
redis_timeout_seconds = 1.0
batch_max_records = {batch_records}
redis_batches_joined = {joined}
batch_max_bytes = 262144
publish_interval_seconds = 0.2
snapshot_interval_seconds = 2.0
commit_interval_seconds = 0.5
feed_partitions = 2
[kafka]
"bootstrap.servers" = "{bootstrap}"
"session.timeout.ms" = "{session_milliseconds}"
"heartbeat.interval.ms" = "300"
"queued.max.messages.kbytes" = "2048"
"""
_ENDED = re.compile(r'stream_ml_learner_ownerships_ended_total\{answer="(\w+)",model="\w+"\} ([\d.e+]+)')
_METRIC = r'{name}\{{model="\w+"\}} ([\d.e+-]+)'


def quick_groups(directory: Path) -> KafkaServer:
    """Return a broker that misses a learner after a second or two, and logs the generations of groups."""
    server = KafkaServer(directory, {"group.min.session.timeout.ms": 300})
    told = '<Logger name="org.apache.kafka.coordinator.group" level="INFO"/>'
    (directory / "log4j2.xml").write_text(LOGGING.replace("<Loggers>", f"<Loggers>{told}"))
    return server


class Learner:
    """One life of one learner."""

    def __init__(self, process: Process, port: int) -> None:
        self.process, self._port = process, port

    def metrics(self) -> str:
        """Return what /metrics says; nothing while it does not answer."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self._port}/metrics", timeout=5) as answer:
                text: str = answer.read().decode()
                return text
        except OSError:
            return ""

    def ended(self) -> Counter[str]:
        """Return how many ownerships ended, by answer."""
        return Counter({answer: int(float(count)) for answer, count in _ENDED.findall(self.metrics())})

    def pushed_events(self) -> int:
        """Return how many events it has learned and pushed."""
        return int(self.metric("stream_ml_learner_pushed_events_total") or 0)

    def metric(self, name: str) -> float | None:
        """Return a metric of the model; None where it has not been set."""
        found = re.search(_METRIC.format(name=name), self.metrics())
        return float(found[1]) if found else None

    def restored_rows(self) -> int:
        """Return how many rows it has brought back to shards that were empty."""
        lines = [json.loads(line) for line in self.process.output().splitlines() if line.startswith("{")]
        return sum(line["rows"] for line in lines if line["message"] == "shard restored")

    def rss_bytes(self) -> int:
        """Return its resident memory."""
        pages = Path(f"/proc/{self.process.pid}/statm").read_text().split()[1]
        return int(pages) * 4096


class SharedLives:
    """A model, its events on one broker, and the learners that share its rows."""

    def __init__(
        self,
        kafka: KafkaServer,
        redis: str,
        directory: Path,
        partitions: int,
        shards: int = 4,
        model: str = COUNTING,
        small_batches: bool = False,
    ) -> None:
        """*small_batches*: so that no learner's rows are much older than another's, whatever is behind."""
        directory.mkdir(exist_ok=True)
        self.kafka, self.directory, self.partitions, self.model = kafka, directory, partitions, model
        self.log = KafkaLog({"bootstrap.servers": kafka.bootstrap})
        self.log.ensure_topic("events", partitions)
        self.name = compile_model(model).model_file.name
        (directory / "model.toml").write_text(model)
        self.settings = directory / "learner.toml"
        self.settings.write_text(
            SETTINGS.format(
                directory=directory,
                redis=redis,
                shards=shards,
                bootstrap=kafka.bootstrap,
                session_milliseconds=int(1000 * SESSION_SECONDS),
                batch_records=20 if small_batches else 200,
                joined=1 if small_batches else 8,
            )
        )
        self.shards = RedisShards(connect(Access(redis)), f"{self.name}/v1", 0, shards)
        self.records: list[list[bytes]] = [[] for _ in range(partitions)]
        self.produced = 0
        self._writer = self.log.writer()
        self._lives: list[Learner] = []

    # -- events ------------------------------------------------------------------------------------------

    def produce(self, count: int, padding: int = 0) -> None:
        """Send the next events, each larger by *padding*; a repeat comes where what it repeats came."""
        for number in range(self.produced, self.produced + count):
            told, partition = event(number) + b" " * padding, identity(number) % self.partitions
            self._writer.send("events", told, partition=partition)
            self.records[partition].append(told)
        self.produced += count

    def produce_until(self, ended: Callable[[], bool], seconds: float, each_tick: int = 20) -> None:
        """Send events until then."""
        end = time.monotonic() + seconds
        while time.monotonic() < end and not ended():
            self.produce(each_tick)
            time.sleep(0.05)

    # -- learners ----------------------------------------------------------------------------------------

    def start(self, redis: str = "") -> Learner:
        """Begin a life; *redis*: another way to the same."""
        port = free_port()
        log = self.directory / f"life-{len(self._lives)}.log"
        command = ["-m", "services.learner", "--settings", str(self.settings)]
        environment = {"STREAM_ML_HTTP_PORT": str(port)} | ({"STREAM_ML_WEIGHTS": redis} if redis else {})
        process = Process.python(command, log, environment).start()
        self._lives.append(Learner(process, port))
        return self._lives[-1]

    def close(self) -> None:
        for life in self._lives:
            life.process.thaw()
            life.process.kill()
        self._writer.close()
        self.log.close()

    def generation(self) -> int:
        """Return the group's generation, as the broker tells."""
        told = re.findall(rf"group {self.name}\.learner generation (\d+)", self.kafka.process.output())
        return max(map(int, told), default=0)

    # -- what must be true -------------------------------------------------------------------------------

    def all_pushed(self) -> bool:
        """Whether every shard answers, and has every event."""
        try:
            looks = [self.shards.look(shard) for shard in range(self.shards.count)]
        except ShardUnavailable:
            return False
        ends = {partition: len(values) for partition, values in enumerate(self.records)}
        return all({p: fence.next for p, fence in look.fences.items()} == ends for look in looks)

    def wait_until_pushed(self, seconds: float = 60) -> None:
        self._writer.flush(30)
        wait_until(self.all_pushed, seconds, self.stand)

    def stand(self) -> str:
        """Return what is to be read when something is not as it should be."""
        ends = [len(values) for values in self.records]
        said = [f"ends {ends}"]
        for shard in range(self.shards.count):
            try:
                look = self.shards.look(shard)
            except ShardUnavailable as error:
                said.append(f"shard {shard}: {error}")
            else:
                said.append(f"{look.kind}: {[fence.next for _, fence in sorted(look.fences.items())]}")
        for process in (life.process for life in self._lives):
            said.append(f"-- {process.log.name}, {process.running}\n{process.tail(8)}")
        return "\n".join(said)

    def check(self) -> None:
        """Every count is exact, every fence at its end, every output there."""
        check_counts(self.shards, compile_model(self.model).plan_bytes, self.records)
        self.check_totals()

    def check_totals(self) -> None:
        """What was learned, repeated and refused is exact, every output is there."""
        plan = compile_model(self.model).plan_bytes
        check_totals(self.shards, plan, self.records)
        letters = set(self.keys(f"{self.name}.dead-letters"))
        evaluations = set(self.keys(f"{self.name}.evaluations"))
        check_outputs(self.shards, plan, self.partitions, letters, evaluations)

    def log_loss(self) -> float:
        """Return the progressive log loss of all that was learned, as the partitions' blobs have it."""
        said = blobs(self.shards, compile_model(self.model).plan_bytes, self.partitions)
        return sum(each["loss_sum"] for each in said) / sum(each["importance_sum"] for each in said)

    def rows_in_snapshots(self) -> int:
        """Return how many rows the newest announced snapshot has."""
        with JournalReader.open(self.log, f"{self.name}.journal") as journal:
            journal.read_to_end()
            newest = journal.state.variants["v1"].snapshots[-1:]
        store = SnapshotStore(str(self.directory / "snapshots"))
        for announced in newest:
            with store.open(announced.name) as snapshot:
                return snapshot.manifest.total_rows
        return 0

    def keys(self, topic: str) -> Iterator[bytes]:
        """Yield the keys of a topic's records."""
        described = self.log.topic(topic)
        assert described is not None
        for partition in range(described.partitions):
            bounds = self.log.bounds(topic, partition)
            at = bounds.first
            reader = self.log.reader(topic, {partition: at}, keys=True)
            while at < bounds.next:
                for fetch in reader.poll(10_000, 10):
                    yield from (key for key in fetch.keys or [] if key)
                    at = fetch.next
            reader.close()
