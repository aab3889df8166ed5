"""What the operator sees of a learner: figures for /metrics, and whether it does its work."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field

from prometheus_client import Gauge

from stream_ml._native import Learned, Learner
from stream_ml.learning.margins import offsets_before
from stream_ml.learning.publishing import Published
from stream_ml.learning.snapshotting import Snapshots
from stream_ml.learning.topics import Topics
from stream_ml.runtime import metrics
from stream_ml.runtime.clock import Clock
from stream_ml.streams.log import Log, LogUnavailable
from stream_ml.weights.lines import Announced

log = logging.getLogger(__name__)

# The totals cost some 10 µs; bounds of partitions are asked of brokers.
_TOTALS_SECONDS = 0.1
_BOUNDS_SECONDS = 1.0
# What the core says before an event said when it was.
_NO_WATERMARK = -(2**63)

_TOTALS = {
    "learned": metrics.LEARNER_LEARNED,
    "duplicates": metrics.LEARNER_DUPLICATES,
    "refused": metrics.LEARNER_DEAD_LETTERS,
    "skipped": metrics.LEARNER_SKIPPED,
    "empty": metrics.LEARNER_EMPTY,
    "loss_sum": metrics.LEARNER_LOSS,
    "label_sum": metrics.LEARNER_LABELS,
    "prediction_sum": metrics.LEARNER_PREDICTIONS,
    "importance_sum": metrics.LEARNER_IMPORTANCE,
    "served_examples": metrics.LEARNER_SERVED_EXAMPLES,
    "served_loss_sum": metrics.LEARNER_SERVED_LOSS,
    "served_label_sum": metrics.LEARNER_SERVED_LABELS,
    "served_prediction_sum": metrics.LEARNER_SERVED_PREDICTIONS,
    "served_importance_sum": metrics.LEARNER_SERVED_IMPORTANCE,
    "rows_refused": metrics.LEARNER_ROWS_REFUSED,
    "rows_not_admitted": metrics.LEARNER_ROWS_NOT_ADMITTED,
    "rows_expired": metrics.LEARNER_ROWS_EXPIRED,
}


@dataclass(frozen=True, slots=True)
class _Bounds:
    """
    What brokers said.

    Attributes:
        ends: of the partitions; None as long as a broker is away, which says nothing of what waits.
        before_oldest: how much there is before the *oldest* snapshot's places.
    """

    ends: Mapping[int, int] | None
    oldest: str = ""
    before_oldest: Mapping[str, int] = field(default_factory=dict)


class Report:
    """Sets the learner's metrics; what costs something only now and then."""

    def __init__(
        self, model: str, log: Log, topics: Topics, clock: Clock, threads: ThreadPoolExecutor
    ) -> None:
        self._model, self._log, self._topics = model, log, topics
        self._clock, self._threads = clock, threads
        self._totals_due_at = self._bounds_due_at = clock.monotonic()
        self._bounds: Future[_Bounds] | None = None
        self._cannot_follow = ""
        # By partition: when it was first seen, and when nothing was left of it.
        self._came_at: dict[int, float] = {}
        self._caught_up_at: dict[int, float] = {}

    def learned(self, learned: Learned) -> None:
        """Take notice of a batch."""
        metrics.LEARNER_BATCH_SECONDS.labels(self._model).observe(learned.seconds)
        metrics.LEARNER_EVALUATIONS.labels(self._model).inc(len(learned.evaluations))
        for refusal in learned.refused:
            metrics.LEARNER_REFUSALS.labels(self._model, refusal.reason).inc()

    def confirmed(self, seconds: float) -> None:
        """Take notice of a step line that was read back *seconds* after it was sent."""
        metrics.LEARNER_JOURNAL_SECONDS.labels(self._model).observe(seconds)

    def paused(self, seconds: float) -> None:
        """Take notice of the time between two batches that went into everything else."""
        metrics.LEARNER_PAUSE_SECONDS.labels(self._model).observe(seconds)

    def published(self, published: Published) -> None:
        """Take notice of a delta."""
        metrics.LEARNER_FEED_DELTAS.labels(self._model).inc()
        metrics.LEARNER_FEED_ROWS.labels(self._model).inc(published.rows)
        metrics.LEARNER_FEED_BYTES.labels(self._model).inc(published.bytes)
        if published.newest_at:
            delay = max(0.0, self._clock.now() - published.newest_at)
            metrics.LEARNER_PUBLISH_DELAY.labels(self._model).observe(delay)

    def snapshot_announced(self, snapshots: Snapshots) -> None:
        """Take notice of a snapshot that exists now."""
        metrics.LEARNER_SNAPSHOTS.labels(self._model).inc()
        metrics.LEARNER_SNAPSHOT_SECONDS.labels(self._model).set(snapshots.ended_at - snapshots.begun_at)
        metrics.LEARNER_SNAPSHOT_AT.labels(self._model).set(self._clock.now())
        metrics.LEARNER_SNAPSHOT_STEP.labels(self._model).set(snapshots.step)
        metrics.LEARNER_SNAPSHOT_BYTES.labels(self._model).set(snapshots.bytes)

    def began_with(self, snapshot_at: float) -> None:
        """Take notice of the snapshot that this process began with: it is old if none follows."""
        if snapshot_at:
            metrics.LEARNER_SNAPSHOT_AT.labels(self._model).set(snapshot_at)

    def snapshot_failed(self) -> None:
        """Take notice of a snapshot that was given up."""
        metrics.LEARNER_SNAPSHOT_FAILURES.labels(self._model).inc()

    def writer(self, is_writer: bool) -> None:
        """Say whether this process is the variant's writer."""
        metrics.LEARNER_WRITER.labels(self._model).set(is_writer)

    def turn(
        self,
        learner: Learner,
        events: Mapping[int, int],
        newest_at: Mapping[int, float],
        gauges: Mapping[Gauge, float],
        margins: Mapping[str, float],
        oldest: Announced | None,
    ) -> None:
        """
        Set what changes all the time, if the last time is long enough ago.

        Args:
            events: per partition, the next offset to learn.
            newest_at: per partition with any, the timestamp of the newest record learned, unix seconds.
            oldest: the oldest snapshot kept.
        """
        if self._clock.monotonic() < self._totals_due_at:
            return
        self._totals_due_at = self._clock.monotonic() + _TOTALS_SECONDS
        for gauge, value in gauges.items():
            gauge.labels(self._model).set(value)
        for log, share in margins.items():
            metrics.LEARNER_RETENTION_MARGIN.labels(self._model, log).set(share)
        self._totals(learner)
        self._ask_bounds(list(events), oldest)
        if self._bounds is not None and self._bounds.done():
            bounds, self._bounds = self._bounds.result(), None
            if bounds.ends is not None:
                self._lag(bounds.ends, events, newest_at)
            self._oldest_snapshot(bounds)

    def _totals(self, learner: Learner) -> None:
        found = learner.metrics()
        for name, total in _TOTALS.items():
            total.set(found[name], self._model)
        metrics.LEARNER_AUC.labels(self._model).set(found["auc"])
        metrics.LEARNER_ROWS.labels(self._model).set(found["rows"])
        metrics.LEARNER_TABLE_BYTES.labels(self._model).set(found["table_bytes"])
        if learner.watermark_us != _NO_WATERMARK:
            metrics.LEARNER_WATERMARK.labels(self._model).set(learner.watermark_us / 1e6)

    def _lag(
        self, ends: Mapping[int, int], events: Mapping[int, int], newest_at: Mapping[int, float]
    ) -> None:
        now, waits = self._clock.now(), [0.0]
        for partition, end in ends.items():
            lag = max(0, end - events.get(partition, 0))
            metrics.LEARNER_LAG.labels(self._model, str(partition)).set(lag)
            came_at = self._came_at.setdefault(partition, now)
            if not lag:
                self._caught_up_at[partition] = now
            # What is not learned came after both; where nothing is known of them, count from the beginning.
            since = max(newest_at.get(partition, 0.0), self._caught_up_at.get(partition, 0.0)) or came_at
            waits.append(now - since)
        metrics.LEARNER_LAG_SECONDS.labels(self._model).set(max(waits))

    def _oldest_snapshot(self, bounds: _Bounds) -> None:
        for name, offsets in bounds.before_oldest.items():
            metrics.LEARNER_OLDEST_SNAPSHOT_MARGIN.labels(self._model, name).set(offsets)
        gone = {name: -offsets for name, offsets in bounds.before_oldest.items() if offsets < 0}
        if gone and bounds.oldest != self._cannot_follow:
            self._cannot_follow = bounds.oldest
            log.warning(
                "the oldest snapshot kept cannot be followed any more, it is none to fall back on; let the "
                "topics keep records for longer (retention.ms), or take snapshots more often, or keep fewer",
                extra={"snapshot": bounds.oldest, "offsets_gone": gone},
            )

    def _ask_bounds(self, partitions: list[int], oldest: Announced | None) -> None:
        """Ask for the partitions' bounds in a thread: brokers take their time."""
        if self._bounds is None and self._clock.monotonic() >= self._bounds_due_at:
            self._bounds_due_at = self._clock.monotonic() + _BOUNDS_SECONDS
            self._bounds = self._threads.submit(self._asked_bounds, partitions, oldest)

    def _asked_bounds(self, partitions: list[int], oldest: Announced | None) -> _Bounds:
        try:
            events = self._topics.events.name
            ends = {partition: self._log.bounds(events, partition).next for partition in partitions}
            if oldest is None:
                return _Bounds(ends)
            return _Bounds(ends, oldest.name, offsets_before(self._log, self._topics, oldest))
        except LogUnavailable:
            return _Bounds(None)
