"""From an evaluation to the values that are watched; remembers what it takes to make them."""

from __future__ import annotations

import base64
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Self

import numpy as np

from stream_ml.drift.cell import KEPT
from stream_ml.drift.evaluation import Evaluation, Floats, Judged, Tally
from stream_ml.drift.pool import Pool
from stream_ml.drift.statistics import (
    JUDGED_BY_LABEL,
    Value,
    rate_value,
    seconds_between,
    shape_value,
    share_value,
    values_of,
)

# The histogram that predictions are compared with forgets: half of it is of so many observations.
_SHAPE_HALF_LIFE = 20.0
_MISSING = "missing:"


@dataclass(frozen=True, slots=True)
class Seen:
    """A value of a statistic, and the learned event with which its observation began."""

    statistic: str
    segment: str | None
    value: Value
    began: int


@dataclass
class Seeing:
    """
    What is between evaluations.

    Attributes:
        pools: open observations, by segment and whether they are of what was served.
        shapes: importance of the predictions before by bin, float32's values, by segment.
        slots: that ever missed: one that did not is not named, and 0 is a value too.
        looked: first event and examples of the last evaluations that said what was missing.
    """

    pools: dict[tuple[str | None, bool], Pool] = field(default_factory=dict)
    shapes: dict[str | None, Floats] = field(default_factory=dict)
    slots: list[str] = field(default_factory=list)
    looked: list[tuple[int, int]] = field(default_factory=list)

    def restart(self) -> None:
        """Take what comes as new: nothing was before."""
        self.pools, self.shapes, self.looked = {}, {}, []

    def values(self, evaluation: Evaluation, before_us: int | None) -> Iterator[Seen]:
        """Yield every statistic of the whole and of each segment; *before_us* is the last watermark."""
        began = evaluation.learned_from
        yield from self._judged(None, evaluation.whole, began)
        for segment, judged in evaluation.segments.items():
            yield from self._judged(segment, judged, began)
        if evaluation.features and evaluation.unseen is not None:
            yield Seen("unseen", None, share_value(evaluation.unseen, evaluation.features), began)
        if seconds := seconds_between(before_us, evaluation):
            events = evaluation.learned_to - evaluation.learned_from
            yield Seen("event_rate", None, rate_value(events, seconds), began)
        if evaluation.missing is not None:
            yield from self._missing(evaluation.missing, evaluation.whole.progressive.examples, began)

    def _judged(self, segment: str | None, judged: Judged, learned_from: int) -> Iterator[Seen]:
        tally, served = judged.progressive, judged.served
        # Where labels are late, what the learner says just before it learns is of weights that nobody had
        # when it mattered: what was served is judged instead.
        by_served = served is not None and 2 * served.examples >= tally.examples
        if observation := self._pool(segment, False).add(tally, learned_from):
            for statistic, value in values_of(observation[0]):
                if not (by_served and statistic in JUDGED_BY_LABEL):
                    yield Seen(statistic, segment, value, observation[1])
            yield from self._shape(segment, *observation)
        if by_served and served and (told := self._pool(segment, True).add(served, learned_from)):
            for statistic, value in values_of(told[0]):
                if statistic in JUDGED_BY_LABEL:
                    yield Seen(f"served_{statistic}", segment, value, told[1])

    def _pool(self, segment: str | None, served: bool) -> Pool:
        return self.pools.setdefault((segment, served), Pool())

    def _shape(self, segment: str | None, tally: Tally, began: int) -> Iterator[Seen]:
        """Compare the predictions with those before, then count them among these."""
        binned = tally.positives + tally.negatives
        before = self.shapes.get(segment)
        if before is not None and (value := shape_value(tally, before)):
            yield Seen("prediction_shape", segment, value, began)
        kept = np.zeros(len(binned)) if before is None else before * 0.5 ** (1 / _SHAPE_HALF_LIFE)
        # As it will be kept, so that a restart changes nothing.
        self.shapes[segment] = (kept + binned).astype(np.float32).astype(np.float64)

    def _missing(self, missing: Mapping[str, int], examples: int, began: int) -> Iterator[Seen]:
        self.slots += sorted(set(missing) - set(self.slots))
        for slot in self.slots:
            yield Seen(f"{_MISSING}{slot}", None, share_value(missing.get(slot, 0), examples), began)
        self.looked = [*self.looked, (began, examples)][-KEPT:]

    def before(self, statistic: str) -> Iterator[tuple[Value, int]]:
        """Yield what a statistic that comes up for the first time was before, and where each began."""
        if statistic.startswith(_MISSING):
            for began, examples in self.looked[:-1]:
                yield share_value(0, examples), began

    def state(self) -> dict[str, Any]:
        """Return what `restored` takes: JSON."""
        return {
            "pools": [[*key, pool.state()] for key, pool in self.pools.items()],
            "shapes": [[segment, _packed(shape)] for segment, shape in self.shapes.items()],
            "slots": list(self.slots),
            "looked": [list(each) for each in self.looked],
        }

    @classmethod
    def restored(cls, state: Mapping[str, Any]) -> Self:
        """Return what had that *state*."""
        return cls(
            {(segment, served): Pool.restored(pool) for segment, served, pool in state["pools"]},
            {segment: _unpacked(shape) for segment, shape in state["shapes"]},
            list(state["slots"]),
            [(began, examples) for began, examples in state["looked"]],
        )


def _packed(shape: Floats) -> str:
    return base64.b64encode(shape.astype("<f4").tobytes()).decode()


def _unpacked(text: str) -> Floats:
    return np.frombuffer(base64.b64decode(text), dtype="<f4").astype(np.float64)
