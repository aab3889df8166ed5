"""Times of an open load, and when a run says nothing of the server."""

from dataclasses import replace

import numpy as np
import pytest

from loadtest.calls import LONGEST_SECONDS
from loadtest.generating import Calls, Phase, _times

DICE = np.random.default_rng


def calls_of(waited: list[float], late: list[float]) -> Calls:
    return Calls(np.arange(len(waited), dtype=float), np.array(waited), np.array(late))


def test_times_are_in_order_within_their_phases_and_as_many_as_the_rates_say() -> None:
    times = _times([Phase(1_000, 2.0), Phase(10_000, 1.0)], 50.0, DICE(1))
    assert np.all(np.diff(times) >= 0)
    assert times[0] >= 50.0
    assert times[-1] < 53.0
    assert np.count_nonzero(times < 52.0) == pytest.approx(2_000, abs=200)
    assert np.count_nonzero(times >= 52.0) == pytest.approx(10_000, abs=500)


def test_gaps_are_those_of_a_poisson_process() -> None:
    gaps = np.diff(_times([Phase(1_000, 30.0)], 0.0, DICE(2)))
    assert gaps.mean() == pytest.approx(1e-3, rel=0.05)
    assert gaps.std() == pytest.approx(gaps.mean(), rel=0.05), "exponential: as wide as its mean"


def test_calls_of_all_generators_are_joined() -> None:
    joined = Calls.joined([calls_of([0.1], [0.0]), calls_of([0.2, 0.3], [0.001, 0.0])])
    assert joined.waited.tolist() == [0.1, 0.2, 0.3]
    assert joined.late.tolist() == [0.0, 0.001, 0.0]


def test_calls_belong_to_the_time_they_were_intended_for() -> None:
    assert calls_of([9.0, 9.1, 9.2, 9.3], [0.0] * 4).between(1.0, 3.0).waited.tolist() == [9.1, 9.2]


def test_a_call_that_was_shed_is_slower_than_any_other() -> None:
    calls = calls_of([0.001] * 98 + [LONGEST_SECONDS] * 2, [0.0] * 100)
    assert calls.shed == 2
    p50, p99 = calls.waited_ms(50, 99)
    assert p50 == pytest.approx(1.0, rel=0.01)
    assert p99 == pytest.approx(60_000, rel=0.01)


@pytest.mark.parametrize(("late_calls", "void"), [(0, False), (9, False), (11, True), (1000, True)])
def test_a_run_is_void_where_more_than_one_call_in_a_hundred_left_late(late_calls: int, void: bool) -> None:
    late = [0.0011] * late_calls + [0.0009] * (1_000 - late_calls)
    assert bool(calls_of([0.001] * 1_000, late).void) is void


@pytest.mark.parametrize(("share", "void"), [(0.0, ""), (0.09, ""), (0.11, "core shared")])
def test_a_run_is_void_where_others_had_the_servers_core(share: float, void: str) -> None:
    calls = replace(calls_of([0.001] * 10, [0.0] * 10), neighbours=share)
    assert calls.void == void
    assert calls.between(0, 5).void == void, "and so is each part of it"
