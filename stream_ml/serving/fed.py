"""A variant's replica, and the feed that keeps it up to date."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence

from stream_ml._native import Replica
from stream_ml.errors import InvalidRecord
from stream_ml.runtime import metrics
from stream_ml.runtime.clock import Clock
from stream_ml.serving.loading import Loaded
from stream_ml.streams.log import Log
from stream_ml.weights.feed import Action, Assembler, Chunk, Delta, Interval, WrongFingerprint, decode_chunk
from stream_ml.weights.state import VariantState

log = logging.getLogger(__name__)

_POLL_RECORDS = 64


class FeedReader:
    """Reads chunks of a feed from given offsets on; a damaged one is counted, and missed as if lost."""

    def __init__(self, log: Log, topic: str, model: str, starts: Mapping[int, int]) -> None:
        self._log, self._topic, self._model = log, topic, model
        described = log.topic(topic)
        partitions = range(described.partitions if described else 1)
        # A partition that was added later begins with a chunk of a whole delta, like every other.
        self._next = {at: starts.get(at, log.bounds(topic, at).first) for at in partitions}
        self._reader = log.reader(topic, self._next)

    def poll(self, timeout_seconds: float) -> list[Chunk]:
        """
        Return the chunks that came.

        Raises:
            LogTruncated: the place is gone; only a newer snapshot helps.
        """
        chunks = []
        for fetch in self._reader.poll(_POLL_RECORDS, timeout_seconds):
            self._next[fetch.partition] = fetch.next
            for value in fetch.values:
                try:
                    chunks.append(decode_chunk(value))
                except InvalidRecord as error:
                    log.error(str(error), extra={"model": self._model})
                    metrics.PREDICTOR_FEED_REFUSED.labels(self._model, "damaged").inc()
        return chunks

    def ends(self) -> dict[int, int]:
        """Return where the partitions end now."""
        return {at: self._log.bounds(self._topic, at).next for at in self._next}

    def reached(self, ends: Mapping[int, int]) -> bool:
        """Return whether everything before *ends* was returned."""
        return all(self._next[at] >= end for at, end in ends.items())

    def close(self) -> None:
        """Leave; idempotent."""
        self._reader.close()


class FedReplica:
    """
    One variant's rows, from a snapshot and the deltas since.

    Attributes:
        lost: why rows are missing or wrong, until a snapshot replaces them; "" while all is well.
        needed_step: the least step of a snapshot that would help.
        heard_at: monotonic seconds of the last delta that fitted.
    """

    def __init__(self, model: str, loaded: Loaded, clock: Clock) -> None:
        manifest = loaded.manifest
        self.model, self.variant = model, manifest.variant
        self.plan, self.replica = loaded.plan, loaded.replica
        self.lost, self.needed_step = "", 0
        self.heard_at = clock.monotonic()
        self._believed_a_zombie = False
        self._clock = clock
        self._assembler = Assembler(manifest.variant, manifest.fingerprint)
        self._assembler.restart(manifest.step)

    @property
    def empty(self) -> bool:
        """Whether nothing was learned: no step yet, or steps of refused events only, and no seed."""
        return not self.replica.has_learned

    def take(self, chunks: Sequence[Chunk], state: VariantState) -> None:
        """Apply what *chunks* complete; sets `lost` at a gap, until a later delta spans it."""
        for chunk in chunks:
            if self._believed_a_zombie:
                return
            try:
                outcome = self._assembler.offer(chunk, state)
            except WrongFingerprint as error:
                log.error(str(error), extra={"model": self.model})
                metrics.PREDICTOR_FEED_REFUSED.labels(self.model, "fingerprint").inc()
                continue
            if outcome.action is Action.RESYNC:
                self.lose(outcome.reason, chunk.interval.from_step)
            elif outcome.delta is not None:
                self._apply(outcome.delta)
            elif outcome.action is Action.SKIP and self._is_heartbeat(chunk.interval, state):
                self.replica.confirm(chunk.interval.learned_at)
                self.heard_at = self._clock.monotonic()

    def check_claims(self, state: VariantState) -> None:
        """Set `lost` if claims read meanwhile say that a writer believed here was none any more."""
        reason = self._assembler.believed_a_zombie(state)
        if reason:
            self._believed_a_zombie = True
            self.lose(reason, 0)

    def lose(self, reason: str, needed_step: int) -> None:
        """Say that these rows need a snapshot of *needed_step* or later."""
        if not self.lost:
            log.warning("resync", extra={"model": self.model, "variant": self.variant, "reason": reason})
            metrics.PREDICTOR_RESYNCS.labels(self.model).inc()
        self.lost, self.needed_step = reason, max(self.needed_step, needed_step)

    def _is_heartbeat(self, interval: Interval, state: VariantState) -> bool:
        """Whether the writer says that it has nothing newer than these rows."""
        return interval.epoch == state.epoch and interval.to_step == self._assembler.position

    def _apply(self, delta: Delta) -> None:
        interval = delta.interval
        if interval.image:
            self.replica = Replica(self.plan, expected_rows=self.replica.rows)
        self.replica.apply(
            delta.rows, delta.removed, delta.score_state, interval.to_step, interval.learned_at
        )
        self.lost, self.heard_at = "", self._clock.monotonic()
        metrics.PREDICTOR_DELTAS.labels(self.model).inc()
        metrics.PREDICTOR_DELTA_ROWS.labels(self.model).inc(len(delta.rows) / 16)
        delay = max(self._clock.now() - interval.learned_at, 0.0)
        metrics.PREDICTOR_APPLY_DELAY.labels(self.model).observe(delay)
