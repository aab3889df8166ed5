"""How much of a broker's retention the time since the last snapshot has used; beyond half, one is due."""

from __future__ import annotations

from collections.abc import Mapping

# A snapshot is taken early when less than this share of a retention is left.
EARLY = 0.5
# Early snapshots take at most a quarter of the time.
_REST = 3.0
_LEAST_GAP_SECONDS = 0.25


class RetentionMargins:
    """
    Counts bytes written and read of logs that keep a fixed number of bytes a partition.

    Where *retained_bytes* is None, only time trims, and nothing is counted against it.
    """

    def __init__(self, retained_bytes: int | None) -> None:
        self._retained_bytes = retained_bytes
        self._used: dict[tuple[str, int], int] = {}
        self._before: dict[tuple[str, int], int] = {}

    def use(self, log: str, partition: int, size: int) -> None:
        """Count *size* bytes more in a partition of *log*."""
        place = (log, partition)
        self._used[place] = self._used.get(place, 0) + size

    def begin_snapshot(self) -> None:
        """Remember where a snapshot begins: what was used before it will not be needed once it is there."""
        self._before = dict(self._used)

    def end_snapshot(self) -> None:
        """Count from where the snapshot began that exists now."""
        for place, used in self._before.items():
            self._used[place] -= used
        self._before = {}

    def by_log(self) -> Mapping[str, float]:
        """Return the smallest share left of each log."""
        if self._retained_bytes is None:
            return {}
        shares: dict[str, float] = {}
        for (log, _), used in self._used.items():
            shares[log] = min(shares.get(log, 1.0), 1 - used / self._retained_bytes)
        return shares

    def snapshot_due(self, since_last_seconds: float, last_took_seconds: float) -> bool:
        """Return whether a snapshot should be taken before its time."""
        rested = since_last_seconds >= max(_LEAST_GAP_SECONDS, _REST * last_took_seconds)
        return rested and min(self.by_log().values(), default=1.0) < EARLY
