"""
Two variants over the same events, each scored before it is learned: what the watch of a promotion judges.

Beside the two writers, this process learns both once more, from snapshots of them: so the figures are of
the very same events, whatever each writer's batches and pauses are. One may refuse what the other learns, as
with features that the other does not have; a block of records of which both have not learned the same events
is left out.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial

import numpy as np

from stream_ml._native import Learner
from stream_ml.errors import CannotContinue, RecoverableError
from stream_ml.features import CompiledModel
from stream_ml.learning.loading import Loader
from stream_ml.learning.parties import Parties, with_model_of
from stream_ml.learning.windows import read_between
from stream_ml.retraining.blocks import Blocks, Sums
from stream_ml.retraining.confidence import Array
from stream_ml.streams.log import Fetch, LogTruncated, Reader
from stream_ml.weights.artefact import CorruptSnapshot
from stream_ml.weights.lines import Announced
from stream_ml.weights.state import JournalState

_POLL_SECONDS = 0.05
# Sums of a learner, by the names of its metrics.
_FIGURES = ("learned", "importance_sum", "label_sum", "prediction_sum", "loss_sum")


class Side:
    """One variant, learned once more from a snapshot on."""

    def __init__(self, learner: Learner, events: Mapping[int, int]) -> None:
        self.learner, self.events = learner, dict(events)
        self._before = np.zeros(len(_FIGURES))

    def begin(self) -> None:
        """Count from here on."""
        self.learner.begin_variant()
        self._before = self._totals()

    def learn(self, fetches: list[Fetch]) -> None:
        """Score, then learn."""
        self.learner.learn([(fetch.partition, fetch.values, fetch.timestamps_ms) for fetch in fetches])

    def closed(self) -> Array:
        """Return the sums since this was called last, or `begin` was, in the order of the figures."""
        before, self._before = self._before, self._totals()
        return self._before - before

    def _totals(self) -> Array:
        totals = self.learner.metrics()
        return np.array([totals[figure] for figure in _FIGURES])


class Comparing:
    """
    Champion and challenger from where both are known on; belongs to one thread.

    Attributes:
        events_compared: records of the blocks that are full.
        left_out: how many blocks of these were left out.
    """

    def __init__(
        self,
        parties: Parties,
        state: JournalState,
        champion: str,
        challenger: str,
        new_learner: Callable[[CompiledModel], Learner],
        block_records: int,
        max_records: int = 10_000,
    ) -> None:
        """
        Load both, and bring the one that is behind to where the other is.

        Args:
            block_records: of a block, learned or not.
            max_records: of a turn.

        Raises:
            RecoverableError: one of them has no snapshot that verifies yet.
            CannotContinue: events between the two snapshots are gone.
        """
        self._parties, self._max_records = parties, max_records
        self._block_records, self._in_block = block_records, 0
        self._sums: list[tuple[Array, Array]] = []
        self.events_compared = self.left_out = 0
        self.champion = self._loaded(champion, state, new_learner)
        self.challenger = self._loaded(challenger, state, new_learner)
        self.events = {
            partition: max(self.champion.events.get(partition, 0), self.challenger.events.get(partition, 0))
            for partition in {**self.champion.events, **self.challenger.events}
        }
        for side in (self.champion, self.challenger):
            self._bring(side)
            side.begin()
        self._reader = self._read(self.events)

    def turn(self, timeout_seconds: float = _POLL_SECONDS) -> int:
        """
        Compare what has come since the last turn, within bounds; return how many records.

        Raises:
            CannotContinue: records are gone that were not compared.
        """
        try:
            fetches = self._reader.poll(self._max_records, timeout_seconds)
        except LogTruncated as error:
            raise CannotContinue(f"the comparison is behind what the log keeps: {error}") from error
        for fetch in fetches:
            self._compare(fetch)
        self.events |= {fetch.partition: fetch.next for fetch in fetches}
        return sum(len(fetch.values) for fetch in fetches)

    def blocks(self, challenger: str) -> Blocks:
        """Return what was compared, with this name for the challenger."""
        sums = np.array(self._sums).reshape(-1, 2, len(_FIGURES))
        examples, importance, labels = sums[:, 0, :3].T
        champion, ours = (Sums(loss=of[:, 4], predictions=of[:, 3]) for of in (sums[:, 0], sums[:, 1]))
        return Blocks(examples, importance, labels, champion, {challenger: ours})

    def close(self) -> None:
        """Leave the log."""
        self._reader.close()

    def _compare(self, fetch: Fetch) -> None:
        at = 0
        while at < len(fetch.values):
            # A block ends within a fetch.
            part = slice(at, at + self._block_records - self._in_block)
            values, timestamps_ms = fetch.values[part], fetch.timestamps_ms[part]
            for side in (self.champion, self.challenger):
                side.learner.learn([(fetch.partition, values, timestamps_ms)])
            at += len(values)
            self._in_block += len(values)
            if self._in_block == self._block_records:
                self._close_block()

    def _close_block(self) -> None:
        self.events_compared += self._in_block
        self._in_block = 0
        champion, challenger = self.champion.closed(), self.challenger.closed()
        if not np.allclose(champion[:3], challenger[:3]):
            self.left_out += 1
        elif champion[0]:
            self._sums.append((champion, challenger))

    def _loaded(
        self, variant: str, state: JournalState, new_learner: Callable[[CompiledModel], Learner]
    ) -> Side:
        parties = with_model_of(variant, state, self._parties)
        loader = Loader(parties, partial(new_learner, parties.model))
        for snapshot in reversed(state.variants[variant].snapshots):
            if (learner := _begun_with(loader, snapshot)) is not None:
                return Side(learner, snapshot.events)
        raise RecoverableError(f"{variant} has no snapshot that verifies yet: nothing to compare")

    def _bring(self, side: Side) -> None:
        topic = self._parties.topics.events.name
        for partition, end in self.events.items():
            start = side.events.get(partition, 0)
            try:
                read_between(self._parties.log, topic, partition, start, end, side.learn)
            except LogTruncated as error:
                raise CannotContinue(f"events between two snapshots are gone: {error}") from error

    def _read(self, starts: Mapping[int, int]) -> Reader:
        return self._parties.log.reader(self._parties.topics.events.name, dict(starts))


def _begun_with(loader: Loader, snapshot: Announced) -> Learner | None:
    try:
        return loader.begun_with(snapshot.name)
    except CorruptSnapshot:
        return None
