"""
The predictor's loop for one model: which variant serves, its newest snapshot, the feed after it.

Whatever is served stays until something better has been loaded aside, verified, and has caught up.
"""

from __future__ import annotations

import logging
from concurrent.futures import Future
from dataclasses import dataclass, field

from stream_ml._native import Front
from stream_ml.errors import CannotContinue, RecoverableError, StreamMlError
from stream_ml.runtime import metrics
from stream_ml.runtime.clock import Clock, SystemClock
from stream_ml.runtime.lifecycle import Stop
from stream_ml.serving.fed import FedReplica, FeedReader
from stream_ml.serving.loading import Loaded, RefusedSnapshot, load_in_background
from stream_ml.streams.log import Log, LogTruncated
from stream_ml.weights.feed import Chunk, feed_topic
from stream_ml.weights.journal import JournalReader, journal_topic
from stream_ml.weights.lines import Announced
from stream_ml.weights.snapshots import SnapshotStore
from stream_ml.weights.state import JournalState
from stream_ml.weights.variant_state import VariantState

log = logging.getLogger(__name__)

RETRY_SECONDS = 1.0
# How long one turn waits for the feed; the journal is looked at once a turn.
WAIT_SECONDS = 0.05
# Chunks read while a snapshot is loading; beyond it they stay in the log.
MAX_HELD_BYTES = 256 << 20


@dataclass(slots=True)
class _Candidate:
    """
    A variant on its way to being served: loading, then catching up.

    Attributes:
        waits: it has caught up, and there is nothing to serve: its writer has learned nothing yet.
    """

    variant: str
    announced: Announced
    feed: FeedReader
    loading: Future[Loaded]
    began_at: float
    held: list[Chunk] = field(default_factory=list)
    held_bytes: int = 0
    fed: FedReplica | None = None
    waits: bool = False
    ends: dict[int, int] = field(default_factory=dict)


@dataclass(slots=True)
class _Served:
    fed: FedReplica
    feed: FeedReader
    readable: bool = True


