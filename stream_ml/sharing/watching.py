"""Which shards answer, and how far learning lags, for those who operate them."""

from __future__ import annotations

import logging

from stream_ml.runtime import metrics
from stream_ml.runtime.lifecycle import Stop
from stream_ml.sharing.lagging import Lag
from stream_ml.weights.shards import Shards, ShardUnavailable

log = logging.getLogger(__name__)


class Watch:
    """
    Looks at every shard from time to time; shows how many are away, and tells when that changes.

    Learning meets the first shard that does not answer, and no other.
    """

    def __init__(self, model: str, shards: Shards, lag: Lag, look_seconds: float) -> None:
        self._model, self._shards, self._lag, self._look_seconds = model, shards, lag, look_seconds
        self._away: list[int] = []

    def run(self, stop: Stop) -> None:
        """Look until *stop*."""
        while not stop.requested():
            self.look(stop)
            self._lag.turn()
            stop.wait(self._look_seconds)

    def look(self, stop: Stop) -> None:
        """Look at all shards once, unless *stop* comes between: each may take twice the client's timeout."""
        away: list[int] = []
        for shard in range(self._shards.count):
            if stop.requested():
                return
            if not self._answers(shard):
                away.append(shard)
                # Not only once all were waited for.
                metrics.LEARNER_SHARDS_UNAVAILABLE.labels(self._model).set(max(len(away), len(self._away)))
        metrics.LEARNER_SHARDS_UNAVAILABLE.labels(self._model).set(len(away))
        if away != self._away:
            level = logging.WARNING if away else logging.INFO
            told = "shards that take no pushes, or do not answer" if away else "all shards take pushes"
            log.log(level, told, extra={"shards": away})
        self._away = away

    def _answers(self, shard: int) -> bool:
        try:
            return self._shards.probe(shard).kind != "evicts"
        except ShardUnavailable:
            return False
