"""River's Page-Hinkley on standardised observations, as something that can be kept."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import inf
from typing import Any, Self

from river.drift import PageHinkley
from river.stats import Mean

from stream_ml.drift.budget import SLACKS

# River's detector learns the mean of what it is given as it goes, drift included: at our few observations
# that hid four of five changes. These are standardised: their mean is known, as if by so many of them.
_KNOWN_BY = 1e12
_MODES = {1: "up", -1: "down", 0: "both"}


@dataclass
class Chart:
    """
    One detector.

    Attributes:
        direction: watched for a rise (1), a fall (-1), or both (0).
        slack: in standard deviations; half of the change that it is quickest for.
        rising, falling: observations since each side was last at its bottom; there a change began.
    """

    direction: int
    slack: float = SLACKS["whole"]
    rising: int = 0
    falling: int = 0

    def __post_init__(self) -> None:
        self.restart()

    def restart(self) -> None:
        """Forget all observations."""
        self._detector = PageHinkley(
            min_instances=1, delta=self.slack, threshold=inf, alpha=1.0, mode=_MODES[self.direction]
        )
        self._detector._x_mean = Mean._from_state(_KNOWN_BY, 0.0)
        self.rising = self.falling = 0

    def add(self, deviate: float, threshold: float) -> bool:
        """Take in an observation; return whether this is a change."""
        self._detector.threshold = threshold
        self._detector.update(deviate)  # type: ignore[no-untyped-call]
        up, down = self.heights
        self.rising = self.rising + 1 if up > 0 else 0
        self.falling = self.falling + 1 if down > 0 else 0
        return bool(self._detector.drift_detected)

    def hold(self) -> None:
        """Stay where it stands after a change that is not told: River's detector would begin anew."""
        self._detector._drift_detected = False

    @property
    def heights(self) -> tuple[float, float]:
        """How high each side stands; a change is told at the threshold."""
        detector = self._detector
        if detector._min_increase == inf:
            return 0.0, 0.0
        up = detector._sum_increase - detector._min_increase if self.direction >= 0 else 0.0
        down = detector._max_decrease - detector._sum_decrease if self.direction <= 0 else 0.0
        return up, down

    @property
    def highest(self) -> tuple[float, int]:
        """The height of the higher side, and the observations since its bottom."""
        up, down = self.heights
        return (up, self.rising) if up >= down else (down, self.falling)

    def state(self) -> list[Any]:
        """Return what `restored` takes."""
        detector = self._detector
        sums = [
            detector._sum_increase,
            detector._sum_decrease,
            detector._min_increase,
            detector._max_decrease,
        ]
        mean = detector._x_mean
        # JSON has no infinity; only a detector without an observation has one.
        kept = None if detector._min_increase == inf else [*sums, mean.n, mean.get()]
        return [self.rising, self.falling, kept]

    @classmethod
    def restored(cls, direction: int, slack: float, state: Sequence[Any]) -> Self:
        """Return the chart whose *state* it was; it goes on with the same bits."""
        chart = cls(direction, slack)
        chart.rising, chart.falling, kept = state
        if kept is not None:
            detector = chart._detector
            up, down, lowest, highest, count, mean = kept
            detector._sum_increase, detector._sum_decrease = up, down
            detector._min_increase, detector._max_decrease = lowest, highest
            detector._x_mean = Mean._from_state(count, mean)
        return chart
