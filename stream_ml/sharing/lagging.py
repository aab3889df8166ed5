"""How far a learner that shares lags behind the events, of the partitions that it owns."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from stream_ml.runtime import metrics
from stream_ml.runtime.clock import Clock
from stream_ml.sharing.owning import OwnedPartition
from stream_ml.streams.log import Log, LogUnavailable


class Lag:
    """Asks brokers where the partitions end; belongs to one thread."""

    def __init__(
        self,
        model: str,
        log: Log,
        topic: str,
        owned: Callable[[], Mapping[int, OwnedPartition]],
        clock: Clock,
    ) -> None:
        self._model, self._log, self._topic, self._owned, self._clock = model, log, topic, owned, clock
        self._shown: set[int] = set()

    def turn(self) -> None:
        """Set the metrics; brokers that are away leave them as they are."""
        owned = dict(self._owned())
        try:
            ends = {partition: self._log.bounds(self._topic, partition).next for partition in owned}
        except LogUnavailable:
            return
        lags = {partition: max(0, ends[partition] - each.next) for partition, each in owned.items()}
        for partition, lag in lags.items():
            metrics.LEARNER_LAG.labels(self._model, str(partition)).set(lag)
        # One that is another's now is told of by the other.
        for partition in self._shown - owned.keys():
            metrics.LEARNER_LAG.remove(self._model, str(partition))
        self._shown = set(owned)
        waits = [
            self._clock.now() - each.newest_at for p, each in owned.items() if lags[p] and each.newest_at
        ]
        metrics.LEARNER_LAG_SECONDS.labels(self._model).set(max([0.0, *waits]))
