"""A learner as of a snapshot, or of a variant's beginning, and the journal from there on."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial

from stream_ml._native import Learner
from stream_ml.errors import CannotContinue
from stream_ml.learning.evolving import inherit, state_of_shared
from stream_ml.learning.outputs import Source
from stream_ml.learning.parties import Parties
from stream_ml.learning.replaying import Replay, ReplayImpossible
from stream_ml.learning.ways_on import ACCEPT_LOSS
from stream_ml.learning.windows import WindowReader
from stream_ml.streams.scan_cache import ScanCache
from stream_ml.weights.artefact import CorruptSnapshot
from stream_ml.weights.journal import JournalReader
from stream_ml.weights.lines import Announced, NewerFormat, Seed
from stream_ml.weights.snapshots import load

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Loaded:
    """
    A learner that can go on replaying.

    Attributes:
        replay: at the snapshot's step, or the variant's beginning.
        journal: its next entries hold every step after that.
        snapshot_step: of the snapshot; 0 if there was none.
        snapshot_at: when it was taken, unix seconds; 0 if there was none.
        label_breaker: what that knew as the snapshot was taken, and the journal's place then; None where
            it is not known.
    """

    replay: Replay
    journal: JournalReader
    seed: Seed | None
    snapshot_step: int
    has_snapshot: bool
    label_breaker: tuple[Mapping[str, int | float], int] | None = None
    snapshot_at: float = 0.0

    def skip(self, variant: str) -> dict[int, int]:
        """Go on where decisions say that *variant* does; return their places, by partition."""
        skips = self.journal.state.skips(variant)
        for partition, decided in skips.items():
            assert decided.decision.next is not None, "of a skip"
            self.replay.events[partition] = decided.decision.next
        return {partition: decided.place for partition, decided in skips.items()}


class Loader:
    """Loads a variant of the model; a snapshot that does not verify is named and skipped."""

    def __init__(
        self, parties: Parties, new_learner: Callable[[], Learner], scans: ScanCache | None = None
    ) -> None:
        self._parties, self._new_learner, self._scans = parties, new_learner, scans

    def newest(self, known: JournalReader, variant: str, at_most: int | None = None) -> Loaded:
        """
        Return the variant as of its newest announced snapshot that verifies, or of its beginning.

        Args:
            at_most: no snapshot of a later step.

        Raises:
            ReplayImpossible: there is neither, or the lines from there on were trimmed.
        """
        state = known.state.variants[variant]
        for snapshot in reversed(state.snapshots):
            if at_most is not None and snapshot.step > at_most:
                continue
            try:
                learner, breaker, taken_at = self._learner_of(snapshot.name)
            except CorruptSnapshot as error:
                log.error("a snapshot does not verify and is skipped", extra={"reason": str(error)})
                continue
            replay = self._replay(learner, variant, snapshot.step, snapshot.events)
            return Loaded(
                replay,
                _after(known, snapshot),
                state.seed,
                snapshot.step,
                has_snapshot=True,
                label_breaker=None if breaker is None else (breaker, snapshot.as_of),
                snapshot_at=taken_at,
            )
        return self.beginning(variant)

    def beginning(self, variant: str) -> Loaded:
        """
        Return the variant as of step 0: an empty table, or the rows of its seed.

        Raises:
            ReplayImpossible: the journal does not reach back so far, or the seed does not verify.
        """
        with self._before(variant) as reader:
            reader.read_to_end()
            line = reader.state.variants[variant].line
        if line is None:
            raise self._unreachable(variant)  # the journal's begin told of it
        try:
            learner = self._new_learner() if line.seed is None else self.begun_with(line.seed.name)
        except CorruptSnapshot as error:
            raise ReplayImpossible(
                f"{variant} begins with a snapshot that does not verify: {error}; restore it, or begin a new "
                f"variant with {ACCEPT_LOSS}"
            ) from error
        replay = self._replay(learner, variant, 0, line.events)
        return Loaded(replay, self._before(variant), line.seed, 0, has_snapshot=False)

    def best_snapshot(self, snapshots: list[Announced]) -> Announced | None:
        """Return the newest of *snapshots* that verifies."""
        for snapshot in reversed(snapshots):
            try:
                self._parties.store.verify(snapshot.name)
            except CorruptSnapshot as error:
                log.error("a snapshot does not verify and is skipped", extra={"reason": str(error)})
            else:
                return snapshot
        return None

    def _before(self, variant: str) -> JournalReader:
        """Return a reader whose entries hold the line that began *variant*, and all of its steps."""
        reader = JournalReader.before(self._parties.log, self._parties.topics.journal.name, variant)
        if reader is None:
            raise self._unreachable(variant)
        return reader

    def _unreachable(self, variant: str) -> ReplayImpossible:
        return ReplayImpossible(
            f"the journal does not reach back to the beginning of {variant}, and no snapshot of it "
            f"verifies; restore one, or begin a new variant with {ACCEPT_LOSS}"
        )

    def begun_with(self, name: str) -> Learner:
        """
        Return a learner that begins with the rows of the snapshot *name*: its counters are at zero.

        Raises:
            CorruptSnapshot: it does not verify.
        """
        learner = self._new_learner()
        with self._parties.store.open(name) as snapshot:
            parts = load(snapshot, learner)
        same = snapshot.manifest.fingerprint == self._parties.model.fingerprint
        shared = snapshot.manifest.streams is not None
        if shared and same:
            # It was read from Redis; its state is that of shards.
            learner.load_score_state(parts.score_state)
        elif same:
            learner.load_state(parts.state)
            learner.begin_variant()
        else:
            inherit(learner, state_of_shared(parts) if shared else parts, self._parties.model)
        if shared:
            self._remember(learner, snapshot.manifest.events)
        return learner

    def _remember(self, learner: Learner, events: Mapping[int, int]) -> None:
        """Let *learner* know the event ids of the last events before these offsets."""
        window = self._parties.model.model_file.learner.duplicate_window
        reader = WindowReader(self._parties.log, self._parties.topics.events.name, window)
        for partition, end in events.items():
            reader.remember(partial(learner.remember, partition), learner.forget, partition, 0, end)

    def _learner_of(self, name: str) -> tuple[Learner, Mapping[str, int | float] | None, float]:
        learner = self._new_learner()
        with self._parties.store.open(name) as snapshot:
            learner.load_state(load(snapshot, learner).state)
            return learner, snapshot.manifest.label_breaker, snapshot.manifest.created_at

    def _replay(self, learner: Learner, variant: str, step: int, events: dict[int, int]) -> Replay:
        topic = self._parties.topics.events
        source = Source(self._parties.name, variant, topic.name)
        return Replay(self._parties.log, topic, learner, source, step, events, self._scans)


def _after(known: JournalReader, snapshot: Announced) -> JournalReader:
    try:
        return known.replay(snapshot)
    except NewerFormat:
        raise
    except CannotContinue as error:
        raise ReplayImpossible(f"{error}; begin a new variant with {ACCEPT_LOSS}") from error
