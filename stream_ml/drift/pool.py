"""Tallies gathered until they say enough: a small segment is observed less often than the whole."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

from stream_ml.drift.evaluation import Tally

_LEAST_EXAMPLES = 50
# Of the rarer label; decided before the examples are seen, by the label rate until then. With fewer, too
# little is known of a segment by when it is watched (cell.LEAST) to tell 1.3 times as many from chance.
_LEAST_LABELS = 20
_RATE_EXAMPLES = 10_000.0


@dataclass
class Pool:
    """
    An open observation.

    Attributes:
        tally: of the evaluations since the last observation; None: of none.
        began: the first learned event of these.
        examples, labels: of the past, half forgotten with every ten thousand.
    """

    tally: Tally | None = None
    began: int = 0
    examples: float = 0.0
    labels: float = 0.0

    def add(self, tally: Tally, learned_from: int) -> tuple[Tally, int] | None:
        """Gather; return the observation and its first event where it is complete."""
        began = learned_from if self.tally is None else self.began
        together = tally if self.tally is None else self.tally + tally
        if together.examples < self._needed():
            self.tally, self.began = together, began
            return None
        self.tally = None
        self._remember(together)
        return together, began

    def _needed(self) -> float:
        if not self.examples:
            return _LEAST_EXAMPLES
        rate = self.labels / self.examples
        rarer = max(min(rate, 1 - rate), _LEAST_LABELS / 1e6)
        # Labels that are no rates (of another loss) need no more than examples.
        return max(_LEAST_EXAMPLES, _LEAST_LABELS / rarer) if 0 <= rate <= 1 else _LEAST_EXAMPLES

    def _remember(self, tally: Tally) -> None:
        kept = 0.5 ** (tally.examples / _RATE_EXAMPLES)
        share = tally.label_sum / tally.importance_sum if tally.importance_sum > 0 else 0.0
        self.examples = self.examples * kept + tally.examples
        self.labels = self.labels * kept + share * tally.examples

    def state(self) -> dict[str, Any]:
        """Return what `restored` takes: JSON."""
        open_tally = None if self.tally is None else self.tally.said()
        return {"tally": open_tally, "began": self.began, "examples": self.examples, "labels": self.labels}

    @classmethod
    def restored(cls, state: Mapping[str, Any]) -> Self:
        """Return the pool whose *state* it was."""
        tally = None if state["tally"] is None else Tally.of(state["tally"])
        return cls(tally, state["began"], state["examples"], state["labels"])
