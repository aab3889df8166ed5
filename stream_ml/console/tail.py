"""The end of a topic: what is there from some records before its end on, as soon as the topic is there."""

from __future__ import annotations

from typing import NamedTuple

from stream_ml.streams.log import Log, Reader

_POLL_RECORDS = 1_000
_POLL_SECONDS = 0.02


class Record(NamedTuple):
    """One record; *at* is its time in unix seconds."""

    at: float
    key: bytes | None
    value: bytes


class Tail:
    """Follows the only partition of a topic, which may not be there yet; one thread at a time."""

    def __init__(self, log: Log, topic: str, most_records: int) -> None:
        """*most_records*: of what is there at the beginning, so many at most."""
        self._log, self._topic, self._most = log, topic, most_records
        self._reader: Reader | None = None

    def poll(self) -> list[Record]:
        """
        Return what came.

        Raises:
            LogTruncated: what was next is gone, or the topic was made anew; begin again with a new tail.
            LogUnavailable: no broker answered.
        """
        if self._reader is None:
            if self._log.topic(self._topic) is None:
                return []
            bounds = self._log.bounds(self._topic, 0)
            start = max(bounds.first, bounds.next - self._most)
            self._reader = self._log.reader(self._topic, {0: start}, keys=True)
        return [
            Record(stamp / 1e3, key, value)
            for fetch in self._reader.poll(_POLL_RECORDS, _POLL_SECONDS)
            for stamp, key, value in zip(
                fetch.timestamps_ms, fetch.keys or [None] * len(fetch.values), fetch.values, strict=True
            )
            if value is not None
        ]

    def close(self) -> None:
        """Leave the topic; idempotent."""
        if self._reader is not None:
            self._reader.close()
            self._reader = None
