"""Events between two offsets, read again; and of them a duplicate window."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import replace

from stream_ml.streams.log import Fetch, Log, LogTruncated

log = logging.getLogger(__name__)

_POLL_RECORDS = 10_000
# Without a record for so many polls of so long, though brokers answer, there is a hole up to the end.
_SILENCE_SECONDS, _SILENT_POLLS = 5.0, 3
# Takes values and timestamps of records, and returns how many of their events have an id.
Remember = Callable[[Sequence[bytes | None], Sequence[int]], int]


class WindowReader:
    """Reads events again, so that who goes on with a partition knows the ids that were learned before."""

    def __init__(self, log: Log, topic: str, window: int) -> None:
        """*window*: how many accepted events an id is remembered for; 0 is none."""
        self._log, self._topic, self._window = log, topic, window

    def remember(
        self, remember: Remember, forget: Callable[[], None], partition: int, began: int, end: int
    ) -> None:
        """
        Hand the last events before *end* to *remember*.

        A record holds any number of events, and those refused are in no window: so it reads back twice as far
        as long as what it read fills none, and lets what it handed over be forgotten.

        Args:
            began: nothing before it is in the window.

        Raises:
            LogTruncated: it is not retention that took them; the partition ends before *end*, say.
        """
        back = self._window
        while self._window:
            first = max(began, self._log.bounds(self._topic, partition).first)
            start = max(first, end - back)
            if start >= end:
                return
            try:
                if self._read(remember, partition, start, end) >= self._window or start == first:
                    return
                back *= 2
            except LogTruncated as error:
                if self._log.bounds(self._topic, partition).first <= first:
                    raise
                # Retention goes on meanwhile; what it took nobody can know any more.
                log.info("events of a duplicate window are gone", extra={"reason": str(error)})
            forget()

    def _read(self, remember: Remember, partition: int, start: int, end: int) -> int:
        """Return how many events had an id."""
        known = 0

        def take(fetches: list[Fetch]) -> None:
            nonlocal known
            known += sum(remember(fetch.values, fetch.timestamps_ms) for fetch in fetches)

        read_between(self._log, self._topic, partition, start, end, take)
        return known


def read_between(
    log: Log, topic: str, partition: int, start: int, end: int, take: Callable[[list[Fetch]], object]
) -> None:
    """
    Hand the records ``[start, end)`` of *partition*, as far as there are any, to *take*.

    Raises:
        LogTruncated: some of them are gone.
    """
    reader, silent = log.reader(topic, {partition: start}), 0
    try:
        while start < end and silent < _SILENT_POLLS:
            fetches = reader.poll(_POLL_RECORDS, _SILENCE_SECONDS)
            if not fetches:
                # Behind the log's own end nothing is waited for; before it there may be a hole.
                end = min(end, log.bounds(topic, partition).next)
            silent = 0 if fetches else silent + 1
            take([_before(fetch, end) for fetch in fetches])
            start = max([start, *(fetch.next for fetch in fetches)])
    finally:
        reader.close()


def _before(fetch: Fetch, end: int) -> Fetch:
    count = sum(offset < end for offset in fetch.offsets)
    return replace(
        fetch,
        next=min(fetch.next, end),
        offsets=fetch.offsets[:count],
        values=fetch.values[:count],
        timestamps_ms=fetch.timestamps_ms[:count],
    )
