"""An empty shard gets its rows: those of the variant's beginning, or of the newest snapshot that verifies."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import Protocol

from stream_ml.sharing.mending import Places
from stream_ml.weights.shards import Image, Rows, Shards

log = logging.getLogger(__name__)


class Source(Protocol):
    """What a shard is restored from."""

    def image(self, shard: int) -> Image:
        """Return what the shard holds beside its rows."""

    def rows(self, shard: int) -> Iterator[Rows]:
        """Yield the rows of the shard, in pieces; each id once."""


class Restorer:
    """Restores empty shards; several processes may try, the first that ends is the one."""

    def __init__(self, shards: Shards, places: Places, source: Source) -> None:
        self._shards, self._places, self._source = shards, places, source

    def __call__(self, shard: int) -> None:
        """
        Restore *shard*; whoever still finds it empty afterwards begins anew.

        Raises:
            ShardUnavailable: it does not answer.
        """
        lease = self._places.chore("restore", shard)
        image, count = self._source.image(shard), 0
        for rows in self._source.rows(shard):
            self._shards.stage(shard, lease, rows)
            count += len(rows.ids)
        identity = self._shards.look(shard).identity
        place = self._places.incarnation(shard, identity, "restored")
        answer = self._shards.restore(shard, lease, count, (identity, place), image)
        log.info("shard restored", extra={"shard": shard, "rows": count, "answer": answer.kind})
