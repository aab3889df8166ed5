"""
The port to the event log, and the words all of its adapters share.

Offsets always name the *next* record to read. A range is ``[first, next)``; it may hold fewer records
than ``next - first``, because transactions and compaction leave holes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Protocol, Self

from stream_ml.errors import CannotContinue, RecoverableError
from stream_ml.streams.group import Group


class LogUnavailable(RecoverableError):
    """No broker answered in time; the same call may succeed later."""


class Undeliverable(CannotContinue):
    """A record was not acknowledged. The process must end: order and idempotence are gone."""


class LogTruncated(CannotContinue):
    """
    A reader's offset is no longer in the log (retention, ``delete_records``, a recreated topic).

    Attributes:
        topic, partition, wanted: the offset asked for.
        first, next: the offsets that the partition holds now.
        why: where the log knows more; the topic was made anew, say.
    """

    def __init__(self, topic: str, partition: int, wanted: int, first: int, next: int, why: str = "") -> None:
        super().__init__(
            f"{topic}[{partition}]: offset {wanted} is gone, the partition now holds [{first}, {next})"
            + (f": {why}" if why else "")
        )
        self.topic, self.partition, self.wanted = topic, partition, wanted
        self.first, self.next, self.why = first, next, why


@dataclass(frozen=True, slots=True)
class Topic:
    """
    A topic as the broker describes it.

    Attributes:
        id: the broker's identity of this incarnation of the topic; "" where the broker has none.
        partitions: how many.
        compacted: whether ``cleanup.policy`` contains ``compact``.
        retention_seconds, retention_bytes: what is kept of a partition; None is no limit.
    """

    name: str
    id: str
    partitions: int
    compacted: bool = False
    retention_seconds: float | None = None
    retention_bytes: int | None = None


@dataclass(frozen=True, slots=True)
class Bounds:
    """The offsets a partition holds: ``[first, next)``."""

    first: int
    next: int


@dataclass(frozen=True, slots=True)
class Fetch:
    """
    Consecutive records of one partition.

    Attributes:
        first, next: offset of the first record, and one past the last.
        offsets: of each record, ascending; a ``range`` where there are no holes.
        keys: None where the reader was not asked for them (the hot path never is).
        values: None for a tombstone.
        timestamps_ms: the records' own timestamps, milliseconds since 1970.
        leader_epoch: of the last record; -1 where unknown.
        headers: None where the reader was not asked for them.
    """

    partition: int
    first: int
    next: int
    offsets: Sequence[int]
    keys: list[bytes | None] | None
    values: list[bytes | None]
    timestamps_ms: list[int]
    leader_epoch: int = -1
    headers: list[Mapping[str, bytes]] | None = None


class Reader(Protocol):
    """Reads given partitions from given offsets; belongs to one thread at a time."""

    def poll(self, max_records: int, timeout_seconds: float) -> list[Fetch]:
        """
        Return up to *max_records*, as at most one Fetch a partition, ascending by partition.

        Returns as soon as anything is there; an empty list after *timeout_seconds*.

        Raises:
            LogTruncated: an offset asked for does not exist (any more). Records that came with the error are
                handed out before it; it is raised again until ``seek`` names another offset.
            LogUnavailable: no broker has answered for long.
        """

    def seek(self, partition: int, offset: int) -> None:
        """Go on with *partition* at *offset*; records already buffered are forgotten."""

    def close(self) -> None:
        """Leave; idempotent."""


class Writer(Protocol):
    """Appends with ``acks=all`` and idempotence. Thread-safe."""

    def send(
        self,
        topic: str,
        value: bytes | None,
        *,
        key: bytes | None = None,
        partition: int | None = None,
        headers: Mapping[str, bytes] | None = None,
        on_delivered: Callable[[int, int], None] | None = None,
    ) -> None:
        """
        Queue one record; blocks while the queue is full (back-pressure), never drops.

        Args:
            partition: None lets the key choose.
            on_delivered: called with (partition, offset), from any thread.

        Raises:
            Undeliverable: this or an earlier record was refused for good.
        """

    def flush(self, timeout_seconds: float) -> None:
        """
        Return once everything sent so far is acknowledged.

        Raises:
            Undeliverable: something was refused, or *timeout_seconds* passed.
        """

    def close(self) -> None:
        """Flush and leave; idempotent."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


class Log(Protocol):
    """A partitioned, ordered, append-only log: Kafka, the embedded broker, or memory."""

    @property
    def retained_bytes(self) -> int | None:
        """
        Bytes of a partition after which its oldest records are dropped in silence.

        None where only the topic's own retention drops any.
        """

    def ensure_topic(
        self,
        name: str,
        partitions: int,
        *,
        retention_seconds: float | None = None,
        settings: Mapping[str, str] | None = None,
    ) -> Topic:
        """
        Create the topic unless it exists; return it as it is.

        Args:
            retention_seconds: None keeps for ever (``retention.ms=-1``).
            settings: further topic settings, by Kafka's names.
        """

    def topic(self, name: str) -> Topic | None:
        """Return the topic, or None if there is none (never creates it)."""

    def bounds(self, topic: str, partition: int) -> Bounds:
        """Return what the partition holds now; ConfigError if there is no such partition."""

    def reader(
        self, topic: str, starts: Mapping[int, int], *, keys: bool = False, headers: bool = False
    ) -> Reader:
        """
        Return a reader that begins at *starts* (partition → offset), with no consumer group.

        Raises:
            ConfigError: there is no such topic.
        """

    def writer(self) -> Writer:
        """Return a new writer."""

    def group(self, group: str, topic: str) -> Group:
        """Return a new member of the consumer group *group*, which divides *topic*."""

    def commit(self, group: str, topic: str, offsets: Mapping[int, int]) -> None:
        """
        Commit *offsets* as advice to lag tools; never decides where anything resumes.

        Never raises on an absent broker.
        """

    def committed(self, group: str, topic: str) -> dict[int, int]:
        """Return the advice; partitions without any are absent."""

    def close(self) -> None:
        """Release what the log holds."""
