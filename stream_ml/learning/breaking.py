"""The label breaker of a writer: where labels break, learning stops by a decision, and serving goes on."""

from __future__ import annotations

import logging

from stream_ml._native import Learner
from stream_ml.drift.breaker import LEAST_EVENTS, Flood, LabelBreaker
from stream_ml.runtime import metrics
from stream_ml.weights.lines import Decision, InForce

log = logging.getLogger(__name__)

# What a learner that starts again knows of the rate counts for at most so many events.
_MOST_KNOWN = 50_000


class Breaker:
    """
    Looks at the labels of every batch; belongs to the learning thread.

    What it knows is rebuilt at a start from the learner's own totals. After a `resume` it begins anew: the
    labels that tripped it were accepted by a person.
    """

    def __init__(self, model: str, variant: str, who: str, learner: Learner, in_force: InForce) -> None:
        self._model, self._variant, self._who = model, variant, who
        self._before = _totals(learner)
        self._rule = LabelBreaker()
        resumed = any(
            each.decision.kind == "resume" and each.decision.variant == variant for each in in_force.decisions
        )
        if not resumed:
            self._know(self._before)
        self._decided: Decision | None = None

    @property
    def tripped(self) -> bool:
        """Whether it has decided, and learning has not been resumed since."""
        return self._decided is not None

    def turn(self, learner: Learner, in_force: InForce) -> Decision | None:
        """Take in what was learned since the last turn; return the decision to append, if labels broke."""
        now = _totals(learner)
        examples, importance, labels = (
            after - before for after, before in zip(now, self._before, strict=True)
        )
        self._before = now
        if self.tripped or not examples or importance <= 0:
            return None
        flood = self._rule.learned(int(examples), labels / importance)
        return None if flood is None else self._decide(flood, in_force)

    def reset(self) -> None:
        """Begin anew: learning was resumed."""
        self._rule, self._decided = LabelBreaker(), None
        metrics.LEARNER_BREAKER_OPEN.labels(self._model).set(0)

    def _know(self, totals: tuple[float, float, float]) -> None:
        examples, importance, labels = totals
        known = min(int(examples), _MOST_KNOWN)
        if known and importance > 0:
            # The rate first, so that the rest is no surprise.
            for count in (min(known, LEAST_EVENTS), known - LEAST_EVENTS):
                self._rule.learned(count, labels / importance)

    def _decide(self, flood: Flood, in_force: InForce) -> Decision:
        why = (
            f"labels broke: a share of {flood.after:.3f} in the last {flood.events:,} events, "
            f"{flood.before:.3f} before; stream-ml resume asks for one of --learn-backlog, --skip-to, "
            "--restore-step"
        )
        log.error(f"learning stops, scores go on: {why}", extra={"variant": self._variant})
        metrics.LEARNER_BREAKER_OPEN.labels(self._model).set(1)
        drafted = Decision(kind="stop", variant=self._variant, who=self._who, why=why)
        known = next((each for each in in_force.decisions if each.decision.thing == drafted.thing), None)
        replaces = known.place if known else None
        self._decided = Decision(
            kind="stop", variant=self._variant, who=self._who, why=why, replaces=replaces
        )
        return self._decided


def _totals(learner: Learner) -> tuple[float, float, float]:
    found = learner.metrics()
    return found["learned"], found["importance_sum"], found["label_sum"]
