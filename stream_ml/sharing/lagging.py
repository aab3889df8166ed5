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
        # By partition that is shown: when it came, and when nothing was left of it.
        self._came_at: dict[int, float] = {}
        self._caught_up_at: dict[int, float] = {}

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
        for partition in self._came_at.keys() - owned.keys():
            metrics.LEARNER_LAG.remove(self._model, str(partition))
        metrics.LEARNER_LAG_SECONDS.labels(self._model).set(self._longest_wait(owned, lags))

    def _longest_wait(self, owned: Mapping[int, OwnedPartition], lags: Mapping[int, int]) -> float:
        now, caught_up_at = self._clock.now(), self._caught_up_at
        self._came_at = {p: self._came_at.get(p, now) for p in owned}
        self._caught_up_at = {p: caught_up_at.get(p, 0.0) if lags[p] else now for p in owned}
        # What is not learned came after both; where nothing is known of them, count from the beginning.
        since = {p: max(each.newest_at, self._caught_up_at[p]) for p, each in owned.items()}
        return max([0.0, *(now - (since[p] or self._came_at[p]) for p in owned)])
