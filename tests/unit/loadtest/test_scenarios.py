"""How the knee is found and lines are made, with a system whose knee is known."""

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, cast

import numpy as np
import pytest

from loadtest import scenarios
from loadtest.calls import LONGEST_SECONDS
from loadtest.generating import Calls, Phase
from loadtest.happenings import longest_standstill, recovered_after, unless_void
from loadtest.scenarios import FULL, find_knee
from loadtest.scene import Scene, row

SLOW_SECONDS, FAST_SECONDS, LATE_SECONDS = 0.1, 0.001, 0.01


def calls_of(waited: float, late: float = 0.0) -> Calls:
    return Calls(np.arange(100.0), np.full(100, waited), np.full(100, late))


@dataclass
class Known:
    """A system that is fast up to its knee, called by generators that are late from a rate on."""

    knee: float
    generators_knee: float = math.inf
    spoiled: Callable[[int], bool] = lambda _: False
    rates: list[float] = field(default_factory=list)

    def calls(self, phase: Phase) -> Calls:
        self.rates.append(phase.calls_per_second)
        slow = phase.calls_per_second > self.knee or self.spoiled(len(self.rates))
        late = phase.calls_per_second > self.generators_knee
        return calls_of(SLOW_SECONDS if slow else FAST_SECONDS, LATE_SECONDS if late else 0.0)


def found(known: Known) -> scenarios.Knee:
    return find_knee(cast(Scene, known), FULL)


@pytest.mark.parametrize("knee", [600.0, 3_000.0, 13_700.0])
def test_the_knee_is_found_from_below(knee: float) -> None:
    answer = found(Known(knee))
    assert 0.9 * knee <= answer.calls_per_second <= knee
    assert answer.is_the_servers


def test_a_rate_that_was_slow_once_by_chance_is_tried_again() -> None:
    assert found(Known(3_000.0, spoiled=lambda number: number == 1)).calls_per_second >= 2_700


def test_where_the_generators_are_at_their_end_first_that_is_said() -> None:
    answer = found(Known(13_000.0, generators_knee=5_000.0))
    assert answer.calls_per_second <= 5_000
    assert not answer.is_the_servers


def test_without_any_good_rate_there_is_no_knee() -> None:
    with pytest.raises(RuntimeError, match="busy with other work"):
        found(Known(10.0))


def test_where_no_rate_was_too_high_the_end_is_not_known_to_be_the_servers() -> None:
    assert not found(Known(math.inf)).is_the_servers


def steps(*p99_ms: float) -> list[dict[str, Any]]:
    percents = (50, 80, 100, 110)
    return [
        {
            "scenario": "steady",
            "% of the knee": percent,
            "calls/s": 10 * percent,
            "p99 ms": p99,
            "run": "valid",
        }
        for percent, p99 in zip(percents, p99_ms, strict=True)
    ]


def test_what_to_size_by_held_in_the_longer_runs_too_and_is_not_beyond_the_knee() -> None:
    assert scenarios.held(steps(3, 6, 9, 9)) == 1_000
    assert scenarios.held(steps(3, 6, 99, 9)) == 800
    assert scenarios.held(steps(3, 60, 9, 9)) == 500
    assert scenarios.held(steps(30, 6, 9, 9)) is None
    rows = steps(3, 6, 9, 9)
    rows[1]["run"] = "void"
    assert scenarios.held(rows) == 1_000


def line(**changed: Any) -> dict[str, Any]:
    calls = calls_of(**{"waited": FAST_SECONDS, **changed})
    return cast(dict[str, Any], row("steady", 0.5, 100.0, calls))


def test_a_line_says_whether_it_is_void_and_keeps_what_it_saw() -> None:
    assert line()["run"] == "valid"
    void = line(late=LATE_SECONDS)
    assert (void["run"], void["p99 ms"]) == ("void: generators late", pytest.approx(1.0, rel=0.01))


def test_what_was_shed_has_no_latency() -> None:
    assert (line(waited=LONGEST_SECONDS)["p50 ms"], line(waited=LONGEST_SECONDS)["shed"]) == ("shed", 100)


def test_nothing_follows_from_a_void_line() -> None:
    assert unless_void([line(), line()], 1.5) == 1.5
    assert unless_void([line(), line(late=LATE_SECONDS)], 1.5) is None


@pytest.mark.parametrize(
    ("looks", "seconds"),
    [
        ([], 0),
        ([(5, 1)], 0),
        ([(0, 1), (1, 2), (9, 3)], 0),
        ([(0, 1), (1, 1), (2, 2), (2.5, 2), (7, 2), (7.5, 3)], 5),
        ([(0, 4), (1, 4), (3, 4)], 3),
    ],
)
def test_the_longest_standstill_is_time_without_any_change(
    looks: list[tuple[float, float]], seconds: float
) -> None:
    assert longest_standstill(looks) == seconds


@pytest.mark.parametrize(
    ("slow", "after"), [([], 0), ([0, 50], 0), ([60, 71], 11), ([60, 98], 38), ([99], None)]
)
def test_it_has_recovered_once_a_call_is_fast_again(slow: list[int], after: float | None) -> None:
    """Of a call each second the burst ends before the sixtieth."""
    calls = calls_of(FAST_SECONDS)
    calls.waited[slow] = SLOW_SECONDS
    assert recovered_after(calls.between(60, np.inf), 60.0, 0.01) == after
