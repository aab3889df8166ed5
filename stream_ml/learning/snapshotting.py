"""
Takes snapshots while learning goes on.

An image is taken in pieces between batches and written by a thread. It is sealed between two batches, stored
once every line and output of its steps is acknowledged, and exists when its own line was read back.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Collection, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from enum import Enum

from stream_ml._native import Learner, Seal
from stream_ml.features import CompiledModel
from stream_ml.learning.loading import Loaded
from stream_ml.learning.points import Point, Reached
from stream_ml.learning.publishing import Writership
from stream_ml.runtime.clock import Clock
from stream_ml.weights.artefact import Manifest, Parts
from stream_ml.weights.lines import InForce, Snapshot
from stream_ml.weights.snapshots import SnapshotName, SnapshotStore, SnapshotWriter, StoreUnavailable

log = logging.getLogger(__name__)

# Pieces of an image that wait for the writing thread; while there are so many none is taken.
_MAX_PIECES = 4


class _Phase(Enum):
    IDLE = "no snapshot is being taken"
    IMAGE = "rows are being taken"
    SEALED = "waits for acknowledgements"
    STORING = "is being completed and named"
    ANNOUNCED = "waits for its line"


@dataclass(frozen=True, slots=True)
class AsOf:
    """What the journal said at *place*, as read when an image began."""

    place: int
    in_force: InForce


@dataclass(frozen=True, slots=True)
class Position:
    """
    Where learning and feed stand between two batches.

    Attributes:
        events, feed: per partition, the next offset; the learner's own, which go on.
        label_breaker: what that knows; None where it does not look.
    """

    step: int
    events: Mapping[int, int]
    feed: Mapping[int, int]
    label_breaker: dict[str, int | float] | None = None


@dataclass(frozen=True, slots=True)
class _Unwritten:
    """What a snapshot has beside its rows' image; with a large duplicate window it is large."""

    parts: Parts
    seal: Seal


