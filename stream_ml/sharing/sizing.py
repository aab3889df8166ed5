"""How large a batch may be while learning is behind: large ones need fewer rows an event, longer calls."""

from __future__ import annotations

_GROWTH = 2


class BatchSize:
    """
    As many records as the shards answer for in good time.

    What waits is taken, up to that: so a batch is small as long as nothing is behind.

    Attributes:
        records: most of the next batch.
    """

    def __init__(self, least: int, most: int, call_seconds: float) -> None:
        """*call_seconds*: what one call of a shard may take; well below the client's timeout."""
        assert 0 < least <= most
        self._least, self._most, self._call_seconds = least, most, call_seconds
        self.records = least

    def took(self, records: int, call_seconds: float) -> None:
        """Learn from a batch of so many records how long a call of a shard takes."""
        if call_seconds > self._call_seconds:
            self.records = max(self._least, min(self.records, records // _GROWTH))
        elif records >= self.records and call_seconds * _GROWTH <= self._call_seconds:
            self.records = min(self._most, self.records * _GROWTH)

    def failed(self) -> None:
        """A shard did not answer, or not as hoped: begin with small batches again."""
        self.records = self._least
