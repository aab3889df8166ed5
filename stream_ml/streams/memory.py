"""The log in memory, for tests and for embedding; one process, nothing survives it."""

from __future__ import annotations

import threading
import time
import uuid
import zlib
from bisect import bisect_left
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from types import TracebackType
from typing import Self

from stream_ml.errors import ConfigError
from stream_ml.streams.log import Bounds, Fetch, LogTruncated, Topic, Undeliverable


@dataclass(slots=True)
class _Partition:
    """Records by column; ``offsets`` ascends and may have holes."""

    first: int = 0
    next: int = 0
    offsets: list[int] = field(default_factory=list)
    keys: list[bytes | None] = field(default_factory=list)
    values: list[bytes | None] = field(default_factory=list)
    timestamps_ms: list[int] = field(default_factory=list)
    headers: list[Mapping[str, bytes]] = field(default_factory=list)

    def drop(self, records: slice) -> None:
        for column in (self.offsets, self.keys, self.values, self.timestamps_ms, self.headers):
            del column[records]


@dataclass(slots=True)
class _Topic:
    description: Topic
    partitions: list[_Partition]


class MemoryLog:
    """The port's log in this process's memory; thread-safe."""

    def __init__(self, *, max_record_bytes: int = 1_000_000, now: Callable[[], float] = time.time) -> None:
        """
        Start empty.

        Args:
            max_record_bytes: a larger record is undeliverable, as on a broker.
            now: gives the records' timestamps.
        """
        self.max_record_bytes = max_record_bytes
        self._now = now
        self._topics: dict[str, _Topic] = {}
        self._committed: dict[tuple[str, str], dict[int, int]] = {}
        self._members: dict[tuple[str, str], list[MemoryGroup]] = {}
        self._appended = threading.Condition()

    @property
    def retained_bytes(self) -> int | None:
        return None

    def ensure_topic(
        self,
        name: str,
        partitions: int,
        *,
        retention_seconds: float | None = None,
        settings: Mapping[str, str] | None = None,
    ) -> Topic:
        compacted = "compact" in (settings or {}).get("cleanup.policy", "")
        with self._appended:
            if name not in self._topics:
                description = Topic(name, uuid.uuid4().hex, partitions, compacted, retention_seconds)
                self._topics[name] = _Topic(description, [_Partition() for _ in range(partitions)])
            return self._topics[name].description

    def topic(self, name: str) -> Topic | None:
        with self._appended:
            return self._topics[name].description if name in self._topics else None

    def bounds(self, topic: str, partition: int) -> Bounds:
        with self._appended:
            held = self._partition(topic, partition)
            return Bounds(held.first, held.next)

    def reader(
        self, topic: str, starts: Mapping[int, int], *, keys: bool = False, headers: bool = False
    ) -> MemoryReader:
        with self._appended:
            for partition in starts:
                self._partition(topic, partition)
        return MemoryReader(self, topic, starts, keys=keys, headers=headers)

    def writer(self) -> MemoryWriter:
        return MemoryWriter(self)

    def group(self, group: str, topic: str) -> MemoryGroup:
        with self._appended:
            members = self._members.setdefault((group, topic), [])
            members.append(MemoryGroup(self, group, topic))
            return members[-1]

    def commit(self, group: str, topic: str, offsets: Mapping[int, int]) -> None:
        with self._appended:
            self._committed.setdefault((group, topic), {}).update(offsets)

    def committed(self, group: str, topic: str) -> dict[int, int]:
        with self._appended:
            return dict(self._committed.get((group, topic), {}))

    def dealt_to(self, member: MemoryGroup) -> frozenset[int]:
        """Return the partitions of *member*, which are dealt in turn; none once it has left."""
        with self._appended:
            members = self._members[member.group, member.topic]
            if member not in members:
                return frozenset()
            partitions = self._topics[member.topic].description.partitions
            return frozenset(range(members.index(member), partitions, len(members)))

    def leave(self, member: MemoryGroup) -> None:
        """Deal the partitions of *member* to the others."""
        with self._appended:
            members = self._members[member.group, member.topic]
            if member in members:
                members.remove(member)

    def close(self) -> None:
        pass

    def add_partitions(self, topic: str, partitions: int) -> None:
        """Grow the topic to that many partitions."""
        with self._appended:
            held = self._topics[topic]
            held.partitions += [_Partition() for _ in range(partitions - len(held.partitions))]
            old = held.description
            held.description = replace(old, partitions=partitions)

    def delete_topic(self, topic: str) -> None:
        """Forget the topic and all that is in it."""
        with self._appended:
            del self._topics[topic]

    def rewrite(self, topic: str, partition: int, at: int, value: bytes) -> None:
        """Put another value under an offset, as no broker does and a restored backup may."""
        with self._appended:
            held = self._partition(topic, partition)
            held.values[bisect_left(held.offsets, at)] = value

    def delete_records(self, topic: str, partition: int, before: int) -> None:
        """Forget the records below offset *before*, as retention does."""
        with self._appended:
            held = self._partition(topic, partition)
            held.drop(slice(bisect_left(held.offsets, before)))
            held.first = max(held.first, before)

    def lose_the_tail(self, topic: str, partition: int, offset: int) -> None:
        """Forget the records from *offset* on, acknowledged ones, as an unclean leader election does."""
        with self._appended:
            held = self._partition(topic, partition)
            held.drop(slice(bisect_left(held.offsets, offset), None))
            held.next = offset

    def skip_offsets(self, topic: str, partition: int, count: int) -> None:
        """Leave a hole of *count* offsets, as transactions and compaction do."""
        with self._appended:
            self._partition(topic, partition).next += count

    def _partition(self, topic: str, partition: int) -> _Partition:
        if topic not in self._topics or partition >= len(self._topics[topic].partitions):
            raise ConfigError(f"there is no {topic}[{partition}]; create the topic first")
        return self._topics[topic].partitions[partition]

    def _append(
        self,
        topic: str,
        partition: int | None,
        key: bytes | None,
        value: bytes | None,
        headers: Mapping[str, bytes],
    ) -> tuple[int, int]:
        with self._appended:
            if topic not in self._topics:
                raise Undeliverable(f"there is no topic {topic}; create it first")
            if partition is None:
                partition = zlib.crc32(key or b"") % len(self._topics[topic].partitions)
            held = self._partition(topic, partition)
            held.offsets.append(held.next)
            held.keys.append(key)
            held.values.append(value)
            held.timestamps_ms.append(int(self._now() * 1000))
            held.headers.append(headers)
            held.next += 1
            self._appended.notify_all()
            return partition, held.offsets[-1]