class Snapshots:
    """
    One snapshot at a time, from `begin` until its line is read back.

    Attributes:
        step: of the last one announced, by whomever, or -1.
        begun_at, ended_at: of the last one begun and ended, monotonic seconds.
        failed: how many were given up.
        bad: announced ones that did not verify when old ones were last removed.
        store_fails: whether what was last asked of the store failed: it is full, forbidden or away.
    """

    def __init__(
        self,
        store: SnapshotStore,
        model: CompiledModel,
        writership: Writership,
        loaded: Loaded,
        clock: Clock,
        reached: Reached,
        threads: ThreadPoolExecutor,
        max_rows: int,
    ) -> None:
        """
        Take none yet.

        Args:
            loaded: what the learner began with.
            threads: with one thread; writing is in order.
            max_rows: of a piece of the image.
        """
        self._store, self._model = store, model
        self._writership, self._seed, self._max_rows = writership, loaded.seed, max_rows
        self._clock, self._reached, self._threads = clock, reached, threads
        self._phase = _Phase.IDLE
        self._writer: SnapshotWriter | None = None
        self._pieces: deque[Future[None]] = deque()
        self._unwritten: _Unwritten | None = None
        self._storing: Future[SnapshotName] | None = None
        self.step = loaded.snapshot_step if loaded.has_snapshot else -1
        self.failed = self.bad = 0
        self.store_fails = False
        self.begun_at = self.ended_at = clock.monotonic()

    @property
    def idle(self) -> bool:
        """Whether none is being taken."""
        return self._phase is _Phase.IDLE

    def begin(self, learner: Learner, as_of: AsOf) -> None:
        """Begin one; no step later than *learner*'s may be in force in *as_of*."""
        assert self.idle, "one at a time"
        self.begun_at = self._clock.monotonic()
        self._as_of = as_of
        try:
            self._store.clean(self._writership.model, self._writership.variant)
            self._writer = self._store.writer(self._writership.model, self._writership.variant)
        except StoreUnavailable as error:
            self._give_up(error)
            return
        learner.begin_image()
        self._phase = _Phase.IMAGE
        self._reached(Point.IMAGE_BEGUN)

    def turn(self, learner: Learner, position: Position, *, acknowledged: bool) -> Snapshot | None:
        """
        Take a piece, or the next thing there is to do; return the line to announce, if that is next.

        Args:
            position: between two batches, now.
            acknowledged: whether all lines and outputs of the steps up to `sealed_step` are.
        """
        try:
            if self._phase is _Phase.IMAGE:
                self._take(learner, position)
            elif self._phase is _Phase.SEALED and acknowledged:
                self._storing = self._store_sealed()
                self._phase = _Phase.STORING
            elif self._storing is not None and self._storing.done():
                return self._announce(self._storing.result())
        except StoreUnavailable as error:
            self._give_up(error)
        return None

    @property
    def sealed_step(self) -> int:
        """The step of the snapshot that waits for acknowledgements; -1 if none does."""
        return self._sealed.step if self._phase is _Phase.SEALED else -1

    @property
    def bytes(self) -> int:
        """Size of the rows of the last one."""
        return self._sealed.total_rows * 16

    def read_back(
        self,
        name: str,
        announced: list[str],
        keep: int,
        keep_seconds: float,
        pinned: Collection[str] = (),
        variants: Collection[str] | None = None,
    ) -> bool:
        """
        Take notice of the line of a snapshot; return whether it was ours.

        Then what is older than the newest *keep* of *announced* and than *keep_seconds*, and not *pinned*, is
        removed; and, by the writer of the variant that serves, everything of variants that are none of
        *variants* any more.
        """
        if self._phase is not _Phase.ANNOUNCED or name != self._name:
            return False
        self._phase = _Phase.IDLE
        self.step, self.ended_at = self._sealed.step, self._clock.monotonic()
        self._reached(Point.SNAPSHOT_READ_BACK)
        since = self._clock.now() - keep_seconds
        self._threads.submit(self._retain, announced, keep, since, pinned)
        if variants is not None:
            self._threads.submit(self._forget, variants)
        return True

    def close(self) -> None:
        """Leave nothing half-written behind."""
        # While none is being taken, only the removal of old ones may still be waiting.
        self._threads.shutdown(wait=True, cancel_futures=not self.idle)
        if self._writer is not None:
            self._writer.abandon()

    def _take(self, learner: Learner, position: Position) -> None:
        assert self._writer is not None
        while self._pieces and self._pieces[0].done():
            self._pieces.popleft().result()
        if len(self._pieces) >= _MAX_PIECES:
            return
        if rows := learner.take_image(self._max_rows):
            self._pieces.append(self._threads.submit(self._writer.add_rows, rows))
            return
        self._seal(learner.seal_image(), position)

    def _seal(self, seal: Seal, position: Position) -> None:
        now = self._clock.now()
        self._sealed = Manifest(
            model=self._writership.model,
            variant=self._writership.variant,
            fingerprint=self._writership.fingerprint,
            seed=self._seed,
            epoch=self._writership.epoch,
            step=position.step,
            events=dict(position.events),
            feed=dict(position.feed),
            total_rows=seal.total_rows,
            rows_hash=seal.rows_hash,
            learned_at=now,
            created_at=now,
            topic_id=self._writership.topic_id,
            label_breaker=position.label_breaker,
        )
        text = self._model.model_file.text.encode()
        # The state is left to the thread that writes.
        parts = Parts(seal.removed, b"", seal.score_state, text, self._model.plan_bytes)
        self._unwritten = _Unwritten(parts, seal)
        self._phase = _Phase.SEALED
        self._reached(Point.IMAGE_SEALED)

    def _store_sealed(self) -> Future[SnapshotName]:
        """Leave what is unwritten to the thread alone: its memory goes once it is written."""
        unwritten, self._unwritten = self._unwritten, None
        assert unwritten is not None
        return self._threads.submit(self._store_unwritten, self._sealed, unwritten)

    def _store_unwritten(self, manifest: Manifest, unwritten: _Unwritten) -> SnapshotName:
        assert self._writer is not None
        for piece in self._pieces:
            piece.result()
        seal = unwritten.seal
        name = self._writer.finish(manifest, seal.rows, unwritten.parts, seal.state_pieces())
        self._reached(Point.SNAPSHOT_STORED)
        return name

    def _announce(self, name: SnapshotName) -> Snapshot:
        self._writer = self._storing = None
        self._pieces.clear()
        self._name = str(name)
        self._phase = _Phase.ANNOUNCED
        # Learning went on since: where it stands now is not where the rows do.
        sealed = self._sealed
        return Snapshot(
            variant=name.variant,
            epoch=name.epoch,
            step=name.step,
            name=str(name),
            checksum=name.checksum,
            events=sealed.events,
            feed=sealed.feed,
            as_of=self._as_of.place,
            in_force=self._as_of.in_force,
        )

    def _give_up(self, error: StoreUnavailable) -> None:
        log.error("snapshot given up; learning goes on", extra={"reason": str(error)})
        if self._writer is not None:
            self._threads.submit(self._writer.abandon)  # behind the pieces that are still to be written
        self._writer = self._storing = None  # its error would hold what was not written
        self._pieces.clear()
        self._phase = _Phase.IDLE
        self.failed += 1
        self.store_fails = True
        self.ended_at = self._clock.monotonic()

    def _retain(self, announced: list[str], keep: int, created_since: float, pinned: Collection[str]) -> None:
        try:
            retained = self._store.retain(announced, keep, created_since, pinned)
        except StoreUnavailable as error:
            log.error("old snapshots could not be removed", extra={"reason": str(error)})
            self.store_fails = True
            return
        self.bad, self.store_fails = len(retained.bad), False
        for bad in retained.bad:
            log.error("a snapshot does not verify and is skipped", extra={"reason": str(bad)})

    def _forget(self, variants: Collection[str]) -> None:
        try:
            gone = self._store.forget(self._writership.model, variants, self._writership.epoch)
        except StoreUnavailable as error:
            log.error("snapshots of forgotten variants could not be removed", extra={"reason": str(error)})
            return
        if gone:
            extra = {"removed": [str(name) for name in gone], "kept_variants": sorted(variants)}
            log.info("snapshots of forgotten variants are removed", extra=extra)
