"""Fetches events ahead of learning and cuts them into batches."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from stream_ml.errors import CannotContinue
from stream_ml.learning.batch import Batch, EventRange
from stream_ml.learning.inbox import Inbox
from stream_ml.learning.ways_on import ACCEPT_LOSS
from stream_ml.runtime.clock import Clock
from stream_ml.streams.log import Fetch, Log, LogTruncated, LogUnavailable, Topic


@dataclass(frozen=True, slots=True)
class BatchLimits:
    """
    How batches are cut; nothing that is learned depends on it.

    Attributes:
        max_records, max_bytes: of a batch; the second is met on average.
        interval_seconds: shortest time between two batches that are not full.
        poll_seconds: longest wait for a record.
        look_seconds: time between two looks whether the topic has grown.
    """

    max_records: int
    max_bytes: int
    interval_seconds: float
    poll_seconds: float
    look_seconds: float = 5.0


class Fetcher:
    """Reads all partitions of the events from given offsets; `run` belongs in a thread."""

    def __init__(
        self,
        log: Log,
        topic: Topic,
        starts: Mapping[int, int],
        inbox: Inbox,
        limits: BatchLimits,
        clock: Clock,
    ) -> None:
        self._log, self._topic, self._inbox, self._limits, self._clock = log, topic, inbox, limits, clock
        self._next = dict(starts)
        self._reader = log.reader(topic.name, self._next)
        self._max_records = limits.max_records
        self._closed_at = self._looked_at = clock.monotonic()

    def run(self) -> None:
        """
        Put batches into the inbox until it is closed.

        Raises:
            CannotContinue: the topic is not the one it was, or records were dropped unread.
        """
        try:
            while not self._inbox.closed:
                if batch := self._collect():
                    self._inbox.put_batch(batch)
                self._look_at_topic()
        finally:
            self._reader.close()

    def _collect(self) -> Batch | None:
        """Return what is there, or what comes until the interval is over; None if nothing does."""
        fetches: dict[int, list[Fetch]] = {}
        records, wait_seconds = 0, self._limits.poll_seconds
        while records < self._max_records and not self._inbox.closed:
            for fetch in self._poll(self._max_records - records, wait_seconds):
                fetches.setdefault(fetch.partition, []).append(fetch)
                records += len(fetch.values)
            wait_seconds = self._closed_at + self._limits.interval_seconds - self._clock.monotonic()
            if not fetches or wait_seconds <= 0:
                break
        self._closed_at = self._clock.monotonic()
        return self._batch(fetches, records) if fetches else None

    def _batch(self, fetches: Mapping[int, list[Fetch]], records: int) -> Batch:
        ranges = []
        for partition, parts in sorted(fetches.items()):
            ranges.append(EventRange.of(self._next[partition], parts))
            self._next[partition] = ranges[-1].next
        self._adapt(ranges, records)
        return Batch(tuple(ranges))

    def _adapt(self, ranges: list[EventRange], records: int) -> None:
        """Let the next batch have about the bytes it may, if its records are as large as these."""
        size = sum(part.size for part in ranges)
        room = int(records * self._limits.max_bytes / max(size, 1))
        self._max_records = max(1, min(self._limits.max_records, room))

    def _poll(self, max_records: int, timeout_seconds: float) -> list[Fetch]:
        try:
            return self._reader.poll(max_records, timeout_seconds)
        except LogTruncated as error:
            raise CannotContinue(
                f"{error}: records were dropped before they were learned, or the topic was made anew; "
                f"{ACCEPT_LOSS} goes on with what there is as a new variant"
            ) from error

    def _look_at_topic(self) -> None:
        if self._clock.monotonic() - self._looked_at < self._limits.look_seconds:
            return
        self._looked_at = self._clock.monotonic()
        try:
            found = self._log.topic(self._topic.name)
        except LogUnavailable:
            return  # the reader says so if it lasts
        if found is not None and found.partitions > len(self._next):
            self._grow(found)

    def _grow(self, found: Topic) -> None:
        """Read the partitions that were added, from their beginning."""
        self._next |= added_partitions(self._log, found, self._next)
        self._reader.close()
        self._reader = self._log.reader(found.name, self._next)
        self._topic = found


def added_partitions(log: Log, topic: Topic, known: Mapping[int, int]) -> dict[int, int]:
    """
    Return where to begin with the partitions that are not *known*: at 0.

    Raises:
        CannotContinue: one has lost its beginning before it was ever read.
    """
    added = [partition for partition in range(topic.partitions) if partition not in known]
    for partition in added:
        if first := log.bounds(topic.name, partition).first:
            raise CannotContinue(
                f"{topic.name}[{partition}] was added and has lost its first {first} offsets unread; "
                f"{ACCEPT_LOSS} begins a new variant without them"
            )
    return dict.fromkeys(added, 0)
