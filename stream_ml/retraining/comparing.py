"""
Two variants over the same events, each scored before it is learned: what the watch of a promotion judges.

Beside the two writers, this process learns both once more, from snapshots of them: so the figures are of
the very same events, whatever each writer's batches and pauses are.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import orjson

from stream_ml._native import Learner
from stream_ml.errors import CannotContinue, RecoverableError
from stream_ml.features import CompiledModel
from stream_ml.learning.loading import Loader
from stream_ml.learning.parties import Parties, with_model_of
from stream_ml.learning.windows import read_between
from stream_ml.streams.log import Fetch, LogTruncated, Reader
from stream_ml.weights.artefact import CorruptSnapshot
from stream_ml.weights.lines import Announced
from stream_ml.weights.state import JournalState

_POLL_SECONDS = 0.05


class Side:
    """
    One variant, learned once more from a snapshot on.

    Attributes:
        evaluations: closed since the comparison began, as in the topic.
    """

    def __init__(self, learner: Learner, events: Mapping[int, int]) -> None:
        self.learner, self.events = learner, dict(events)
        self.evaluations: list[dict[str, Any]] = []

    def begin(self) -> None:
        """Count from here on: counters and evaluations begin at zero."""
        self.learner.begin_variant()
        self.evaluations.clear()

    def learn(self, fetches: list[Fetch]) -> None:
        """Score, then learn."""
        ranges = [(fetch.partition, fetch.values, fetch.timestamps_ms) for fetch in fetches]
        self.evaluations += map(orjson.loads, self.learner.learn(ranges).evaluations)


class Comparing:
    """
    Champion and challenger from where both are known on; belongs to one thread.

    Attributes:
        champion, challenger: their evaluations close at the same events.
    """

    def __init__(
        self,
        parties: Parties,
        state: JournalState,
        champion: str,
        challenger: str,
        new_learner: Callable[[CompiledModel], Learner],
        max_records: int = 10_000,
    ) -> None:
        """
        Load both, and bring the one that is behind to where the other is.

        Raises:
            RecoverableError: one of them has no snapshot that verifies yet.
            CannotContinue: events between the two snapshots are gone.
        """
        self._parties, self._max_records = parties, max_records
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
        self.champion.learn(fetches)
        self.challenger.learn(fetches)
        self.events |= {fetch.partition: fetch.next for fetch in fetches}
        return sum(len(fetch.values) for fetch in fetches)

    @property
    def events_compared(self) -> int:
        """How many events both have evaluated."""
        return int(self.challenger.evaluations[-1]["learned_to"]) if self.challenger.evaluations else 0

    def close(self) -> None:
        """Leave the log."""
        self._reader.close()

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
