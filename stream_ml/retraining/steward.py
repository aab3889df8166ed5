"""
What follows from retrained challengers, by what the journal says: they learn, are promoted, and are watched.

Everything here follows from the journal and can be done by any retrainer, or by two at once: a second child
stands by, and of two decisions about one thing only the first counts.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from stream_ml.errors import ConfigError, RecoverableError
from stream_ml.learning.parties import Parties
from stream_ml.learning.succeeding import as_far
from stream_ml.retraining.asking import Schedule
from stream_ml.retraining.children import Children
from stream_ml.retraining.promoting import give_up, promote
from stream_ml.retraining.watching import Outcome, Watch
from stream_ml.runtime import metrics
from stream_ml.runtime.lifecycle import Stop
from stream_ml.weights.journal import JournalReader
from stream_ml.weights.state import JournalState
from stream_ml.weights.variant_state import VariantState

log = logging.getLogger(__name__)

_RETRY_SECONDS = 1.0
_IDLE_SECONDS = 0.2
# Two writers are hardly ever at the same event while events come. Who comes to where the champion was so many
# looks ago has caught up: two seconds.
_LOOKS_BEHIND = 10


@dataclass
class Steward:
    """
    Looks after one model's challengers; `run` belongs to a thread of its own.

    Attributes:
        promotes: whether who is proved and has caught up serves by itself; else a person promotes.
        ended: called with the outcome of every watch.
        schedule: asks for jobs when it is time.
    """

    parties: Parties
    children: Children
    watch: Watch
    promotes: bool = True
    ended: Callable[[Outcome], None] = lambda outcome: None
    schedule: Schedule | None = None
    _told: set[str] = field(default_factory=set, init=False)
    # By variant: where its champion was, and how many looks ago.
    _places: dict[str, tuple[VariantState, int]] = field(default_factory=dict, init=False)

    def run(self, stop: Stop) -> None:
        """
        Go on until *stop*; then the children end too.

        Raises:
            CannotContinue: the journal cannot be followed.
        """
        topic = self.parties.topics.journal.name
        try:
            with JournalReader.open(self.parties.log, topic) as journal:
                journal.read_to_end()
                while not stop.requested():
                    self._turn_unless_away(journal, stop)
        finally:
            self.watch.close()
            self.children.close()

    def turn(self, state: JournalState) -> None:
        """Do what *state* asks for."""
        if self.schedule is not None:
            self.schedule.turn()
        self.children.turn(state)
        for variant, known in state.variants.items():
            if known.challenge is not None and variant != state.serving and state.learns(variant):
                self._look(state, variant, known)
        watched = self.watch.events
        if (outcome := self.watch.turn(state)) is not None:
            self._end(outcome)
        metrics.RETRAINER_WATCHED_EVENTS.labels(self.parties.name).set(max(watched, self.watch.events))

    def _turn_unless_away(self, journal: JournalReader, stop: Stop) -> None:
        try:
            # To where it ends now: two writers that are busy would give it no end.
            journal.read_to_end()
            state = journal.state
            self.turn(state)
            # Polling the events of a watch is a wait of its own.
            if state.champion_of(state.serving) is None:
                stop.wait(_IDLE_SECONDS)
        except RecoverableError as error:
            log.warning("tried again soon", extra={"reason": str(error)})
            stop.wait(_RETRY_SECONDS)

    def _look(self, state: JournalState, variant: str, known: VariantState) -> None:
        assert known.challenge is not None, "it is a challenger"
        if (why := self.children.failed.get(known.challenge.job)) is not None:
            give_up(self.parties, variant, why)
        elif known.challenge.champion != state.serving:
            # It was compared with a variant that serves no more.
            if state.champion_of(state.serving) != known.challenge.champion:
                give_up(self.parties, variant, f"{state.serving} serves now, it challenged another")
        elif known.challenge.proof and known.snapshots:
            place = self._reached(known, variant, state)
            if place is not None:
                self._promote(variant, known.challenge.proof, place)

    def _reached(self, known: VariantState, variant: str, state: JournalState) -> VariantState | None:
        """Return where its champion is, or was a moment ago, if *variant* has learned as much."""
        champion = state.variants[state.serving or ""]
        place, looks = self._places.get(variant, (champion, _LOOKS_BEHIND))
        if as_far(known, place):
            return place
        # A fold goes on with the same objects.
        self._places[variant] = (place, looks + 1) if looks < _LOOKS_BEHIND else (replace(champion), 0)
        return None

    def _promote(self, variant: str, proof: str, place: VariantState) -> None:
        if not self.promotes:
            if variant not in self._told:
                self._told.add(variant)
                log.warning("waits to be promoted", extra={"variant": variant, "proof": proof})
            return
        try:
            promote(self.parties, variant, f"gate: {proof}", place=place)
        except ConfigError as error:
            log.info("not promoted: what was read is old", extra={"reason": str(error)})
            return
        metrics.RETRAINER_PROMOTIONS.labels(self.parties.name).inc()
        log.warning("promoted", extra={"variant": variant, "proof": proof})

    def _end(self, outcome: Outcome) -> None:
        if not outcome.kept:
            metrics.RETRAINER_ROLLBACKS.labels(self.parties.name).inc()
        self.ended(outcome)
