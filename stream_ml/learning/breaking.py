"""The label breaker: where labels break, learning stops by a decision, and serving goes on."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from typing import NamedTuple, Self

from stream_ml.drift.breaker import LEAST_EVENTS, Flood, LabelBreaker
from stream_ml.runtime import metrics
from stream_ml.weights.lines import Decided, Decision

log = logging.getLogger(__name__)

# What a learner that starts again knows of the rate counts for at most so many events.
_MOST_KNOWN = 50_000
_BROKE = "labels broke"


class Labels(NamedTuple):
    """Learned events, the sum of their importance, and that of importance × label."""

    examples: int = 0
    importance: float = 0.0
    sum: float = 0.0

    @classmethod
    def of(cls, totals: Mapping[str, float]) -> Self:
        """Return them of what a learner's ``metrics`` says."""
        return cls(int(totals["learned"]), totals["importance_sum"], totals["label_sum"])

    def since(self, before: Labels) -> Labels:
        """Return what came after *before*."""
        return Labels(
            self.examples - before.examples, self.importance - before.importance, self.sum - before.sum
        )

    @property
    def share(self) -> float | None:
        """Of positives; None without events."""
        return self.sum / self.importance if self.examples > 0 and self.importance > 0 else None


class Breaker:
    """
    Looks at the labels of every batch; belongs to one thread at a time.

    What it knows at a start is the rate of all that was learned, or nothing: after a `resume` it begins anew,
    the labels that tripped it were accepted by a person.
    """

    def __init__(
        self, model: str, variant: str, who: str, learned: Labels, decisions: Iterable[Decided] = ()
    ) -> None:
        """*learned*: all until now. *decisions*: in force."""
        self._model, self._variant, self._who = model, variant, who
        self._rule = LabelBreaker()
        self.tripped = False
        of_ours = [each.decision for each in decisions if each.decision.variant == variant]
        is_open = any(each.kind == "stop" and each.why.startswith(_BROKE) for each in of_ours)
        metrics.LEARNER_BREAKER_OPEN.labels(model).set(is_open)
        if not any(each.kind == "resume" for each in of_ours):
            self._know(learned)

    def learned(self, labels: Labels) -> Flood | None:
        """Take in what was learned; return the flood if this is where labels broke: `decision` is next."""
        if self.tripped or labels.share is None:
            return None
        flood = self._rule.learned(labels.examples, labels.share)
        self.tripped = flood is not None
        return flood

    def decision(self, flood: Flood, decisions: Iterable[Decided]) -> Decision:
        """Return the decision to append; *decisions* are in force."""
        why = (
            f"{_BROKE}: a share of {flood.after:.3f} in the last {flood.events:,} events, "
            f"{flood.before:.3f} before; stream-ml resume asks for one of --learn-backlog, --skip-to, "
            "--restore-step"
        )
        log.error(f"learning stops, scores go on: {why}", extra={"variant": self._variant})
        metrics.LEARNER_BREAKER_OPEN.labels(self._model).set(1)
        drafted = Decision(kind="stop", variant=self._variant, who=self._who, why=why)
        known = next((each for each in decisions if each.decision.thing == drafted.thing), None)
        return Decision(
            kind="stop",
            variant=self._variant,
            who=self._who,
            why=why,
            replaces=known.place if known else None,
        )

    def reset(self) -> None:
        """Begin anew: learning was resumed."""
        self._rule, self.tripped = LabelBreaker(), False
        metrics.LEARNER_BREAKER_OPEN.labels(self._model).set(0)

    def _know(self, labels: Labels) -> None:
        known = min(labels.examples, _MOST_KNOWN)
        if labels.share is not None:
            # The rate first, so that the rest is no surprise.
            for count in (min(known, LEAST_EVENTS), known - LEAST_EVENTS):
                self._rule.learned(count, labels.share)
