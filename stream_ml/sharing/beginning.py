"""A variant's beginning, as what its shards are restored from before there is a snapshot."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from stream_ml.weights.shards import Fence, Image, Rows


class Beginning:
    """No rows, and fences where the variant began."""

    def __init__(self, events: Mapping[int, int]) -> None:
        """*events*: next offset, by partition."""
        self._events = events

    def image(self, shard: int) -> Image:
        """Return the fences; every shard has the same."""
        return Image(0, {partition: Fence(at) for partition, at in self._events.items()}, {})

    def rows(self, shard: int) -> Iterator[Rows]:
        """Yield nothing."""
        return iter(())
