"""Curves of evaluations: exact however long they are, and bounded."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from stream_ml.console.curves import COLUMNS, POINTS_KEPT, VARIANTS_KEPT, Curve, Curves
from stream_ml.drift.evaluation import Evaluation
from stream_ml.local.figures import Figures
from tests.evaluations import Stream


def evaluations(count: int) -> list[Evaluation]:
    return list(Stream(seed=7, every=50).evaluations(count))


def taken(closed: list[Evaluation], partition: str = "") -> Curve:
    curve = Curve()
    for each in closed:
        curve.take(partition, each, at=1_000.0 + each.index)
    return curve


def test_a_point_says_what_its_evaluation_does() -> None:
    [closed] = evaluations(1)
    columns = taken([closed]).columns()
    judged = closed.whole.progressive
    assert columns["at"] == [1_000.0]
    assert columns["learned_to"] == [50]
    assert columns["log_loss"] == [pytest.approx(judged.loss_sum / 50)]
    assert columns["calibration"] == [pytest.approx(judged.prediction_sum / judged.label_sum)]
    assert 0.5 < columns["auc"][0] < 1
    assert math.isnan(columns["served_log_loss"][0])  # it does not say what was served


def test_what_was_served_is_a_figure_of_its_own() -> None:
    closed = evaluations(2)
    whole = replace(closed[0].whole, served=closed[1].whole.progressive)
    columns = taken([replace(closed[0], whole=whole)]).columns()
    assert columns["served_log_loss"] == [pytest.approx(closed[1].whole.progressive.loss_sum / 50)]


def test_a_long_curve_is_thinned_where_it_is_old_and_loses_nothing() -> None:
    closed = evaluations(3 * POINTS_KEPT)
    curve = taken(closed)
    assert len(curve.points) <= POINTS_KEPT
    everything = sum((each.figures for each in curve.points), Figures())
    assert everything.importance_sum == 50 * len(closed)
    assert everything.loss_sum == pytest.approx(sum(each.whole.progressive.loss_sum for each in closed))
    assert everything.positives.sum() == sum(each.whole.progressive.label_sum for each in closed)
    ends = curve.columns()["learned_to"]
    assert ends == sorted(ends)
    # The newest are as fine as they came, the oldest are many together.
    assert ends[-100:] == [each.learned_to for each in closed[-100:]]
    assert curve.points[0].figures.importance_sum > 4 * 50


def test_a_repeat_is_ignored_and_partitions_count_for_themselves() -> None:
    closed = evaluations(3)
    curve = taken([*closed, closed[0], closed[2]], partition="0")
    assert len(curve.points) == 3
    curve.take("1", closed[0], at=2_000.0)
    assert len(curve.points) == 4


def test_the_variants_that_were_evaluated_last_are_kept() -> None:
    curves, (first, second) = Curves(), evaluations(2)
    names = [f"v{number}" for number in range(VARIANTS_KEPT)]
    for name in names:
        curves.take(name, "", first, at=1.0)
    curves.take("v0", "", second, at=2.0)
    curves.take("new", "", first, at=3.0)
    assert list(curves.of) == [*names[2:], "v0", "new"]
    assert len(curves.of["v0"].points) == 2
    assert set(curves.of["new"].columns()) == set(COLUMNS)
