from __future__ import annotations

import numpy as np
import pytest

from stream_ml.drift.budget import thresholds
from stream_ml.drift.cell import Cell
from stream_ml.drift.lending import LENT, lend
from stream_ml.drift.statistics import Value

LIMITS = thresholds(10_000, {"whole": 10, "segments": 10})
Cells = dict[tuple[str, str | None], Cell]


def filled(
    segment: str | None,
    rate: float,
    examples: int,
    common: np.ndarray,
    span: int = 1_000,
    statistic: str = "label_rate",
    seed: int = 1,
) -> Cell:
    """Observe a rate that *common*, in log-odds, moves."""
    random, cell = np.random.default_rng(seed), Cell(statistic, segment)
    for at, moved in enumerate(common):
        found = random.binomial(examples, rate + rate * (1 - rate) * moved) / examples
        cell.add(Value(found, rate * (1 - rate) / examples, found), at * span, np.inf)
    return cell


def lent(part: Cell, whole: Cell) -> float | None:
    cells: Cells = {("label_rate", None): whole, (part.statistic, part.segment): part}
    lend(cells, LIMITS)
    return part.lent


STILL = np.zeros(60)
RUNS = 0.3 * np.repeat(np.random.default_rng(2).standard_normal(15), 4)


def test_where_labels_have_only_chance_in_common_next_to_nothing_is_lent() -> None:
    part = filled("s", 0.2, 100, STILL, seed=2)
    found = lent(part, filled(None, 0.2, 1_000, STILL))
    assert found is not None
    assert 0 <= found < 0.3 * 0.2 * 0.8 / 100


def test_a_log_odds_that_wanders_is_lent_by_how_far_it_moves_the_segment() -> None:
    whole = filled(None, 0.2, 1_000, RUNS)
    alike, rare = filled("s", 0.2, 100, RUNS, seed=2), filled("s", 0.05, 100, RUNS, seed=3)
    as_the_whole, less = lent(alike, whole), lent(rare, whole)
    assert as_the_whole
    assert less
    # 0.3 log-odds in runs of four: the long-run variance of the rate is about (0.3 x 0.16)² x 4.
    assert 0.5 < as_the_whole / (4 * (0.3 * 0.16) ** 2) < 8
    part, of = (cell.figure * (1 - cell.figure) for cell in (rare, whole))
    assert less / as_the_whole == pytest.approx((part / of) ** 2, rel=0.2)


def test_an_observation_over_more_evaluations_has_the_mean_of_what_wanders() -> None:
    whole = filled(None, 0.2, 1_000, RUNS)
    short, long = (lent(filled("s", 0.2, 100, STILL, span, seed=2), whole) for span in (1_000, 4_000))
    assert short
    assert long
    assert short / long == pytest.approx(4)


def test_nothing_is_lent_while_the_whole_says_too_little_nor_to_what_is_not_asked() -> None:
    part = filled("s", 0.2, 100, STILL)
    assert lent(part, filled(None, 0.2, 1_000, STILL[:4])) is None
    assert "loss" not in LENT
    assert lent(filled("s", 0.2, 100, STILL, statistic="loss"), filled(None, 0.2, 1_000, STILL)) is None


def test_a_segment_that_is_seen_for_the_first_time_is_lent_for_one_evaluation() -> None:
    whole = filled(None, 0.2, 1_000, RUNS)
    new, one = Cell("label_rate", "s"), filled("s", 0.2, 100, STILL[:1])
    assert (new.span, one.span) == (0.0, 0.0)
    assert lent(new, whole) == pytest.approx(lent(one, whole), rel=0.5)


def test_the_whole_keeps_its_own_variance() -> None:
    whole = filled(None, 0.2, 1_000, RUNS)
    lend({("label_rate", None): whole}, LIMITS)
    assert whole.lent is None
