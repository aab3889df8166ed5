"""A duplicate window, rebuilt by reading back the events before an offset."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence

from stream_ml.streams.log import Log, LogTruncated

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
                # Retention goes on meanwhile; what it took nobody can know any more.
                log.info("events of a duplicate window are gone", extra={"reason": str(error)})
            forget()

    def _read(self, remember: Remember, partition: int, start: int, end: int) -> int:
        """Return how many events had an id."""
        reader = self._log.reader(self._topic, {partition: start})
        known = silent = 0
        try:
            while start < end and silent < _SILENT_POLLS:
                fetches = reader.poll(_POLL_RECORDS, _SILENCE_SECONDS)
                if not fetches:
                    self._log.bounds(self._topic, partition)
                silent = 0 if fetches else silent + 1
                for fetch in fetches:
                    count = sum(offset < end for offset in fetch.offsets)
                    known += remember(fetch.values[:count], fetch.timestamps_ms[:count])
                    start = fetch.next
        finally:
            reader.close()
        return known
