"""How well a model does, as curves of its evaluations; however many there are, they take bounded memory."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property

from stream_ml.drift.evaluation import Evaluation, Tally
from stream_ml.local.figures import Figures

# More than a screen has room for; a point holds 16 KiB of histograms.
POINTS_KEPT = 400
# As many variants as the journal knows, and some that it has forgotten.
VARIANTS_KEPT = 6
COLUMNS = ("at", "learned_to", "log_loss", "auc", "calibration", "served_log_loss", "served_calibration")


@dataclass(frozen=True)
class Point:
    """
    Evaluations that follow each other, as one.

    Attributes:
        at: unix seconds when the last of them was written; `learned_to` are the events by then.
        served: of what was served; without examples where the events do not say.
    """

    at: float
    learned_to: int
    figures: Figures
    served: Figures

    def __add__(self, later: Point) -> Point:
        return Point(later.at, later.learned_to, self.figures + later.figures, self.served + later.served)

    @cached_property
    def row(self) -> tuple[float, ...]:
        """What is drawn of it, in the order of `COLUMNS`; NaN is a figure that does not exist."""
        judged = self.figures
        return (
            *(self.at, self.learned_to, judged.log_loss, judged.auc, judged.calibration),
            *(self.served.log_loss, self.served.calibration),
        )


@dataclass
class Curve:
    """The points of one variant, oldest first; where they become many, older neighbours are added up."""

    points: list[Point] = field(default_factory=list)
    # By source partition: rows in Redis are evaluated partition by partition.
    _next: dict[str, int] = field(default_factory=dict)

    def take(self, partition: str, evaluation: Evaluation, at: float) -> None:
        """Take one evaluation in; a repeat is ignored."""
        if evaluation.index < self._next.get(partition, 0):
            return
        self._next[partition] = evaluation.index + 1
        served = evaluation.whole.served
        figures = _figures(evaluation.whole.progressive)
        self.points.append(
            Point(at, evaluation.learned_to, figures, Figures() if served is None else _figures(served))
        )
        if len(self.points) > POINTS_KEPT:
            self._thin()

    def _thin(self) -> None:
        """Halve the older half: what is recent stays as fine as it came."""
        old, recent = self.points[: POINTS_KEPT // 2], self.points[POINTS_KEPT // 2 :]
        self.points = [a + b for a, b in zip(old[::2], old[1::2], strict=True)] + recent

    def columns(self) -> dict[str, list[float]]:
        """Return what the page draws; a figure that does not exist is null."""
        rows = [each.row for each in self.points]
        return {name: [row[place] for row in rows] for place, name in enumerate(COLUMNS)}


@dataclass
class Curves:
    """The curves of a model's variants, those that were evaluated last."""

    of: dict[str, Curve] = field(default_factory=dict)

    def take(self, variant: str, partition: str, evaluation: Evaluation, at: float) -> None:
        """Take one evaluation of *variant* in."""
        # The one that is evaluated stands last, so that the first is the one to forget.
        self.of[variant] = self.of.pop(variant, Curve())
        self.of[variant].take(partition, evaluation, at)
        while len(self.of) > VARIANTS_KEPT:
            del self.of[next(iter(self.of))]


def _figures(tally: Tally) -> Figures:
    return Figures(
        importance_sum=tally.importance_sum,
        label_sum=tally.label_sum,
        prediction_sum=tally.prediction_sum,
        loss_sum=tally.loss_sum,
        positives=tally.positives,
        negatives=tally.negatives,
    )
