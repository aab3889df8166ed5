"""Reads a Kafka topic's partitions by assignment: no group, no rebalance, no offset but the caller's."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from itertools import groupby
from operator import itemgetter
from typing import NoReturn

from confluent_kafka import Consumer, KafkaError, Message, TopicPartition

from stream_ml.errors import CannotContinue, ConfigError
from stream_ml.streams.kafka_errors import Background, logger, translate
from stream_ml.streams.kafka_identity import Identity
from stream_ml.streams.log import Bounds, Fetch, LogTruncated, LogUnavailable

# Errors after which the offset that was asked for is not there any more.
_GONE = {
    KafkaError._AUTO_OFFSET_RESET,
    KafkaError.OFFSET_OUT_OF_RANGE,
    KafkaError._LOG_TRUNCATION,
    KafkaError.UNKNOWN_TOPIC_OR_PART,
    KafkaError._UNKNOWN_TOPIC,
    KafkaError._UNKNOWN_PARTITION,
    KafkaError.UNKNOWN_TOPIC_ID,
}
# Errors that no waiting cures.
_LASTING = _GONE | {KafkaError._BAD_MSG}
# Of what `Message.timestamp` returns: its kind, and milliseconds since 1970.
_MILLISECONDS = itemgetter(1)


class KafkaReader:
    """The port's reader over a consumer that is assigned, never subscribed."""

    def __init__(
        self,
        settings: Mapping[str, str],
        topic: str,
        starts: Mapping[int, int],
        *,
        keys: bool,
        headers: bool,
        bounds: Callable[[str, int], Bounds],
        identity: Identity,
        unavailable_after_seconds: float,
    ) -> None:
        self._topic, self._keys, self._headers, self._bounds = topic, keys, headers, bounds
        self._identity = identity
        self._unavailable_after_seconds = unavailable_after_seconds
        self._next = dict(starts)
        self._background = Background()
        self._away_since: float | None = None
        self._failures: dict[int, KafkaError] = {}
        self._consumer = Consumer({**settings, "error_cb": self._background}, logger=logger)
        self._consumer.assign([TopicPartition(topic, partition, at) for partition, at in starts.items()])

    def poll(self, max_records: int, timeout_seconds: float) -> list[Fetch]:
        self._raise_failure()
        if changed := self._identity.change(may_ask=self._background.last is None):
            self._raise_gone(min(self._next), changed)
        messages = self._take(max_records, timeout_seconds)
        if any(map(Message.error, messages)):
            messages = self._without_errors(messages)
        if not messages:
            self._raise_failure()
            self._notice_absence()
            return []
        self._away_since = None
        self._background.forget()
        if len(self._next) == 1:
            return [self._fetch(messages[0].partition(), messages)]
        return [self._fetch(*group) for group in sorted(_by_partition(messages).items())]

    def seek(self, partition: int, offset: int) -> None:
        self._failures.pop(partition, None)
        at = TopicPartition(self._topic, partition, offset)
        # Unassigning drops what is buffered of this partition; a plain seek may hand out a rest of it.
        self._consumer.incremental_unassign([at])
        self._consumer.incremental_assign([at])
        self._next[partition] = offset

    def close(self) -> None:
        self._consumer.close()

    def _take(self, max_records: int, timeout_seconds: float) -> list[Message]:
        """Take what is there, else wait for the first: ``consume`` would wait until it is full."""
        messages: list[Message] = self._consumer.consume(max_records, 0)
        if not messages and timeout_seconds > 0:
            first = self._consumer.poll(timeout_seconds)
            if first is not None:
                messages = (
                    [first, *self._consumer.consume(max_records - 1, 0)] if max_records > 1 else [first]
                )
        return messages

    def _fetch(self, partition: int, messages: list[Message]) -> Fetch:
        first, last = messages[0].offset(), messages[-1].offset()
        # Offsets ascend, so the ends tell whether there is a hole between them.
        contiguous = last - first == len(messages) - 1
        self._next[partition] = last + 1
        return Fetch(
            partition=partition,
            first=first,
            next=last + 1,
            offsets=range(first, last + 1) if contiguous else list(map(Message.offset, messages)),
            keys=list(map(Message.key, messages)) if self._keys else None,
            values=list(map(Message.value, messages)),
            timestamps_ms=list(map(_MILLISECONDS, map(Message.timestamp, messages))),
            leader_epoch=_leader_epoch(messages[-1]),
            headers=[dict(message.headers() or ()) for message in messages] if self._headers else None,
        )

    def _without_errors(self, messages: list[Message]) -> list[Message]:
        """Return the records; errors are set aside, to be raised once these are handed out."""
        for message in messages:
            error = message.error()
            if error is not None and error.code() in _LASTING:
                self._failures.setdefault(message.partition(), error)
            elif error is not None:
                self._background(error)  # the client goes on trying, the deadline decides
        return [message for message in messages if message.error() is None]

    def _raise_failure(self) -> None:
        for partition, error in self._failures.items():
            if error.code() == KafkaError._BAD_MSG:
                raise CannotContinue(
                    f"{self._topic}[{partition}]: a record at or after offset {self._next.get(partition)} is "
                    f"damaged on the broker: {error.str()}"
                )
            self._raise_gone(partition if partition in self._next else min(self._next))

    def _raise_gone(self, partition: int, why: str = "") -> NoReturn:
        held, wanted = self._held(partition), self._next[partition]
        if not why and held.first <= wanted <= held.next:
            why = self._identity.now()  # it is there after all: perhaps in another topic of the name
        raise LogTruncated(self._topic, partition, wanted, held.first, held.next, why)

    def _held(self, partition: int) -> Bounds:
        try:
            return self._bounds(self._topic, partition)
        except (ConfigError, LogUnavailable):  # deleted, or away
            return Bounds(0, 0)

    def _notice_absence(self) -> None:
        """Raise once nothing has come, and the client has reported trouble, for the deadline."""
        trouble = self._background.last
        if trouble is None:
            return
        if self._background.refusal:
            raise translate(trouble, f"reading {self._topic}", self._background)
        now = time.monotonic()
        if self._away_since is None:
            self._away_since = now
        if now - self._away_since < self._unavailable_after_seconds:
            return
        self._bounds(self._topic, min(self._next))  # raises LogUnavailable if it is still away
        self._away_since = None
        self._background.forget()


def _by_partition(messages: list[Message]) -> dict[int, list[Message]]:
    """A consumer hands records out in runs of one partition; join the runs of each."""
    groups: dict[int, list[Message]] = {}
    for partition, run in groupby(messages, Message.partition):
        groups.setdefault(partition, []).extend(run)
    return groups


def _leader_epoch(message: Message) -> int:
    epoch = message.leader_epoch()
    return -1 if epoch is None else epoch
