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
from stream_ml.weights.artefact import Stream
from stream_ml.weights.feed import Action, Assembler, Chunk, Delta, Interval, WrongFingerprint, decode_chunk
from stream_ml.weights.variant_state import VariantState

log = logging.getLogger(__name__)

_POLL_RECORDS = 64
_EVERY_SHARD = -1


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

    A variant in a learner's memory is one stream of deltas; in Redis each shard is one, and what a score
    needs beside rows comes with the first.

    Attributes:
        needed_step: the least step of a snapshot that would help.
    """

    def __init__(self, model: str, loaded: Loaded, clock: Clock) -> None:
        manifest = loaded.manifest
        self.model, self.variant = model, manifest.variant
        self.plan, self.replica = loaded.plan, loaded.replica
        self.needed_step = 0
        self._lost: dict[int, str] = {}
        self._believed_a_zombie = False
        self._clock = clock
        self._layout = manifest.layout.number if manifest.layout else 0
        self._score_state, self._loaded_step = loaded.score_state, manifest.step
        streams = manifest.streams or (Stream(0, manifest.step),)
        self._shared = manifest.streams is not None
        self._assemblers = [Assembler(manifest.variant, manifest.fingerprint) for _ in streams]
        for assembler, stream in zip(self._assemblers, streams, strict=True):
            assembler.restart(stream.version, stream.incarnation)
        self._heard = [clock.monotonic()] * len(streams)

    @property
    def lost(self) -> str:
        """Why rows are missing or wrong, until a snapshot replaces them; "" while all is well."""
        return next(iter(self._lost.values()), "")

    @property
    def heard_at(self) -> float:
        """Monotonic seconds of the last delta that fitted, of the stream that has been silent longest."""
        return min(self._heard)

    @property
    def empty(self) -> bool:
        """Whether no event has taught it anything: no score of it would come from the rows or the state."""
        return not self.replica.has_learned

    def take(self, chunks: Sequence[Chunk], state: VariantState) -> None:
        """Apply what *chunks* complete; sets `lost` at a gap, until a later delta spans it."""
        for chunk in chunks:
            if self._believed_a_zombie:
                return
            interval = chunk.interval
            if interval.variant == self.variant and not self._is_ours(interval):
                continue
            try:
                outcome = self._assemblers[interval.shard].offer(chunk, state)
            except WrongFingerprint as error:
                log.error(str(error), extra={"model": self.model})
                metrics.PREDICTOR_FEED_REFUSED.labels(self.model, "fingerprint").inc()
                continue
            if outcome.action is Action.RESYNC:
                needed = self._loaded_step + 1 if self._shared else interval.from_step
                self.lose(outcome.reason, needed, interval.shard)
            elif outcome.delta is not None:
                self._apply(outcome.delta)
            elif outcome.action is Action.SKIP and self._is_heartbeat(interval, state):
                self.replica.confirm(interval.learned_at)
                self._heard[interval.shard] = self._clock.monotonic()

    def check_claims(self, state: VariantState) -> None:
        """Set `lost` if claims read meanwhile say that a writer believed here was none any more."""
        for assembler in self._assemblers:
            if reason := assembler.believed_a_zombie(state):
                self._believed_a_zombie = True
                self.lose(reason, 0, _EVERY_SHARD)

    def lose(self, reason: str, needed_step: int, shard: int = _EVERY_SHARD) -> None:
        """Say that these rows need a snapshot of *needed_step* or later."""
        if not self._lost:
            log.warning("resync", extra={"model": self.model, "variant": self.variant, "reason": reason})
            metrics.PREDICTOR_RESYNCS.labels(self.model).inc()
        self._lost[shard] = reason
        self.needed_step = max(self.needed_step, needed_step)

    def _is_ours(self, interval: Interval) -> bool:
        """Whether a delta of our variant is of the snapshot's layout; of a later one all is lost."""
        if interval.layout > self._layout:
            self.lose(f"the rows were dealt anew, layout {interval.layout}", self._loaded_step + 1)
        return interval.layout == self._layout and interval.shard < len(self._assemblers)

    def _is_heartbeat(self, interval: Interval, state: VariantState) -> bool:
        """Whether the writer says that it has nothing newer than these rows."""
        at_end = interval.to_step == self._assemblers[interval.shard].position
        return at_end and (self._shared or interval.epoch == state.epoch)

    def _apply(self, delta: Delta) -> None:
        interval = delta.interval
        if interval.image:
            self.replica = Replica(self.plan, expected_rows=self.replica.rows)
        self._score_state = delta.score_state or self._score_state
        # Of rows in Redis the steps are versions: their sum is what rises with every delta.
        step = sum(assembler.position for assembler in self._assemblers)
        self.replica.apply(delta.rows, delta.removed, self._score_state, step, interval.learned_at)
        self._lost.pop(interval.shard, None)
        self._heard[interval.shard] = self._clock.monotonic()
        metrics.PREDICTOR_DELTAS.labels(self.model).inc()
        metrics.PREDICTOR_DELTA_ROWS.labels(self.model).inc(len(delta.rows) / 16)
        delay = max(self._clock.now() - interval.learned_at, 0.0)
        metrics.PREDICTOR_APPLY_DELAY.labels(self.model).observe(delay)
