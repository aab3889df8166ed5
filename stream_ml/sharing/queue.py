"""Records that were read and wait for their partition's turn, cut into batches."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import replace

from stream_ml.learning.batch import EventRange
from stream_ml.streams.log import Fetch


class Waiting:
    """
    The records of one partition, in their order.

    Attributes:
        records, size: how many wait, and the bytes of their values.
    """

    def __init__(self) -> None:
        self.records = self.size = 0
        self._fetches: deque[Fetch] = deque()

    def add(self, fetch: Fetch) -> None:
        """Take what was read."""
        self._fetches.append(fetch)
        self.records += len(fetch.values)
        self.size += _size(fetch.values)

    def take(self, first: int, limit: int | None, max_records: int) -> EventRange | None:
        """
        Return the next batch, which begins at *first*; None if nothing waits.

        Args:
            limit: no record at or beyond this offset; if the log is known to go on there, the batch ends
                exactly there.
            max_records: of the batch.
        """
        parts: list[Fetch] = []
        room = max_records
        while self._fetches and room > 0:
            whole = self._fetches[0]
            below = len(whole.values) if limit is None else _below(whole, limit)
            count = min(below, room)
            if count == len(whole.values) and (limit is None or whole.next <= limit):
                parts.append(self._fetches.popleft())
                room -= count
                continue
            cut_by_limit = count == below
            end = limit if cut_by_limit and limit is not None else whole.offsets[count]
            parts.append(_slice(whole, 0, count, end))
            self._fetches[0] = _slice(whole, count, len(whole.values), whole.next)
            break
        if not parts:
            return None
        taken = EventRange.of(first, parts)
        self.records -= len(taken.values)
        self.size -= taken.size
        return taken

    def clear(self) -> None:
        """Forget everything."""
        self._fetches.clear()
        self.records = self.size = 0


def _below(fetch: Fetch, limit: int) -> int:
    """Return how many records lie before *limit*."""
    if fetch.next <= limit:
        return len(fetch.values)
    return sum(offset < limit for offset in fetch.offsets)


def _slice(fetch: Fetch, start: int, stop: int, end: int) -> Fetch:
    return replace(
        fetch,
        first=fetch.offsets[start] if start < stop else end,
        next=end,
        offsets=fetch.offsets[start:stop],
        values=fetch.values[start:stop],
        timestamps_ms=fetch.timestamps_ms[start:stop],
    )


def _size(values: Sequence[bytes | None]) -> int:
    return sum(map(len, filter(None, values)))
