from __future__ import annotations

import numpy as np
import pytest

from stream_ml.drift.baseline import MOST, baseline_of
from stream_ml.drift.budget import SHARES, SLACKS, threshold, thresholds
from stream_ml.drift.chart import Chart


def wandering(random: np.random.Generator, count: int, kept: float) -> np.ndarray:
    found, latent = np.empty(count), 0.0
    for at in range(count):
        latent = kept * latent + random.standard_normal()
        found[at] = latent
    return found


def test_neighbours_that_are_alike_make_the_deviation_larger() -> None:
    random = np.random.default_rng(1)
    independent = [baseline_of(random.standard_normal(96), np.zeros(96)).deviation for _ in range(200)]
    alike = [
        baseline_of(wandering(random, 96, 0.7) * np.sqrt(1 - 0.49), np.zeros(96)).deviation
        for _ in range(200)
    ]
    # Both have variance 1; the long-run variance of the second is (1 + 0.7) / (1 - 0.7) = 5.7.
    assert 1.0 < np.median(independent) < 1.4
    assert 1.9 < np.median(alike) < 3.5


def test_the_deviation_is_never_below_that_of_chance() -> None:
    assert baseline_of(np.zeros(20), np.full(20, 4.0)).deviation == 2.0


def test_a_variance_that_is_lent_is_believed_until_the_observations_prove_more() -> None:
    random, chance = np.random.default_rng(4), np.ones(24)
    few = [random.standard_normal(24) for _ in range(200)]
    own = np.median([baseline_of(each, chance).deviation for each in few])
    lent = [baseline_of(each, chance, 0.0).deviation for each in few]
    assert own > 1.15
    assert 1.0 <= np.median(lent) <= np.quantile(lent, 0.8) < 1.05
    assert baseline_of(few[0], chance, 3.0).deviation == 2.0
    alike = [baseline_of(wandering(random, 96, 0.9), np.full(96, 1.0), 0.0).deviation for _ in range(100)]
    # Their long-run variance is 1 / (1 - 0.9)²: 100.
    assert np.median(alike) > 3.0


def test_where_nothing_varied_the_least_change_counts_and_nothing_is_infinite() -> None:
    still = baseline_of(np.full(20, 0.25), np.zeros(20))
    assert still.standardised(0.25) == 0.0
    assert still.standardised(0.26) == MOST
    assert still.standardised(0.24) == -MOST


@pytest.mark.parametrize("count", [16, 96])
def test_standardised_observations_are_normal_deviates(count: int) -> None:
    random = np.random.default_rng(count)
    found = np.array(
        [
            baseline_of(draws[:-1], np.ones(count)).standardised(float(draws[-1]))
            for draws in random.standard_normal((4_000, count + 1))
        ]
    )
    assert abs(found.mean()) < 0.05
    # What is uncertain is taken for larger, so they are rather too small.
    assert 0.7 < found.std() <= 1.03
    assert np.mean(np.abs(found) > 3) < 0.004


@pytest.mark.parametrize("slack", sorted(set(SLACKS.values())))
@pytest.mark.parametrize("observations", [100.0, 1_000.0])
def test_a_chart_is_crossed_as_often_as_its_threshold_says(observations: float, slack: float) -> None:
    random, height = np.random.default_rng(2), threshold(observations, slack)
    chart, count = Chart(direction=1, slack=slack), int(60 * observations)
    crossed = sum(chart.add(float(each), height) for each in random.standard_normal(count))
    assert 0.6 < crossed / 60 < 1.4


def test_a_chart_watches_the_ways_that_it_is_told() -> None:
    up, down, both = Chart(1), Chart(-1), Chart(0)
    rang = [[chart.add(each, 8.0) for each in [0.0] * 3 + [2.0] * 8] for chart in (up, down, both)]
    assert [any(each) for each in rang] == [True, False, True]
    down = Chart(-1)
    rang_down = [down.add(each, 8.0) for each in [0.0] * 3 + [-2.0] * 8]
    assert any(rang_down)


def test_a_chart_knows_since_when() -> None:
    chart = Chart(0)
    for each in (0.0, -1.0, 0.2, 2.0, 2.0, 2.0):
        chart.add(each, 100.0)
    height, since = chart.highest
    assert (round(height, 6), since) == (4.5, 3)


def test_a_chart_goes_on_from_its_state_with_the_same_bits() -> None:
    random, whole = np.random.default_rng(3), Chart(0)
    stopped = Chart.restored(0, whole.slack, Chart(0).state())
    for each in random.standard_normal(300):
        stopped = Chart.restored(0, whole.slack, stopped.state())
        assert whole.add(float(each), 5.0) == stopped.add(float(each), 5.0)
        assert whole.state() == stopped.state()


def test_a_chart_that_is_held_rings_again() -> None:
    held, other = Chart(1), Chart(1)
    for chart in (held, other):
        assert [chart.add(3.0, 6.0) for _ in range(4)][-1]
    held.hold()
    assert held.add(3.0, 6.0)
    assert not other.add(3.0, 6.0)


def test_a_rarer_false_alarm_takes_a_higher_threshold_and_groups_share_by_their_parts() -> None:
    assert threshold(1e6, 0.5) > threshold(1e4, 0.5) > threshold(1e2, 0.5) > threshold(1e2, 0.7) > 0
    alone = thresholds(1_000, {"whole": 10})
    assert thresholds(1_000, {"whole": 10, "segments": 0}) == alone
    shared = thresholds(1_000, {"whole": 10, "segments": 30, "missing": 4})
    assert set(shared) == set(SHARES)
    assert shared["whole"] > alone["whole"]
    # In units of likelihood: a chart with more slack rings lower.
    assert SLACKS["segments"] * shared["segments"] > SLACKS["whole"] * shared["whole"]
