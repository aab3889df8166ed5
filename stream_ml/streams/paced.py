"""
Sending no faster than wished, and no farther ahead of a reader than the broker keeps.

The embedded broker drops a partition's oldest records in silence: whoever sends to it follows the offsets
that the learner commits.
"""

from __future__ import annotations

import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Self

from stream_ml.errors import ConfigError, RecoverableError
from stream_ml.streams.log import Log

# What a broker stores beside a record's own bytes, at most (a batch of one: 61 and some varints).
RECORD_OVERHEAD_BYTES = 100
# How far ahead of a follower, per partition, where the broker itself keeps everything.
DEFAULT_AHEAD_BYTES = 16 * 1024 * 1024
_ASK_EVERY_SECONDS = 0.005
# How much of the pace is sent at once: sleeping is no finer than the first. The embedded broker keeps every
# batch by itself, and at each request goes through them from the oldest on: there fewer are sent, larger.
_BURST_SECONDS, _EMBEDDED_BURST_SECONDS = 0.001, 0.05


class PacedSender:
    """
    Sends records to one topic; a context manager that returns only when all is acknowledged.

    Attributes:
        records, events, bytes: sent so far.
        acknowledged: records that the broker has confirmed, by partition.
        waited_seconds: spent waiting for the follower.
    """

    def __init__(
        self,
        log: Log,
        topic: str,
        *,
        events_per_second: float | None = None,
        follow_group: str | None = None,
        stalled_after_seconds: float = 60.0,
        now: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        """
        Start a writer.

        Args:
            events_per_second: None sends as fast as it is taken.
            follow_group: consumer group whose committed offsets are followed.
            stalled_after_seconds: of a follower that does not move while we wait for it.
            now, sleep: the clock; a test brings its own.

        Raises:
            ConfigError: the broker keeps so little that a group has to be followed.
        """
        self._ahead = _Ahead(_ahead_bytes(log.retained_bytes, follow_group))
        self.records = self.events = self.bytes = 0
        self.acknowledged: Counter[int] = Counter()
        self.waited_seconds = 0.0
        self._log, self._topic, self._group = log, topic, follow_group
        self._events_per_second = events_per_second
        self._burst_seconds = _BURST_SECONDS if log.retained_bytes is None else _EMBEDDED_BURST_SECONDS
        self._stalled_after_seconds = stalled_after_seconds
        self._writer = log.writer()
        self._now, self._sleep = now, sleep
        self._started_at = now()

    def send(
        self,
        value: bytes,
        *,
        key: bytes | None = None,
        events: int = 1,
        partition: int | None = None,
        headers: Mapping[str, bytes] | None = None,
    ) -> None:
        """
        Send one record that holds so many events; blocks as long as the pace asks.

        Args:
            partition: None lets the key choose.

        Raises:
            Undeliverable: this or an earlier record was refused for good.
            RecoverableError: the follower has not moved for too long.
        """
        self._keep_rate()
        size = len(value) + len(key or b"") + RECORD_OVERHEAD_BYTES
        on_delivered: Callable[[int, int], None] = self._count
        if self._group is not None:
            if not self._ahead.has_room(size):
                self._follow(self._group, size)
            self._ahead.start(size)
            on_delivered = self._counted_with(size)
        self._writer.send(
            self._topic, value, key=key, partition=partition, headers=headers, on_delivered=on_delivered
        )
        self.records += 1
        self.events += events
        self.bytes += len(value)

    def close(self) -> None:
        """Flush and leave; idempotent."""
        self._writer.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._writer.__exit__(kind, error, trace)

    def _keep_rate(self) -> None:
        if self._events_per_second is not None:
            due = self._started_at + self.events / self._events_per_second
            early = due - self._now()
            if early > self._burst_seconds:
                self._sleep(early)

    def _follow(self, group: str, size: int) -> None:
        """Wait until the follower has read enough."""
        started_at = moved_at = self._now()
        seen: dict[int, int] = {}
        while True:
            committed = self._log.committed(group, self._topic)
            self._ahead.settle(committed)
            now = self._now()
            if self._ahead.has_room(size):
                self.waited_seconds += now - started_at
                return
            if committed != seen:
                seen, moved_at = committed, now
            if now - moved_at > self._stalled_after_seconds:
                raise RecoverableError(
                    f"{group} stands at {committed} of {self._topic} for {self._stalled_after_seconds:g} s\n"
                    "  hint: does the learner run, and learn (stream-ml history), and is this its group?"
                )
            self._sleep(_ASK_EVERY_SECONDS)

    def _count(self, partition: int, offset: int) -> None:
        self.acknowledged[partition] += 1

    def _counted_with(self, size: int) -> Callable[[int, int], None]:
        def delivered(partition: int, offset: int) -> None:
            self.acknowledged[partition] += 1
            self._ahead.place(partition, offset, size)

        return delivered


def _ahead_bytes(retained: int | None, follow_group: str | None) -> int:
    """Return how far ahead of a follower to be, in bytes of a partition; the broker keeps *retained*."""
    if retained is None:
        return DEFAULT_AHEAD_BYTES
    if follow_group is None:
        raise ConfigError(
            f"this broker keeps only {retained >> 20} MiB of a partition and drops the rest in silence\n"
            "  hint: name the learner's consumer group to follow (--follow-group)"
        )
    return retained * 3 // 4


class _Ahead:
    """Bytes that were sent and not yet read, by partition; those not yet placed count for every one."""

    def __init__(self, limit_bytes: int) -> None:
        self._limit_bytes = limit_bytes
        self._unplaced_bytes = 0
        self._placed: dict[int, deque[tuple[int, int]]] = {}
        self._placed_bytes: Counter[int] = Counter()
        self._changing = threading.Lock()  # acknowledgements come from the writer's thread

    def has_room(self, size: int) -> bool:
        """Tell whether *size* more bytes fit; one record always does."""
        with self._changing:
            fullest = max(self._placed_bytes.values(), default=0)
            held = fullest + self._unplaced_bytes
            return held == 0 or held + size <= self._limit_bytes

    def start(self, size: int) -> None:
        with self._changing:
            self._unplaced_bytes += size

    def place(self, partition: int, offset: int, size: int) -> None:
        with self._changing:
            self._unplaced_bytes -= size
            self._placed_bytes[partition] += size
            self._placed.setdefault(partition, deque()).append((offset, size))

    def settle(self, committed: dict[int, int]) -> None:
        """Forget what is below the committed offsets."""
        with self._changing:
            for partition, placed in self._placed.items():
                while placed and placed[0][0] < committed.get(partition, 0):
                    self._placed_bytes[partition] -= placed.popleft()[1]
