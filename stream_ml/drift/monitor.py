"""
The monitor: evaluations in, alarms out; the same alarms whenever it is stopped and goes on from its state.

A drift is told once, under the statistic and the segment that it shows in most. Then everything is measured
anew, for the learner follows the drift and so does what is seen of it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import copysign, inf
from typing import Any, Self

from stream_ml.drift.alarms import Alarm, Kind
from stream_ml.drift.budget import thresholds
from stream_ml.drift.cell import Cell, Change
from stream_ml.drift.evaluation import Evaluation
from stream_ml.drift.lending import lend
from stream_ml.drift.seeing import Seeing, Seen
from stream_ml.errors import CannotContinue

STATE_FORMAT = 1
# In standard errors. A chart also rings where a little was a little off for long, as labels in long runs are
# and a young model is; that is a warning.
LEAST_STRENGTH = 5.0
# Labels in runs pull weights after them, and with these every prediction, for long.
_LEAST_STRENGTH_OF_PREDICTIONS = 8.0
_LEAST_STRENGTH_OF_SEGMENTS = 4.5
# A chart no higher, in standard deviations, is not asked how strong its change is: that takes time.
_RAISED = 3.0
# What a change has to be stronger to be told by that name. Other labels show as a label rate and, a little
# stronger, as predictions that are off; a person is told the plain one. A change of the whole shows in every
# segment, and in one of them by chance most; a change of one segment shows there by far the most.
_LESS_PLAIN = {"calibration": 1.5, "served_calibration": 1.5, "prediction_shape": 1.5}
_A_SEGMENT = 1.25
# Labels do not follow the predictions where what is left between them, the same way as labels went, would be
# chance once in twenty: no part of what labels do, for a learner follows a slow drift as fast as it comes.
_OFF = 0.3
# Labels that are wrong are also more, or fewer; that the loss rises by so much of it tells them apart, or by
# more than what is left between labels and predictions, where the learner has followed.
_LOSS_TOO, _LOSS_THAN_OFF, _LEAST_LOSS = 0.6, 1.2, 3.5
_OF_LABELS = frozenset({"label_rate", "prediction", "calibration", "served_calibration"})
_Key = tuple[str, str | None]


@dataclass(frozen=True, slots=True)
class Rules:
    """
    How the monitor watches.

    Attributes:
        false_alarm_every: evaluations in which at most one drift is told where there is none, of all
            statistics and segments together.
        warnings_per_drift: how many warnings may come where one drift may.
        warm_up: evaluations at the beginning that are not looked at: the learner knows nothing yet.
        cooldown: evaluations after a drift without another; the first half of them is not looked at.
        ignore: statistics that are not watched.
    """

    false_alarm_every: float = 10_000.0
    warnings_per_drift: float = 10.0
    warm_up: int = 8
    cooldown: int = 40
    ignore: frozenset[str] = frozenset()


@dataclass
class Monitor:
    """
    Watches the evaluations of one variant (of one source partition).

    Attributes:
        index: of the evaluation that comes next.
        watermark_us: of the last one.
        quiet_until: evaluations before this index are not looked at.
        silent_until: before this one no drift is told.
    """

    rules: Rules = field(default_factory=Rules)
    index: int = 0
    watermark_us: int | None = None
    quiet_until: int = 0
    silent_until: int = 0
    cells: dict[tuple[str, str | None], Cell] = field(default_factory=dict)
    seeing: Seeing = field(default_factory=Seeing)

    def missing(self, evaluation: Evaluation) -> int:
        """Return how many evaluations before this one never came; the topic has them."""
        return max(evaluation.index - self.index, 0)

    def observe(self, evaluation: Evaluation) -> list[Alarm]:
        """
        Take in an evaluation; return what is to be told. One that was taken in before says nothing.

        Raises:
            CannotContinue: an evaluation between the last one and this never came (see `missing`).
        """
        if self.missing(evaluation):
            raise CannotContinue(
                f"evaluation {evaluation.index} came where {self.index} is due: those between are missing"
            )
        if evaluation.index < self.index:
            return []
        return self._taken(evaluation)

    def skip_to(self, evaluation: Evaluation) -> list[Alarm]:
        """Take in an evaluation though those before it are gone for good (the topic was trimmed)."""
        return self._taken(evaluation) if evaluation.index >= self.index else []

    def _taken(self, evaluation: Evaluation) -> list[Alarm]:
        seen: list[Seen] = []
        if evaluation.index >= max(self.quiet_until, self.rules.warm_up):
            watched = self.seeing.values(evaluation, self.watermark_us)
            seen = [each for each in watched if each.statistic.partition(":")[0] not in self.rules.ignore]
        self.index, self.watermark_us = evaluation.index + 1, evaluation.watermark_us
        return self._judged(seen, evaluation) if seen else []

    def _judged(self, seen: Sequence[Seen], evaluation: Evaluation) -> list[Alarm]:
        drift, warning = self._thresholds(seen)
        lend(self.cells, drift)
        rang, alarms = [], []
        for each in seen:
            cell = self.cells[each.statistic, each.segment]
            if cell.add(each.value, each.began, drift[cell.group]):
                rang.append(cell)
            elif cell.warns(warning[cell.group]):
                alarms += _told("warning", cell, cell.change(cell.began), evaluation)
        if not rang:
            return alarms
        cell, change = self._named(rang)
        if evaluation.index < self.silent_until:
            for one in rang:
                one.restart()
            return alarms + _told("warning", cell, change, evaluation)
        if abs(change.strength) < _least_strength(cell):
            return alarms + self._not_yet(rang, warning, evaluation)
        self._begin_anew(evaluation.index + 1)
        # A warning of the same moment is told by it.
        return _told("drift", cell, change, evaluation)

    @staticmethod
    def _not_yet(rang: Sequence[Cell], warning: Mapping[str, float], evaluation: Evaluation) -> list[Alarm]:
        alarms = []
        for cell in rang:
            cell.chart.hold()
            if cell.warns(warning[cell.group]):
                alarms += _told("warning", cell, cell.change(cell.began), evaluation)
        return alarms

    def _begin_anew(self, index: int) -> None:
        for cell in self.cells.values():
            cell.restart()
        self.seeing.restart()
        self.silent_until = index + self.rules.cooldown
        self.quiet_until = index + self.rules.cooldown // 2

    def _named(self, rang: Sequence[Cell]) -> tuple[Cell, Change]:
        """Return where the change shows most: not always there where it rang first."""
        since = min(cell.began for cell in rang)
        # Each from where on it is strongest: one chart leaves its bottom long before the others.
        raised = {key: cell for key, cell in self.cells.items() if cell.chart.highest[0] > _RAISED}
        changes = {key: change for key, cell in raised.items() if (change := cell.strongest(since))}
        if not changes:
            return rang[0], rang[0].change(rang[0].began) or Change(since, 0.0, 0.0, 0.0)
        best = max(changes, key=lambda key: abs(changes[key].strength) / _handicap(*key))
        cause = self._cause(best, self._changes(changes[best].since_learned))
        return self.cells[cause], changes.get(cause, changes[best])

    def _changes(self, since_learned: int) -> dict[_Key, Change]:
        return {key: change for key, cell in self.cells.items() if (change := cell.change(since_learned))}

    @staticmethod
    def _cause(best: tuple[str, str | None], changes: Mapping[tuple[str, str | None], Change]) -> _Key:
        """
        Tell other labels from other examples.

        Labels that follow the predictions move with them: then the examples are others. Labels that do not
        pull the predictions of a learner after them: then the labels are.
        """
        statistic, segment = best
        residual = changes.get(("calibration", segment)) or changes.get(("served_calibration", segment))
        left = residual.strength if residual else 0.0
        if statistic in _OF_LABELS:
            least = max(_LEAST_LOSS, min(_LOSS_TOO * abs(changes[best].strength), _LOSS_THAN_OFF * abs(left)))
            for name in ("loss", "served_loss"):
                loss = changes.get((name, segment))
                if loss and loss.strength >= least:
                    return name, segment
        rate, said = changes.get(("label_rate", segment)), changes.get(("prediction", segment))
        if statistic not in {"label_rate", "prediction"} or rate is None or said is None:
            return best
        off = left * copysign(1.0, rate.strength) >= _OFF * abs(rate.strength)
        if not off and abs(said.size) >= abs(rate.size) / 2:
            return "prediction", segment
        return "label_rate" if off else statistic, segment

    def _thresholds(self, seen: Sequence[Seen]) -> tuple[dict[str, float], dict[str, float]]:
        for each in seen:
            if (each.statistic, each.segment) not in self.cells:
                self.cells[each.statistic, each.segment] = cell = Cell(each.statistic, each.segment)
                for before, began in self.seeing.before(each.statistic):
                    cell.add(before, began, inf)
        sides: dict[str, int] = {}
        for cell in self.cells.values():
            sides[cell.group] = sides.get(cell.group, 0) + cell.sides
        budget = self.rules.false_alarm_every
        return thresholds(budget, sides), thresholds(budget / self.rules.warnings_per_drift, sides)

    def state(self) -> dict[str, Any]:
        """Return what `restored` takes: JSON."""
        return {
            "format": STATE_FORMAT,
            "index": self.index,
            "watermark_us": self.watermark_us,
            "quiet_until": self.quiet_until,
            "silent_until": self.silent_until,
            "cells": [cell.state() for cell in self.cells.values()],
            "seeing": self.seeing.state(),
        }

    @classmethod
    def restored(cls, rules: Rules, state: Mapping[str, Any]) -> Self:
        """
        Return the monitor whose *state* it was; it goes on as that would have, under *rules*.

        Raises:
            CannotContinue: the state is of another format.
        """
        if state.get("format") != STATE_FORMAT:
            raise CannotContinue(
                f"a monitor's state of format {state.get('format')}; known is {STATE_FORMAT}"
            )
        cells = [Cell.restored(each) for each in state["cells"]]
        return cls(
            rules=rules,
            index=state["index"],
            watermark_us=state["watermark_us"],
            quiet_until=state["quiet_until"],
            silent_until=state["silent_until"],
            cells={(cell.statistic, cell.segment): cell for cell in cells},
            seeing=Seeing.restored(state["seeing"]),
        )


def _least_strength(cell: Cell) -> float:
    if cell.statistic.startswith("prediction"):
        return _LEAST_STRENGTH_OF_PREDICTIONS
    return LEAST_STRENGTH if cell.lent is None else _LEAST_STRENGTH_OF_SEGMENTS


def _handicap(statistic: str, segment: str | None) -> float:
    return _LESS_PLAIN.get(statistic, 1.0) * (1.0 if segment is None else _A_SEGMENT)


def _told(kind: Kind, cell: Cell, change: Change | None, evaluation: Evaluation) -> list[Alarm]:
    if change is None:
        return []
    return [
        Alarm(
            kind=kind,
            statistic=cell.statistic,
            segment=cell.segment,
            index=evaluation.index,
            learned_to=evaluation.learned_to,
            since_learned=change.since_learned,
            size=change.size,
            strength=change.strength,
            before=change.before,
            after=change.after,
        )
    ]
