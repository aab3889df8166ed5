"""The judge of `loadtest endurance` on made-up processes: flat, wandering, leaking, and too wild to tell."""

import numpy as np
import pytest

from loadtest.slopes import BLOCKS, Slope, slope_of

SECONDS = np.arange(0.0, 600.0)
JUDGED = 450.0


def noise(spread: float, memory: float = 0.9, seed: int = 7) -> np.ndarray:
    """Return noise whose neighbours are alike, as of a process."""
    dice, values = np.random.default_rng(seed), [0.0]
    for _ in SECONDS[1:]:
        values.append(memory * values[-1] + dice.normal(scale=spread))
    return np.array(values)


def test_what_stands_still_is_flat() -> None:
    slope = slope_of(SECONDS, np.full(len(SECONDS), 40.0))
    assert (slope.growth, slope.least, slope.most) == (0, 0, 0)
    assert slope.verdict(0.0) == "flat"


@pytest.mark.parametrize("seed", range(5))
def test_what_wanders_without_growing_is_flat(seed: int) -> None:
    assert slope_of(SECONDS, 300 + noise(0.5, seed=seed)).verdict(10.0) == "flat"


@pytest.mark.parametrize("seed", range(5))
def test_a_slow_leak_in_the_noise_is_found_and_its_size_told(seed: int) -> None:
    leaked = 20.0
    slope = slope_of(SECONDS, 300 + leaked * SECONDS / JUDGED + noise(0.5, seed=seed))
    assert slope.verdict(10.0) == "leaks"
    assert slope.least < leaked < slope.most
    assert slope.an_hour(slope.growth) == pytest.approx(leaked * 8, rel=0.2)


def test_one_thread_every_minute_is_found_among_whole_numbers() -> None:
    assert slope_of(SECONDS, 20 + SECONDS // 60).verdict(1.0) == "leaks"


def test_a_jump_of_a_moment_is_no_growth_and_hides_none() -> None:
    jump = np.where((SECONDS > 400) & (SECONDS < 410), 500.0, 0.0)
    assert slope_of(SECONDS, 300 + jump).verdict(10.0) == "flat"
    assert slope_of(SECONDS, 300 + SECONDS / 10 + jump).verdict(10.0) == "leaks"


def test_what_comes_at_the_end_alone_is_not_called_flat() -> None:
    late = np.where(SECONDS > 560, 300.0, 0.0)
    assert slope_of(SECONDS, 300 + late).verdict(10.0) == "unsure"


def test_what_grows_while_it_warms_up_is_left_out() -> None:
    warming = np.minimum(SECONDS, 140.0)
    assert slope_of(SECONDS, warming).verdict(0.0) == "flat"


def test_what_is_too_wild_to_tell_is_not_called_flat() -> None:
    assert slope_of(SECONDS, 300 + noise(20.0, memory=0.0)).verdict(0.5) == "unsure"


def test_the_bar_is_met_by_the_upper_end_and_missed_by_the_lower() -> None:
    slope = Slope(growth=5.0, least=3.0, most=8.0, seconds=60.0)
    assert [slope.verdict(bar) for bar in (2.9, 3.0, 7.9, 8.0)] == ["leaks", "unsure", "unsure", "flat"]


def test_too_few_samples_are_refused() -> None:
    with pytest.raises(ValueError, match="too few"):
        slope_of(SECONDS[: BLOCKS - 1], SECONDS[: BLOCKS - 1])
