"""From a budget of false alarms to the thresholds of detectors."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from math import exp

# Page-Hinkley's slack, in standard deviations of an observation: half of the change that it is quickest for.
# A segment's observation has twenty labels of the rarer kind at least: 1.3 times as many are 1.4 deviations.
SLACKS = {"whole": 0.5, "segments": 0.7, "missing": 0.5}
# Siegmund 1985: a walk in steps goes that much, in standard deviations, beyond the line that it crosses.
_OVERSHOOT = 1.166
# Of all false alarms, how many may come from each group of statistics that there is.
SHARES = {"whole": 4, "segments": 3, "missing": 1}
# Thresholds are for deviates of a known mean and independent of each other. A mean of some dozen
# observations, and labels whose mean wanders, make more alarms; docs/results/drift.json has how many.
_SAFETY = 3.0


@cache
def threshold(observations: float, slack: float) -> float:
    """
    Return the height at which one side of Page-Hinkley is crossed once in so many observations.

    Of independent normal deviates; Siegmund's approximation (Sequential Analysis, 1985, equation 2.57).
    """
    low, high = 0.0, 200.0
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if _run_length(middle, slack) < observations else (low, middle)
    return high


def _run_length(height: float, slack: float) -> float:
    way = 2 * slack * (height + _OVERSHOOT)
    return (exp(way) - 1 - way) / (2 * slack**2)


def thresholds(evaluations: float, sides: Mapping[str, int]) -> dict[str, float]:
    """
    Return by group the threshold of each of its charts.

    Args:
        evaluations: in which one false alarm is allowed, of all charts together.
        sides: how many sides of charts are watched, by group; a group without takes no share.
    """
    there = sum(SHARES[group] for group, count in sides.items() if count)
    return {
        group: threshold(_SAFETY * evaluations * count * there / SHARES[group], SLACKS[group])
        for group, count in sides.items()
        if count
    }
