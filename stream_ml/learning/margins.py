"""How much of the logs' retention is used: since the last snapshot, and by the oldest one that is kept."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from stream_ml.learning.topics import Topics
from stream_ml.streams.log import Log, Topic
from stream_ml.weights.lines import Announced, journal_and_offset

# A snapshot is taken early when less than this share of a retention is left.
EARLY = 0.5
# Early snapshots take at most a quarter of the time.
_REST = 3.0
_LEAST_GAP_SECONDS = 0.25


@dataclass(frozen=True, slots=True)
class Retention:
    """What a log keeps of a partition: so many bytes, records so old; None is no limit."""

    bytes: int | None = None
    seconds: float | None = None


def retentions(log: Log, topics: Topics) -> dict[str, Retention]:
    """Return what each of the logs that a replay needs keeps."""

    def of(topic: Topic) -> Retention:
        dropped_silently = log.retained_bytes
        limit = topic.retention_bytes if dropped_silently is None else dropped_silently
        return Retention(limit, topic.retention_seconds)

    return {"events": of(topics.events), "feed": of(topics.feed), "journal": of(topics.journal)}


class RetentionMargins:
    """
    Counts what was written and read since the last snapshot against what the logs keep.

    Records count with the bytes of their values, and with the time of the first of them: a broker keeps them
    rather longer.
    """

    def __init__(self, retentions: Mapping[str, Retention]) -> None:
        self._retentions = retentions
        self._used: dict[tuple[str, int], int] = {}
        self._used_before: dict[tuple[str, int], int] = {}
        self._oldest_at: dict[tuple[str, int], float] = {}
        self._oldest_after_at: dict[tuple[str, int], float] = {}

    def use(self, log: str, partition: int, size: int, at: float) -> None:
        """Count *size* bytes more in a partition of *log*, written *at*, unix seconds."""
        place = (log, partition)
        self._used[place] = self._used.get(place, 0) + size
        self._oldest_at.setdefault(place, at)
        self._oldest_after_at.setdefault(place, at)

    def begin_snapshot(self) -> None:
        """Remember where a snapshot begins: what was used before it will not be needed once it is there."""
        self._used_before = dict(self._used)
        self._oldest_after_at = {}

    def end_snapshot(self) -> None:
        """Count from where the snapshot began that exists now."""
        for place, used in self._used_before.items():
            self._used[place] -= used
        self._used_before = {}
        self._oldest_at = dict(self._oldest_after_at)

    def by_log(self, now: float) -> Mapping[str, float]:
        """Return the smallest share left of each log that drops anything, at *now*, unix seconds."""
        shares = self._by_bytes()
        for (name, partition), at in self._oldest_at.items():
            kept = self._retentions[name].seconds
            if kept is not None and self._used[name, partition]:
                shares[name] = min(shares.get(name, 1.0), 1 - max(0.0, now - at) / kept)
        return shares

    def snapshot_due(self, since_last_seconds: float, last_took_seconds: float) -> bool:
        """
        Return whether a snapshot should be taken before its time.

        Of a retention by time only what went by since the last snapshot counts: events that were old when
        they were learned are no reason for one snapshot after the other.
        """
        if since_last_seconds < max(_LEAST_GAP_SECONDS, _REST * last_took_seconds):
            return False
        limits = [kept.seconds for kept in self._retentions.values() if kept.seconds is not None]
        passed = since_last_seconds > EARLY * min(limits, default=math.inf)
        return passed or min(self._by_bytes().values(), default=1.0) < EARLY

    def _by_bytes(self) -> dict[str, float]:
        shares: dict[str, float] = {}
        for (name, _), used in self._used.items():
            kept = self._retentions[name].bytes
            if kept is not None:
                shares[name] = min(shares.get(name, 1.0), 1 - used / kept)
        return shares


def offsets_before(log: Log, topics: Topics, snapshot: Announced) -> dict[str, int]:
    """
    Return how many offsets each log still has before the place where *snapshot* goes on.

    Of the partition that has fewest; below 0 the snapshot cannot be followed any more.
    """
    places = {
        "events": (topics.events, snapshot.events),
        "feed": (topics.feed, snapshot.feed),
        "journal": (topics.journal, {0: journal_and_offset(snapshot.as_of)[1]}),
    }
    return {
        name: min((at - log.bounds(topic.name, p).first for p, at in offsets.items()), default=0)
        for name, (topic, offsets) in places.items()
    }
