"""What a statistic was before: its mean, and how far chance, autocorrelation included, throws it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import log, sqrt

import numpy as np

from stream_ml.drift.evaluation import Floats

# Blocks of so many neighbours: if neighbours are alike, the means of blocks vary more than they should.
_BLOCKS = (1, 2, 4, 8)
_LEAST_BLOCKS = 4
# What so few blocks say of their variance is uncertain; it is taken for larger, by so much of its error.
_DOUBT = 1.5
_PROVED = 2.0
# Beyond this many standard deviations one observation is no more evidence: nothing rings by one alone.
MOST = 4.0


@dataclass(frozen=True, slots=True)
class Baseline:
    """
    Mean and long-run standard deviation of an observation.

    Attributes:
        count: of the observations that they rest on.
    """

    mean: float
    deviation: float
    count: int

    def standardised(self, watched: float) -> float:
        """
        Return how far *watched* is from the mean, as a normal deviate within ±4.

        What is uncertain about mean and deviation is in it: Student's t, made normal (Wallace 1959).
        """
        t = (watched - self.mean) / (self.deviation * sqrt(1 + 1 / self.count))
        freedom = self.count - 1
        z = (8 * freedom + 1) / (8 * freedom + 3) * sqrt(freedom * log(1 + t * t / freedom))
        return min(z, MOST) if t >= 0 else -min(z, MOST)


def baseline_of(watched: Floats, variances: Floats, excess: float | None = None) -> Baseline:
    """
    Return the baseline of observations in their order, each with its variance by chance.

    Args:
        excess: variance beyond chance where it is known from elsewhere; what these observations say of it
            then counts only as far as it cannot be chance.
    """
    chance = float(variances.mean())
    variance = max(_long_run(watched), chance) if excess is None else max(_evident(watched), chance + excess)
    mean = float(watched.mean())
    # Where nothing ever varied, the least change is one.
    least = 1e-9 * (1 + abs(mean))
    return Baseline(mean, max(sqrt(variance), least), len(watched))


def _long_run(watched: Floats) -> float:
    """Return the largest variance that the means of blocks, of any length, speak for."""
    return max(
        variance * (1 + (_DOUBT / sqrt(blocks) if length > 1 else 0.0))
        for length, blocks, variance in _of_blocks(watched)
    )


def _evident(watched: Floats) -> float:
    """Return the largest variance that blocks of any length prove: less two of its standard errors."""
    return max(
        variance / (1 + _PROVED * sqrt(2 / (blocks - 1))) for _, blocks, variance in _of_blocks(watched)
    )


def _of_blocks(watched: Floats) -> Iterator[tuple[int, int, float]]:
    """Yield length and number of blocks, and the variance of an observation that their means speak for."""
    for length in _BLOCKS:
        blocks = len(watched) // length
        if blocks < _LEAST_BLOCKS:
            break
        # Sums by hand: this is most of a monitor's work, and numpy's own variance takes four times as long.
        sums = np.add.reduceat(watched, np.arange(len(watched) - blocks * length, len(watched), length))
        off = sums - sums.sum() / blocks
        yield length, blocks, float(off @ off) / (blocks - 1) / length
