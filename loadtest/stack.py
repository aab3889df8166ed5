"""The real services on a real broker, on this machine: what every load test but `learn` runs on."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
import urllib.request
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

from loadtest.model import model_file
from stream_ml.streams.kafka_settings import reader_settings
from tests.servers.kafka import KafkaServer
from tests.servers.processes import Process, free_port

MODEL = "criteo"
READY_SECONDS = 60.0
FLUSH_SECONDS = 120.0
# At a time, for room in a producer's queue.
QUEUE_SECONDS = 0.1
# Of the producers of the load: what a busy producer sets.
PRODUCER = {"linger.ms": 5, "batch.size": 262_144, "queue.buffering.max.messages": 1_000_000}


class Service:
    """One of our services in a process of its own, with a settings file of its own."""

    def __init__(
        self, name: str, directory: Path, settings: Mapping[str, Any], leaking: Sequence[float] = ()
    ) -> None:
        """
        Write the settings file.

        Args:
            leaking: what it is to lose a second, as `loadtest.leaking` wants it; nothing if empty.
        """
        self.http_port = free_port()
        file = directory / f"{name}-{self.http_port}.toml"
        # A JSON value is a TOML value, but for tables.
        lines = [f"{key} = {json.dumps(value, default=str)}" for key, value in settings.items()]
        file.write_text("\n".join([*lines, f"http_port = {self.http_port}"]))
        module = ["loadtest.leaking", name, *map(str, leaking)] if leaking else [f"services.{name}"]
        self.process = Process.python(["-m", *module, "--settings", str(file)], file.with_suffix(".log"))

    def start(self, cores: Collection[int]) -> Self:
        """Start the process on *cores* and wait until it says that it is ready."""
        with on_cores(cores):
            self.process.start()
        self.process.wait_until(self._is_ready, READY_SECONDS)
        return self

    def stop(self) -> None:
        """SIGTERM, then wait."""
        self.process.terminate()

    def metric(self, name: str) -> float:
        """Return a metric, summed over its labels; 0 where it is not there yet."""
        return sum(self.samples(name))

    def samples(self, name: str) -> list[float]:
        """Return the values of a metric, one for each of its labels."""
        lines = self._get("/metrics").decode().splitlines()
        return [float(line.rsplit(" ", 1)[1]) for line in lines if line.split("{")[0].split(" ")[0] == name]

    def _is_ready(self) -> bool:
        try:
            self._get("/readyz")
        except OSError:
            return False
        return True

    def _get(self, path: str) -> bytes:
        with urllib.request.urlopen(f"http://127.0.0.1:{self.http_port}{path}", timeout=5) as answer:
            body: bytes = answer.read()
        return body


class Stack:
    """A broker, and the services that are started on it; a context manager that ends them all."""

    def __init__(
        self, kafka_cores: Collection[int], kafka_settings: Mapping[str, str | int] | None = None
    ) -> None:
        self.directory = Path(tempfile.mkdtemp(prefix="stream-ml-loadtest-"))
        self.kafka = KafkaServer(self.directory / "kafka", kafka_settings)
        self.services: list[Service] = []
        with on_cores(kafka_cores):
            self.kafka.start()

    def create_topic(self, name: str, partitions: int = 1) -> None:
        """Create a topic for events."""
        admin = AdminClient({"bootstrap.servers": self.kafka.bootstrap})
        for created in admin.create_topics([NewTopic(name, partitions, 1)]).values():
            created.result()

    def fill(self, topic: str, values: Iterable[bytes]) -> None:
        """Create *topic* with one partition and wait until all *values* are in it."""
        self.create_topic(topic)
        producer = self.producer()
        for value in values:
            while True:
                try:
                    producer.produce(topic, value)
                    break
                except BufferError:
                    producer.poll(QUEUE_SECONDS)
            producer.poll(0)
        flush(producer)

    def producer(self) -> Producer:
        """Return a producer for events, not ours: what a user would have."""
        return Producer({"bootstrap.servers": self.kafka.bootstrap, **PRODUCER})

    def consumer(self, topic: str) -> Consumer:
        """Return a consumer of partition 0 from its beginning, with the settings of our reader."""
        consumer = Consumer(reader_settings({"bootstrap.servers": self.kafka.bootstrap}))
        consumer.assign([TopicPartition(topic, 0, 0)])
        return consumer

    def start_learner(
        self, cores: Collection[int], topic: str, model: str = MODEL, text: str = "", **settings: Any
    ) -> Service:
        """Start the learner of the model file *text*, or of the identified stream under the name *model*."""
        file = self.directory / f"{model}.toml"
        file.write_text(text or model_file(identified=True).replace(f'"{MODEL}"', f'"{model}"'))
        wanted = {"model_file": file, "events_topic": topic, **settings}
        return self._start("learner", cores, wanted)

    def start_predictor(
        self, cores: Collection[int], model: str = MODEL, leaking: Sequence[float] = (), **settings: Any
    ) -> tuple[Service, int]:
        """Start the predictor of *model*; return it and its Thrift port."""
        port = free_port()
        wanted = {"models": [model], "thrift_port": port, **settings}
        return self._start("predictor", cores, wanted, leaking), port

    def start_drift_monitor(self, cores: Collection[int], model: str = MODEL) -> Service:
        """Start the drift monitor of *model*."""
        return self._start("drift_monitor", cores, {"model": model})

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        for service in self.services:
            service.process.kill()
        self.kafka.stop()
        shutil.rmtree(self.directory, ignore_errors=True)

    def _start(
        self, name: str, cores: Collection[int], settings: Mapping[str, Any], leaking: Sequence[float] = ()
    ) -> Service:
        common = {
            "kafka.'bootstrap.servers'": self.kafka.bootstrap,
            "snapshot_store": self.directory / "snapshots",
            "log_level": "warning",
        }
        service = Service(name, self.directory, {**common, **settings}, leaking)
        self.services.append(service)
        return service.start(cores)


@contextmanager
def on_cores(cores: Collection[int]) -> Iterator[None]:
    """Let what is started meanwhile run on *cores*: a child inherits them from the thread that starts it."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cores)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def flush(producer: Producer) -> None:
    """Wait until everything is in the log."""
    if left := producer.flush(FLUSH_SECONDS):
        raise TimeoutError(f"{left} records were not taken by the broker within {FLUSH_SECONDS} s")