class MemoryReader:
    """The port's reader over a ``MemoryLog``."""

    def __init__(
        self, log: MemoryLog, topic: str, starts: Mapping[int, int], *, keys: bool, headers: bool
    ) -> None:
        self._log, self._topic, self._keys, self._headers = log, topic, keys, headers
        self._next = dict(starts)
        self._polls = -1

    def poll(self, max_records: int, timeout_seconds: float) -> list[Fetch]:
        end = time.monotonic() + timeout_seconds
        with self._log._appended:
            while not (fetches := self._take(max_records)):
                left = end - time.monotonic()
                if left <= 0 or not self._log._appended.wait(left):
                    return []
            return fetches

    def seek(self, partition: int, offset: int) -> None:
        self._next[partition] = offset

    def close(self) -> None:
        pass

    def _take(self, max_records: int) -> list[Fetch]:
        fetches: list[Fetch] = []
        for partition in self._in_turn():
            left = max_records - sum(len(fetch.values) for fetch in fetches)
            try:
                fetch = self._fetch(partition, left)
            except LogTruncated:
                if fetches:
                    break  # what was found before the error is handed out first
                raise
            if fetch is not None:
                fetches.append(fetch)
        return sorted(fetches, key=lambda fetch: fetch.partition)

    def _in_turn(self) -> list[int]:
        """Return the partitions, at each call from another one on: none waits for all of another."""
        partitions = sorted(self._next)
        self._polls += 1
        at = self._polls % len(partitions) if partitions else 0
        return partitions[at:] + partitions[:at]

    def _fetch(self, partition: int, max_records: int) -> Fetch | None:
        held, wanted = self._log._partition(self._topic, partition), self._next[partition]
        if not held.first <= wanted <= held.next:
            raise LogTruncated(self._topic, partition, wanted, held.first, held.next)
        start = bisect_left(held.offsets, wanted)
        chosen = slice(start, start + max_records)
        offsets = held.offsets[chosen]
        if not offsets:
            return None
        self._next[partition] = offsets[-1] + 1
        return Fetch(
            partition=partition,
            first=offsets[0],
            next=offsets[-1] + 1,
            offsets=offsets,
            keys=held.keys[chosen] if self._keys else None,
            values=held.values[chosen],
            timestamps_ms=held.timestamps_ms[chosen],
            headers=held.headers[chosen] if self._headers else None,
        )


class MemoryWriter:
    """The port's writer over a ``MemoryLog``: what is sent is there at once."""

    def __init__(self, log: MemoryLog) -> None:
        self._log = log
        self._failure: str | None = None
        self._closed = False

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
        self.flush(0)
        if len(value or b"") > self._log.max_record_bytes:
            self._failure = f"{topic}: a record of {len(value or b'')} bytes is too large"
            self.flush(0)
        written = self._log._append(topic, partition, key, value, headers or {})
        if on_delivered:
            on_delivered(*written)

    def flush(self, timeout_seconds: float) -> None:
        if self._failure is not None:
            raise Undeliverable(f"a record was refused for good: {self._failure}")

    def close(self) -> None:
        if not self._closed:
            self._closed = True
            self.flush(0)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self.close()


class MemoryGroup:
    """The port's group in this process's memory."""

    def __init__(self, log: MemoryLog, group: str, topic: str) -> None:
        self._log, self.group, self.topic = log, group, topic

    def poll(self) -> frozenset[int]:
        return self._log.dealt_to(self)

    def commit(self, offsets: Mapping[int, int]) -> None:
        self._log.commit(self.group, self.topic, offsets)

    def close(self) -> None:
        self._log.leave(self)
