"""
Whether a figure of a process grows, from samples over time: a robust slope with a confidence interval.

The slope is the median of the slopes between all pairs of points (Theil 1950, Sen 1968); its interval
follows from Kendall's tau. Points are medians of blocks, not samples: neighbouring samples of a process are
alike, and would make the interval too narrow.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy.stats import theilslopes

CONFIDENCE = 0.99
BLOCKS = 20
# Of the samples, the first: a process makes room for itself, and a model for its rows.
WARM_UP_SHARE = 0.25

Verdict = Literal["flat", "leaks", "unsure"]


@dataclass(frozen=True, slots=True)
class Slope:
    """
    Growth over the whole time that was judged, in the samples' unit.

    Attributes:
        growth: the likely one.
        least, most: the ends of its confidence interval.
        seconds: the time judged.
        risen: from the first block to the last: what came at the end alone moves no slope between most pairs.
    """

    growth: float
    least: float
    most: float
    seconds: float
    risen: float = 0.0

    def verdict(self, bar: float) -> Verdict:
        """
        Return whether it grows by more than *bar*.

        Only who surely grows by no more is flat: samples too few or too wild prove nothing.
        """
        if self.most <= bar and self.risen <= bar:
            return "flat"
        return "leaks" if self.least > bar else "unsure"

    def an_hour(self, growth: float) -> float:
        """Return a growth of the whole time as one of an hour."""
        return growth / self.seconds * 3600


def slope_of(at: Sequence[float], values: Sequence[float]) -> Slope:
    """
    Judge samples taken at the seconds *at*, in order; the first WARM_UP_SHARE of the time are left out.

    Raises:
        ValueError: fewer samples than blocks are left.
    """
    times, samples = np.asarray(at, float), np.asarray(values, float)
    begin = times[0] + WARM_UP_SHARE * (times[-1] - times[0])
    times, samples = times[times >= begin], samples[times >= begin]
    if len(times) < BLOCKS:
        raise ValueError(f"{len(times)} samples are too few for a slope, {BLOCKS} are needed")
    blocks = list(zip(np.array_split(times, BLOCKS), np.array_split(samples, BLOCKS), strict=True))
    middles = [float(np.median(block)) for block, _ in blocks]
    medians = [float(np.median(block)) for _, block in blocks]
    found, seconds = theilslopes(medians, middles, CONFIDENCE), float(times[-1] - times[0])
    slopes = (found.slope, found.low_slope, found.high_slope)
    growth, least, most = (float(slope) * seconds for slope in slopes)
    return Slope(growth, least, most, seconds, medians[-1] - medians[0])
