from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest

from stream_ml.retraining.confidence import FIRST_LOOK, interval, mean_of

LOOKS = 200
STREAMS = 200


def autoregressive(random: np.random.Generator, kept: float, blocks: int = LOOKS) -> np.ndarray:
    level, levels = random.normal() / math.sqrt(1 - kept * kept), []
    for push in random.normal(size=blocks):
        level = kept * level + push
        levels.append(level)
    return np.array(levels)


def ever_missed(values: np.ndarray, mean: float, miss: float) -> bool:
    """Look after every second block."""
    weights = np.ones(len(values))
    for end in range(FIRST_LOOK, len(values) + 1, 2):
        found = interval(values[:end], weights[:end], miss)
        if not found.low <= mean <= found.high:
            return True
    return False


@pytest.mark.parametrize("kept", [0.0, 0.5, 0.9])
def test_the_mean_is_hardly_ever_missed_however_often_one_looks(kept: float) -> None:
    """Nominal 5 %; blocks that hang together as closely as 0.9 do not make it more."""
    random = np.random.default_rng(11)
    missed = sum(ever_missed(3 + autoregressive(random, kept), 3, 0.05) for _ in range(STREAMS))
    assert missed <= 0.05 * STREAMS


def test_a_usual_interval_would_miss_it_often() -> None:
    """So that the test above says something: 1.96 standard errors at every look, on independent blocks."""
    random = np.random.default_rng(11)
    missed = 0
    for _ in range(STREAMS):
        values = random.normal(size=LOOKS)
        ends = range(FIRST_LOOK, LOOKS + 1, 2)
        missed += any(
            abs(values[:end].mean()) > 1.96 * values[:end].std(ddof=1) / math.sqrt(end) for end in ends
        )
    assert missed > 0.15 * STREAMS


def test_it_narrows_around_the_mean() -> None:
    random = np.random.default_rng(2)
    values, weights = random.normal(0.7, 1, 4000), np.ones(4000)
    widths = []
    for end in (40, 400, 4000):
        found = interval(values[:end], weights[:end], 0.01)
        assert found.mean == pytest.approx(values[:end].mean())
        assert found.low < found.mean < found.high
        widths.append(found.high - found.low)
    assert widths[0] > 1.7 * widths[1] > 1.7 * 1.7 * widths[2]


def test_weights_make_a_mean_a_weight() -> None:
    random = np.random.default_rng(4)
    weights = random.uniform(0.5, 20, 600)
    sums = 0.3 * weights + random.normal(0, 1, 600)
    found = interval(sums, weights, 0.01)
    assert found.mean == pytest.approx(sums.sum() / weights.sum())
    assert 0.28 < found.low < 0.3 < found.high < 0.32
    scaled = interval(5 * sums, weights / 2, 0.01)
    assert (scaled.mean, scaled.low, scaled.high) == pytest.approx(
        [10 * x for x in (found.mean, found.low, found.high)]
    )


@pytest.mark.parametrize("lead", [lambda at: 1 - np.exp(-at / 30), lambda at: 0.3 + np.exp(-at / 30)])
def test_a_lead_that_grows_or_fades_is_no_spell(lead: Callable[[np.ndarray], np.ndarray]) -> None:
    """Every single block is above 0, and the blocks hang together: that must not hide it."""
    random = np.random.default_rng(6)
    values, weights = lead(np.arange(40.0)) + random.normal(0, 0.1, 40), np.ones(40)
    assert interval(values, weights, 0.01).low > 0


def test_a_smaller_miss_is_wider() -> None:
    values, weights = np.random.default_rng(5).normal(size=100), np.ones(100)
    rare, often = interval(values, weights, 0.001), interval(values, weights, 0.1)
    assert rare.low < often.low < often.high < rare.high


def test_few_blocks_say_nothing() -> None:
    values, weights = np.full(FIRST_LOOK - 1, 5.0), np.ones(FIRST_LOOK - 1)
    found = interval(values, weights, 0.1)
    assert (found.mean, found.low, found.high) == (5.0, -math.inf, math.inf)


def test_blocks_that_are_all_equal_are_certain() -> None:
    found = interval(np.full(64, 0.25), np.ones(64), 0.01)
    assert (found.low, found.high) == pytest.approx((0.25, 0.25))
    nothing = interval(np.zeros(64), np.ones(64), 0.01)
    assert (nothing.low, nothing.high) == (0, 0)


def test_one_block_that_outweighs_all_others_leaves_everything_open() -> None:
    sums, weights = np.ones(64), np.ones(64)
    sums[10], weights[10] = 1e6, 1e6
    assert interval(sums, weights, 0.01).low == -math.inf


def test_there_is_no_mean_without_weight() -> None:
    assert math.isnan(mean_of(np.zeros(3), np.zeros(3)))
