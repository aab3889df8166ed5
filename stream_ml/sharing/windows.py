"""A duplicate window, rebuilt by reading back the events before an offset."""

from __future__ import annotations

from stream_ml._native import PartitionLearner
from stream_ml.errors import RecoverableError
from stream_ml.streams.log import Log

_POLL_RECORDS = 10_000
_SILENCE_SECONDS = 5.0


class WindowReader:
    """Reads events again, so that a partition's new owner knows the ids that the old one knew."""

    def __init__(self, log: Log, topic: str, window: int) -> None:
        """*window*: how many accepted events an id is remembered for; 0 is none."""
        self._log, self._topic, self._window = log, topic, window

    def remember(self, learner: PartitionLearner, partition: int, began: int, end: int) -> None:
        """
        Let *learner* know the ids of the last events before *end*.

        A record holds any number of events, and those refused are in no window: so it reads back twice as far
        as long as what it read fills none.

        Args:
            began: where the variant began with this partition; nothing before it is in its window.
        """
        first = max(began, self._log.bounds(self._topic, partition).first)
        back = self._window
        while self._window and first < end:
            start = max(first, end - back)
            if self._read(learner, partition, start, end) >= self._window or start == first:
                return
            learner.forget()
            back *= 2

    def _read(self, learner: PartitionLearner, partition: int, start: int, end: int) -> int:
        """Return how many events were accepted."""
        reader = self._log.reader(self._topic, {partition: start})
        accepted = 0
        try:
            while start < end:
                fetches = reader.poll(_POLL_RECORDS, _SILENCE_SECONDS)
                if not fetches:
                    if self._log.bounds(self._topic, partition).next >= end:
                        raise RecoverableError(f"{self._topic}[{partition}]: events do not arrive")
                    return accepted
                for fetch in fetches:
                    count = sum(offset < end for offset in fetch.offsets)
                    accepted += learner.remember(fetch.values[:count], fetch.timestamps_ms[:count])
                    start = fetch.next
        finally:
            reader.close()
        return accepted
