"""The label breaker: where labels break, learning stops by a decision, and serving goes on."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from typing import NamedTuple, Self

from stream_ml.drift.breaker import Flood, LabelBreaker
from stream_ml.features import CompiledModel
from stream_ml.runtime import metrics
from stream_ml.runtime.settings import LearnerSettings
from stream_ml.weights.lines import Decided, Decision, resumed_at

log = logging.getLogger(__name__)

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


def breaks_labels(settings: LearnerSettings, model: CompiledModel) -> bool:
    """Whether labels are looked at: of another loss than the logistic one they are no shares of positives."""
    return settings.label_breaker and model.model_file.learner.loss == "logistic"


class Breaker:
    """
    Looks at the labels of every batch; belongs to one thread at a time.

    What it knows at a start is what it knew when the snapshot was taken that learning goes on from: the rate
    of all that was ever learned may be long past. After a `resume` it begins anew, the labels that tripped it
    were accepted by a person.
    """

    def __init__(
        self,
        model: str,
        variant: str,
        who: str,
        decisions: Iterable[Decided] = (),
        known: tuple[Mapping[str, int | float], int] | None = None,
    ) -> None:
        """*decisions*: in force. *known*: a `state`, and the journal's place as of which it is."""
        self._model, self._variant, self._who = model, variant, who
        self._rule = LabelBreaker()
        self.tripped = False
        decisions = tuple(decisions)
        of_ours = [each.decision for each in decisions if each.decision.variant == variant]
        is_open = any(each.kind == "stop" and each.why.startswith(_BROKE) for each in of_ours)
        metrics.LEARNER_BREAKER_OPEN.labels(model).set(is_open)
        if known is not None and resumed_at(decisions, variant) < known[1]:
            self._rule = LabelBreaker.restored(known[0])

    @property
    def state(self) -> dict[str, int | float]:
        """What a breaker that goes on with this takes."""
        return self._rule.state()

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