class Follower:
    """
    Keeps one model of *front* up to date; `run` belongs to a thread of its own.

    Attributes:
        stuck: it has looked, and there is nothing to serve and nothing to load.
    """

    def __init__(
        self,
        model: str,
        source: Log,
        store: SnapshotStore,
        front: Front,
        *,
        stale_after_seconds: float = 10.0,
        clock: Clock | None = None,
    ) -> None:
        """
        Make *front* expect the model; nothing is read yet.

        Args:
            stale_after_seconds: silence of the feed, without even a heartbeat, that marks scores as stale.
        """
        self.model = model
        self.stuck = False
        self._log, self._store, self._front = source, store, front
        self._stale_after_seconds = stale_after_seconds
        self._clock = clock or SystemClock()
        self._journal: JournalReader | None = None
        self._candidate: _Candidate | None = None
        self._served: _Served | None = None
        self._unusable: set[str] = set()
        front.expect(model)
        metrics.PREDICTOR_READY.labels(model).set(0)

    @property
    def ready(self) -> bool:
        """Whether the model is answered, or nothing is missing here: its writer has learned nothing yet."""
        return self._served is not None or (self._candidate is not None and self._candidate.waits)

    def run(self, stop: Stop) -> None:
        """Follow until *stop*; what fails is logged and tried again, and the last good weights serve on."""
        while not stop.requested():
            try:
                self.turn(WAIT_SECONDS)
            except StreamMlError as error:
                log.error(str(error), extra={"model": self.model, "error": type(error).__name__})
                if isinstance(error, CannotContinue):
                    self._leave_journal()
                self.stuck = self._is_idle()
                self._report()
                stop.wait(RETRY_SECONDS)
        self._close()

    def turn(self, wait_seconds: float) -> None:
        """
        Read what the journal and the feed have to say, and act on it.

        Raises:
            RecoverableError: a broker or the store is away; the next turn may succeed.
            CannotContinue: the journal cannot be followed from here.
        """
        state = self._read_journal()
        if state is None:
            self.stuck = True
            return
        if self._served is not None:
            self._advance(self._served, state, 0.0 if self._candidate else wait_seconds)
        self._choose(state)
        self.stuck = self._is_idle()
        if self._candidate is not None:
            self._prepare(self._candidate, state, wait_seconds)
        self._report()

    def _read_journal(self) -> JournalState | None:
        """Return the journal's meaning up to now; None while there is no journal."""
        if self._journal is None:
            topic = journal_topic(self.model)
            if self._log.topic(topic) is None:
                return None
            self._journal = JournalReader.open(self._log, topic)
            self._journal.read_to_end()
        wait_seconds = WAIT_SECONDS if self._is_idle() else 0.0
        while self._journal.poll(wait_seconds):
            wait_seconds = 0.0  # else a journal that is written all the while is never read to its end
        return self._journal.state

    def _is_idle(self) -> bool:
        return self._served is None and self._candidate is None

    def _advance(self, served: _Served, state: JournalState, wait_seconds: float) -> None:
        variant = state.variants.get(served.fed.variant)
        if variant is None or not served.readable:
            return
        before = served.fed.replica
        try:
            served.fed.check_claims(variant)
            served.fed.take(served.feed.poll(wait_seconds), variant)
        except LogTruncated as error:
            served.readable = False
            served.fed.lose(str(error), 0)
        if served.fed.replica is not before:
            self._front.serve(self.model, served.fed.variant, served.fed.replica)

    def _choose(self, state: JournalState) -> None:
        """Begin to load what should be served and is not, or is no longer good."""
        wanted = state.serving
        if self._candidate is not None and self._candidate.variant != wanted:
            self._abandon(self._candidate, "another variant was decided on")
        if wanted is None or self._candidate is not None or wanted not in state.variants:
            return
        served = self._served.fed if self._served else None
        if served is not None and served.variant == wanted and not served.lost:
            return
        needed = served.needed_step if served is not None and served.variant == wanted else 0
        announced = self._newest_usable(state, wanted, needed)
        if announced is not None:
            self._begin(wanted, announced, state.variants[wanted])

    def _newest_usable(self, state: JournalState, variant: str, needed_step: int) -> Announced | None:
        every = {known.name for each in state.variants.values() for known in each.snapshots}
        self._unusable &= every
        for announced in reversed(state.variants[variant].snapshots):
            if announced.step >= needed_step and announced.name not in self._unusable:
                return announced
        return None

    def _begin(self, variant: str, announced: Announced, state: VariantState) -> None:
        log.info("loading", extra={"model": self.model, "variant": variant, "snapshot": announced.name})
        # Before the rows are read, so that a short retention cannot overtake the load.
        feed = FeedReader(self._log, feed_topic(self.model), self.model, announced.feed)
        loading = load_in_background(self._store, announced, state.fingerprint)
        self._candidate = _Candidate(variant, announced, feed, loading, self._clock.monotonic())

    def _prepare(self, candidate: _Candidate, state: JournalState, wait_seconds: float) -> None:
        """Take the candidate one step further: hold the feed, catch up, or swap it in."""
        try:
            if candidate.held_bytes < MAX_HELD_BYTES:
                chunks = candidate.feed.poll(wait_seconds)
                candidate.held += chunks
                candidate.held_bytes += sum(len(chunk.rows) for chunk in chunks)
            if candidate.fed is None and candidate.loading.done():
                candidate.fed = FedReplica(self.model, candidate.loading.result(), self._clock)
                candidate.ends = candidate.feed.ends()
        except LogTruncated as error:
            self._give_up_to(candidate, state, f"the feed does not reach back to it: {error}")
            return
        except RefusedSnapshot as error:
            self._refuse(candidate, error, state)
            return
        except RecoverableError:
            self._abandon(candidate, "the store cannot be read")
            raise
        if candidate.fed is not None:
            self._catch_up(candidate, candidate.fed, state)

    def _catch_up(self, candidate: _Candidate, fed: FedReplica, state: JournalState) -> None:
        variant = state.variants[candidate.variant]
        fed.take(candidate.held, variant)
        candidate.held, candidate.held_bytes = [], 0
        if fed.lost:
            self._give_up_to(candidate, state, fed.lost)
        elif candidate.feed.reached(candidate.ends):
            # Once more: decisions and claims may have come while it was loading.
            latest = self._read_journal() or state
            fed.check_claims(latest.variants[candidate.variant])
            if fed.lost:
                self._abandon(candidate, fed.lost)
            elif latest.serving == candidate.variant:
                self._swap_unless_empty(candidate, fed)

    def _swap_unless_empty(self, candidate: _Candidate, fed: FedReplica) -> None:
        """Swap it in, but rather answer "no model yet" than what nobody has learned: it goes on following."""
        if not fed.empty:
            self._swap(candidate, fed)
        elif not candidate.waits:
            candidate.waits = True
            log.info("nothing is learned yet", extra={"model": self.model, "variant": fed.variant})

    def _swap(self, candidate: _Candidate, fed: FedReplica) -> None:
        self._front.serve(self.model, fed.variant, fed.replica)
        if self._served is not None:
            self._served.feed.close()
        self._served, self._candidate = _Served(fed, candidate.feed), None
        seconds = self._clock.monotonic() - candidate.began_at
        metrics.PREDICTOR_SWAPS.labels(self.model).inc()
        metrics.PREDICTOR_LOAD_SECONDS.labels(self.model).set(seconds)
        log.info(
            "serving",
            extra={
                "model": self.model,
                "variant": fed.variant,
                "step": fed.replica.step,
                "rows": fed.replica.rows,
                "load_seconds": round(seconds, 3),
            },
        )

    def _refuse(self, candidate: _Candidate, error: RefusedSnapshot, state: JournalState) -> None:
        """Never look at this one again; the one before it may do."""
        self._unusable.add(candidate.announced.name)
        if error.reason == "gone" and self._is_old(candidate, self._read_journal() or state):
            # As after a sleep: what the writer announced since was not read yet.
            self._abandon(candidate, "removed, as newer ones are there")
            return
        log.error(f"snapshot refused: {error}", extra={"model": self.model, "reason": error.reason})
        metrics.PREDICTOR_SNAPSHOTS_REFUSED.labels(self.model, error.reason).inc()
        self._abandon(candidate, "refused")

    @staticmethod
    def _is_old(candidate: _Candidate, state: JournalState) -> bool:
        return state.variants[candidate.variant].snapshots[-1].name != candidate.announced.name

    def _give_up_to(self, candidate: _Candidate, state: JournalState, reason: str) -> None:
        """Wait for a newer snapshot: what is missing after this one is missing after all before it."""
        metrics.PREDICTOR_RESYNCS.labels(self.model).inc()
        for known in state.variants[candidate.variant].snapshots:
            self._unusable.add(known.name)
            if known.name == candidate.announced.name:
                break
        self._abandon(candidate, f"{reason}; waiting for the next snapshot")

    def _abandon(self, candidate: _Candidate, reason: str) -> None:
        extra = {"model": self.model, "snapshot": candidate.announced.name, "reason": reason}
        log.warning("not served", extra=extra)
        candidate.feed.close()
        self._candidate = None

    def _report(self) -> None:
        served = self._served.fed if self._served else None
        metrics.PREDICTOR_READY.labels(self.model).set(served is not None)
        if served is None:
            return
        silent = self._clock.monotonic() - served.heard_at > self._stale_after_seconds
        stale = bool(served.lost) or silent
        self._front.mark_stale(self.model, stale)
        metrics.PREDICTOR_STALE.labels(self.model).set(stale)
        metrics.PREDICTOR_STEP.labels(self.model).set(served.replica.step)
        metrics.PREDICTOR_ROWS.labels(self.model).set(served.replica.rows)
        metrics.PREDICTOR_LEARNED_AT.labels(self.model).set(served.replica.learned_at)
        if served.replica.watermark_us is not None:
            metrics.PREDICTOR_WATERMARK.labels(self.model).set(served.replica.watermark_us / 1e6)

    def _leave_journal(self) -> None:
        if self._journal is not None:
            self._journal.close()
            self._journal = None

    def _close(self) -> None:
        self._leave_journal()
        for holder in (self._candidate, self._served):
            if holder is not None:
                holder.feed.close()
