"""One statistic of the whole or of one segment: what it was, and whether it still is."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass, field
from math import sqrt
from typing import Any, Self

import numpy as np

from stream_ml.drift.baseline import Baseline, baseline_of
from stream_ml.drift.budget import SLACKS
from stream_ml.drift.chart import Chart
from stream_ml.drift.evaluation import Floats
from stream_ml.drift.statistics import MENDS, NOTICEABLE, Value, direction

# Observations kept. The latest ones are no part of what was before: a change may have begun in them.
KEPT = 96
LATEST = 8
# Fewer say too little of what was before.
LEAST = 16
# A chart that stands this high, in parts of its threshold, may be on its way: what was before ends there
# where it set out.
_ON_ITS_WAY = 0.15


@dataclass(frozen=True, slots=True)
class Change:
    """
    How a statistic differs from what it was.

    Attributes:
        since_learned: the events from which on it does.
        strength: in standard errors; signed.
        before, after: the mean of the figure.
    """

    since_learned: int
    strength: float
    before: float
    after: float

    @property
    def size(self) -> float:
        """By how much it differs."""
        return self.after - self.before


@dataclass
class Cell:
    """
    A statistic and its detector.

    Attributes:
        observations: columns watched, variance, figure, float32; a row an observation.
        starts: the first learned event of each.
        lent: the variance beyond chance that the whole lends (see lending); not kept.
    """

    statistic: str
    segment: str | None
    observations: list[tuple[float, float, float]] = field(default_factory=list)
    starts: list[int] = field(default_factory=list)
    warned: bool = False
    lent: float | None = None

    def __post_init__(self) -> None:
        self.chart = Chart(direction(self.statistic), SLACKS[self.group])

    @property
    def group(self) -> str:
        """The share of the budget that it draws on."""
        if self.segment is not None:
            return "segments"
        return "missing" if self.statistic.startswith("missing:") else "whole"

    @property
    def sides(self) -> int:
        """How many ways it may ring."""
        return 1 if self.chart.direction else 2

    def restart(self) -> None:
        """Take what comes as new: nothing was before."""
        self.observations, self.starts, self.warned = [], [], False
        self.chart.restart()

    def add(self, value: Value, learned_from: int, threshold: float) -> bool:
        """Take in an observation; return whether this is a change for the worse."""
        rang = False
        if len(self.starts) >= LEAST + LATEST:
            before = self._before(self._reference_end(threshold))
            rang = self.chart.add(before.standardised(value.watched), threshold)
        # As it will be kept, so that a restart changes nothing.
        single = np.array([value.watched, value.variance, value.figure], dtype=np.float32)
        self.observations.append((float(single[0]), float(single[1]), float(single[2])))
        self.starts.append(learned_from)
        del self.observations[:-KEPT], self.starts[:-KEPT]
        if rang and self.strongest(self.began) is None:
            # It mended, or nothing that a person would see is worse: this is how things are now.
            self.restart()
            return False
        return rang

    def warns(self, threshold: float) -> bool:
        """Return whether the chart is above *threshold*, for the first time since its bottom."""
        height, _ = self.chart.highest
        first = height > threshold and not self.warned
        self.warned = height > 0 and (self.warned or first)
        return first

    def _reference_end(self, threshold: float) -> int:
        height, since = self.chart.highest
        latest = max(LATEST, since) if height > _ON_ITS_WAY * threshold else LATEST
        return max(len(self.starts) - latest, LEAST)

    def _before(self, end: int) -> Baseline:
        watched, variances, _ = self._columns()
        return baseline_of(watched[:end], variances[:end], self.lent)

    def excess(self, threshold: float) -> float | None:
        """Return the variance beyond chance; None where too little is known."""
        end = self._reference_end(threshold)
        if len(self.starts) < end:
            return None
        _, variances, _ = self._columns()
        return max(self._before(end).deviation ** 2 - float(variances[:end].mean()), 0.0)

    @property
    def figure(self) -> float:
        """The mean of the figures kept; there is one at least."""
        return sum(figure for *_, figure in self.observations) / len(self.observations)

    @property
    def span(self) -> float:
        """Events from one observation to the next; 0 where there are no two."""
        return (self.starts[-1] - self.starts[0]) / (len(self.starts) - 1) if len(self.starts) > 1 else 0.0

    def _columns(self) -> tuple[Floats, Floats, Floats]:
        watched, variances, figures = np.array(self.observations, dtype=np.float64).T
        return watched, variances, figures

    @property
    def began(self) -> int:
        """The events since which the chart rises: where the change is, if there is one."""
        _, since = self.chart.highest
        return self.starts[-min(max(since, 1), len(self.starts))]

    def change(self, since_learned: int) -> Change | None:
        """Compare what came since with what was before; None where too little is known, or it is better."""
        first = int(np.searchsorted(self.starts, since_learned))
        count = len(self.starts) - first
        if count < 1 or first < LEAST:
            return None
        watched, variances, figures = self._columns()
        before = baseline_of(watched[:first], variances[:first], self.lent)
        after = float(watched[first:].mean())
        change = Change(
            since_learned=self.starts[first],
            strength=(after - before.mean) / (before.deviation * sqrt(1 / count + 1 / first)),
            before=float(figures[:first].mean()),
            after=float(figures[first:].mean()),
        )
        return change if self._is_for_the_worse(change, before.mean, after) else None

    def strongest(self, since_learned: int) -> Change | None:
        """Return the change from where on it is strongest: a chart leaves its bottom a little early."""
        starts = [start for start in self.starts if start >= since_learned]
        later = (found for start in starts if (found := self.change(start)))
        return max(later, key=lambda each: abs(each.strength), default=None)

    def _is_for_the_worse(self, change: Change, before: float, after: float) -> bool:
        if self.statistic in MENDS:
            return abs(after) > abs(before)
        if self.statistic in NOTICEABLE:
            unit = change.before if self.statistic.endswith("loss") else 1.0
            worse = (change.after - change.before) * self.chart.direction
            if worse < NOTICEABLE[self.statistic] * unit:
                return False
        return change.strength * self.chart.direction >= 0

    def state(self) -> dict[str, Any]:
        """Return what `restored` takes: JSON."""
        columns = np.array(self.observations, dtype="<f4").reshape(-1, 3)
        return {
            "statistic": self.statistic,
            "segment": self.segment,
            "observations": base64.b64encode(columns.tobytes()).decode(),
            "starts": self.starts,
            "warned": self.warned,
            "chart": self.chart.state(),
        }

    @classmethod
    def restored(cls, state: Mapping[str, Any]) -> Self:
        """Return the cell whose *state* it was."""
        columns = np.frombuffer(base64.b64decode(state["observations"]), dtype="<f4").reshape(-1, 3)
        cell = cls(
            statistic=state["statistic"],
            segment=state["segment"],
            observations=[(float(a), float(b), float(c)) for a, b, c in columns],
            starts=list(state["starts"]),
            warned=state["warned"],
        )
        cell.chart = Chart.restored(cell.chart.direction, cell.chart.slack, state["chart"])
        return cell
