"""The log on Kafka: topics, bounds, advice; reader and writer have files of their own."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future, wait
from functools import cached_property
from typing import Any, TypeVar

import orjson
from confluent_kafka import (
    Consumer,
    ConsumerGroupTopicPartitions,
    KafkaError,
    KafkaException,
    TopicCollection,
    TopicPartition,
)
from confluent_kafka.admin import AdminClient, ConfigResource, NewTopic, ResourceType

from stream_ml.errors import ConfigError
from stream_ml.streams.kafka_errors import Background, logger, translate
from stream_ml.streams.kafka_group import KafkaGroup
from stream_ml.streams.kafka_identity import Identity
from stream_ml.streams.kafka_reader import KafkaReader
from stream_ml.streams.kafka_settings import admin_settings, reader_settings, writer_settings
from stream_ml.streams.kafka_writer import KafkaWriter
from stream_ml.streams.log import Bounds, LogUnavailable, Topic

_Answer = TypeVar("_Answer")

# How often `connect` looks whether the process is to end, and how long requests may take from then on.
_SHORT_REQUEST_SECONDS = 2.0
# Advice that a broker has not answered; more is not sent, the newest will do later.
_MAX_OPEN_ADVICE = 4

_UNKNOWN_PLACE = (
    KafkaError.UNKNOWN_TOPIC_OR_PART,
    KafkaError._UNKNOWN_TOPIC,
    KafkaError._UNKNOWN_PARTITION,
)
# Another broker leads the partition now; having heard it, the client asks which.
_MOVED = (
    KafkaError.NOT_LEADER_FOR_PARTITION,
    KafkaError.LEADER_NOT_AVAILABLE,
    KafkaError.FENCED_LEADER_EPOCH,
)

# The embedded broker (see embedded.py) as other processes meet it.
_EMBEDDED_CLUSTER = "mockCluster"
EMBEDDED_TOPIC_REQUESTS = "stream-ml.topic-requests"
_EMBEDDED_RETAINED_BYTES = 5 * 1024 * 1024
# It wakes a waiting fetch only when the fetch's own time is over.
_EMBEDDED_READER = {"fetch.wait.max.ms": "10"}


class KafkaLog:
    """The port's log on a Kafka cluster, or on the embedded broker of another process."""

    def __init__(
        self,
        settings: Mapping[str, str],
        *,
        request_seconds: float = 10.0,
        unavailable_after_seconds: float = 60.0,
        stopping: Callable[[], bool] = lambda: False,
    ) -> None:
        """
        Build the clients; nothing is connected yet.

        Args:
            settings: of the client, by librdkafka's names; ``bootstrap.servers`` at least.
            request_seconds: after which a request that nobody answered is ``LogUnavailable``.
            unavailable_after_seconds: how long `connect` and readers wait for brokers that are away.
            stopping: whether the process is to end; then no request is waited for long.

        Raises:
            ConfigError: a setting that the client does not know, or that is not for changing.
        """
        self._settings = dict(settings)
        self._longest_request_seconds, self._stopping = request_seconds, stopping
        self._unavailable_after_seconds = unavailable_after_seconds
        self._background = Background()
        self._advice: list[Future[Any]] = []
        reports = {"error_cb": self._background}
        try:
            self._admin = AdminClient({**admin_settings(settings), **reports}, logger=logger)
            self._consumer = Consumer({**reader_settings(settings), **reports}, logger=logger)
        except KafkaException as error:
            raise ConfigError(f"Kafka settings: {error.args[0].str()}") from error

    def connect(self) -> bool:
        """
        Wait until a broker answers; return whether one does, or False as soon as the process is to end.

        Raises:
            LogUnavailable: none did for `unavailable_after_seconds`.
            CannotContinue: they do not let this client in.
        """
        end = time.monotonic() + self._unavailable_after_seconds
        while not self._stopping():
            try:
                self._ask("connecting", lambda: self._admin.list_topics("", timeout=_SHORT_REQUEST_SECONDS))
            except LogUnavailable as error:
                if time.monotonic() > end:
                    raise
                logger.warning("waiting for brokers: %s", error)
            else:
                return True
        return False

    @cached_property
    def retained_bytes(self) -> int | None:
        return _EMBEDDED_RETAINED_BYTES if self._embedded else None

    def ensure_topic(
        self,
        name: str,
        partitions: int,
        *,
        retention_seconds: float | None = None,
        settings: Mapping[str, str] | None = None,
    ) -> Topic:
        found = self.topic(name)
        if found is not None:
            return found
        if self._embedded:
            self._create_embedded(name, partitions)
        else:
            retention_ms = -1 if retention_seconds is None else int(retention_seconds * 1000)
            self._create(name, partitions, {"retention.ms": str(retention_ms), **(settings or {})})
        return self._await_topic(name)

    def topic(self, name: str) -> Topic | None:
        partitions = self._partitions(name)
        if partitions == 0:
            return None
        settings = self._topic_settings(name)
        retention_ms, retention_bytes = (
            int(settings.get(f"retention.{unit}", -1)) for unit in ("ms", "bytes")
        )
        return Topic(
            name,
            self._topic_id(name),
            partitions,
            compacted="compact" in settings.get("cleanup.policy", ""),
            retention_seconds=None if retention_ms < 0 else retention_ms / 1000,
            retention_bytes=None if retention_bytes < 0 else retention_bytes,
        )

    def bounds(self, topic: str, partition: int) -> Bounds:
        asked = TopicPartition(topic, partition)
        end = time.monotonic() + self._request_seconds
        while True:
            try:
                return Bounds(*self._consumer.get_watermark_offsets(asked, timeout=self._request_seconds))
            except KafkaException as error:
                self._consider(error, f"asking for the bounds of {topic}[{partition}]", asked, end)

    def reader(
        self, topic: str, starts: Mapping[int, int], *, keys: bool = False, headers: bool = False
    ) -> KafkaReader:
        if not self._partitions(topic):
            raise ConfigError(f"there is no topic {topic}; create it first")
        defaults = _EMBEDDED_READER if self._embedded else {}
        return KafkaReader(
            reader_settings({**defaults, **self._settings}),
            topic,
            starts,
            keys=keys,
            headers=headers,
            bounds=self.bounds,
            identity=Identity(topic, self._topic_id(topic), self._describe),
            unavailable_after_seconds=self._unavailable_after_seconds,
        )

    def writer(self) -> KafkaWriter:
        return KafkaWriter(writer_settings(self._settings))

    def group(self, group: str, topic: str) -> KafkaGroup:
        return KafkaGroup(reader_settings(self._settings), group, topic)

    def commit(self, group: str, topic: str, offsets: Mapping[int, int]) -> None:
        self._advice = [future for future in self._advice if not future.done()]
        if len(self._advice) >= _MAX_OPEN_ADVICE or not offsets:
            return
        places = [TopicPartition(topic, partition, offset) for partition, offset in offsets.items()]
        futures = self._admin.alter_consumer_group_offsets([ConsumerGroupTopicPartitions(group, places)])
        for future in futures.values():
            future.add_done_callback(_log_refused_advice)
            self._advice.append(future)

    def committed(self, group: str, topic: str) -> dict[int, int]:
        places = [TopicPartition(topic, partition) for partition in range(self._partitions(topic))]
        if not places:
            return {}
        futures = self._admin.list_consumer_group_offsets(
            [ConsumerGroupTopicPartitions(group, places)], request_timeout=self._request_seconds
        )
        answer = self._ask(f"asking for the offsets of {group}", futures[group].result)
        return {each.partition: each.offset for each in answer.topic_partitions if each.offset >= 0}

    def close(self) -> None:
        wait(self._advice, timeout=self._request_seconds)
        self._consumer.close()

    @property
    def _request_seconds(self) -> float:
        if self._stopping():
            return min(_SHORT_REQUEST_SECONDS, self._longest_request_seconds)
        return self._longest_request_seconds

    @cached_property
    def _embedded(self) -> bool:
        description = self._ask(
            "connecting", lambda: self._admin.list_topics(topic="", timeout=self._request_seconds)
        )
        return str(description.cluster_id).startswith(_EMBEDDED_CLUSTER)

    def _ask(self, doing: str, request: Callable[[], _Answer]) -> _Answer:
        try:
            answer = request()
        except KafkaException as error:
            self._serve()
            raise translate(error.args[0], doing, self._background) from error
        self._serve()
        self._background.forget()
        return answer

    def _serve(self) -> None:
        """Hand out what the clients want to report."""
        self._admin.poll(0)
        self._consumer.poll(0)

    def _consider(self, error: KafkaException, doing: str, asked: TopicPartition, end: float) -> None:
        """Return if a new partition may only be unknown to this client yet, or has moved; else raise."""
        code, place = error.args[0].code(), f"{asked.topic}[{asked.partition}]"
        if code in _UNKNOWN_PLACE and self._partitions(asked.topic) <= asked.partition:
            raise ConfigError(f"there is no {place}; create the topic first") from error
        if code in (*_UNKNOWN_PLACE, *_MOVED) and time.monotonic() < end:
            time.sleep(0.02)
            return
        self._serve()
        raise translate(error.args[0], doing, self._background) from error

    def _partitions(self, name: str) -> int:
        """Return how many partitions the topic has; 0 if there is no such topic."""
        description = self._ask(
            f"describing {name}", lambda: self._admin.list_topics(name, timeout=self._request_seconds)
        ).topics[name]
        if description.error is None:
            return len(description.partitions)
        if description.error.code() in _UNKNOWN_PLACE:
            return 0
        raise translate(description.error, f"describing {name}", self._background)

    def _topic_id(self, name: str) -> str:
        return str(self._ask(f"describing {name}", self._describe(name).result).topic_id)

    def _describe(self, name: str) -> Future[Any]:
        topics = TopicCollection([name])
        future: Future[Any] = self._admin.describe_topics(topics, request_timeout=self._request_seconds)[name]
        return future

    def _topic_settings(self, name: str) -> dict[str, str]:
        if self._embedded:
            return {}
        resource = ConfigResource(ResourceType.TOPIC, name)
        futures = self._admin.describe_configs([resource], request_timeout=self._request_seconds)
        settings = self._ask(f"describing {name}", futures[resource].result)
        return {setting: str(entry.value) for setting, entry in settings.items()}

    def _create(self, name: str, partitions: int, settings: Mapping[str, str]) -> None:
        topic = NewTopic(
            name, partitions, replication_factor=-1, config=dict(settings)
        )  # -1: the broker's default
        futures = self._admin.create_topics([topic], request_timeout=self._request_seconds)
        try:
            futures[name].result()
        except KafkaException as error:
            if error.args[0].code() != KafkaError.TOPIC_ALREADY_EXISTS:
                raise translate(error.args[0], f"creating {name}", self._background) from error

    def _create_embedded(self, name: str, partitions: int) -> None:
        """Ask the process that runs the broker, which alone can create topics."""
        with self.writer() as writer:
            writer.send(EMBEDDED_TOPIC_REQUESTS, orjson.dumps({"name": name, "partitions": partitions}))

    def _await_topic(self, name: str) -> Topic:
        """A created topic is known to every broker only a moment later."""
        end = time.monotonic() + self._request_seconds
        while time.monotonic() < end:
            found = self.topic(name)
            if found is not None:
                return found
            time.sleep(0.02)
        raise LogUnavailable(f"creating {name}: no broker knows it after {self._request_seconds:g} s")


def _log_refused_advice(future: Future[Any]) -> None:
    error = future.exception()
    if error is not None:
        logger.warning("committed offsets were refused (advice only, nothing is lost): %s", error)
