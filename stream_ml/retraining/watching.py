"""The watch after a promotion: both go on being compared, and the better one serves in the end."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass

from stream_ml._native import Learner
from stream_ml.errors import CannotContinue, RecoverableError
from stream_ml.features import CompiledModel
from stream_ml.learning.parties import Parties
from stream_ml.retraining import gate
from stream_ml.retraining.comparing import Comparing
from stream_ml.retraining.promoting import bring_back, end_watch
from stream_ml.weights.lines import Decision
from stream_ml.weights.state import JournalState

log = logging.getLogger(__name__)

# The rule says nothing before some 32 blocks, an eighth of a watch; larger ones depend less on each other.
_BLOCKS_OF_A_WATCH = 256
_LEAST_BLOCK, _LARGEST_BLOCK = 50, 500


@dataclass(frozen=True, slots=True)
class Outcome:
    """
    How a watch ended.

    Attributes:
        kept: whether the challenger serves on; else the champion was brought back.
        why: with figures, as the journal has it.
    """

    champion: str
    challenger: str
    kept: bool
    why: str


class Watch:
    """
    Watches whatever was promoted; belongs to one thread. Of two that watch, the first decision counts.

    A decision that comes between ends it: it looks at the journal anew at every turn.
    """

    def __init__(
        self,
        parties: Parties,
        new_learner: Callable[[CompiledModel], Learner],
        rule: gate.Rule,
        watch_events: int,
    ) -> None:
        """*watch_events*: after so many compared events the challenger stays, if nothing was proved."""
        self._parties, self._new_learner, self._rule = parties, new_learner, rule
        self._watch_events = watch_events
        self._promotion = -1
        self._comparing: Comparing | None = None

    def turn(self, state: JournalState) -> Outcome | None:
        """
        Compare what has come, and decide if it is time; return the outcome of a watch that just ended.

        Raises:
            RecoverableError: it cannot be compared now; the next turn begins the comparison anew.
        """
        try:
            return self._turn(state)
        except CannotContinue as error:
            self.close()
            raise RecoverableError(f"{error}; the comparison begins anew") from error

    def _turn(self, state: JournalState) -> Outcome | None:
        decided = state.decisions.get("serve")
        champion = state.champion_of(state.serving)
        if decided is None or champion is None:
            self.close()
            return None
        if decided.place != self._promotion:
            self.close()
            self._comparing = self._begin(state, champion, decided.decision.variant)
            self._promotion = decided.place
        assert self._comparing is not None, "it was just begun"
        if not self._comparing.turn():
            return None
        return self._judge(self._comparing, champion, decided.decision.variant)

    @property
    def events(self) -> int:
        """Compared since the promotion."""
        return 0 if self._comparing is None else self._comparing.events_compared

    def close(self) -> None:
        """Forget what is compared."""
        if self._comparing is not None:
            self._comparing.close()
        self._comparing, self._promotion = None, -1

    def _begin(self, state: JournalState, champion: str, challenger: str) -> Comparing:
        log.info("watching a promotion", extra={"champion": champion, "challenger": challenger})
        block = min(max(self._watch_events // _BLOCKS_OF_A_WATCH, _LEAST_BLOCK), _LARGEST_BLOCK)
        return Comparing(self._parties, state, champion, challenger, self._new_learner, block)

    def _judge(self, comparing: Comparing, champion: str, challenger: str) -> Outcome | None:
        verdict = judged(comparing, challenger, self._rule)
        figures = f"{verdict.why} ({verdict.events:,} events{_left_out(comparing)})"
        if verdict.says == "promote":
            why = f"watch: {champion} is better than {challenger}: {figures}"
            decided = bring_back(self._parties, why, self._promotion)
            return self._ended(decided, Outcome(champion, challenger, kept=False, why=why))
        if verdict.says == "keep" or comparing.events_compared >= self._watch_events:
            why = f"watch over: {challenger} stays, {champion} is not better: {figures}"
            decided = end_watch(self._parties, why, self._promotion)
            return self._ended(decided, Outcome(champion, challenger, kept=True, why=why))
        return None

    def _ended(self, decided: list[Decision], outcome: Outcome) -> Outcome | None:
        """Return *outcome*; None where another has decided meanwhile."""
        self.close()
        if not decided:
            return None
        log.warning(outcome.why)
        return outcome


def judged(comparing: Comparing, challenger: str, rule: gate.Rule) -> gate.Verdict:
    """Return what the watch's *rule* says of what is compared so far."""
    return gate.watch(comparing.blocks(challenger), challenger, rule)


def _left_out(comparing: Comparing) -> str:
    blocks = comparing.left_out
    return f"; of {blocks:,} blocks one refused what the other learned: they are left out" if blocks else ""
