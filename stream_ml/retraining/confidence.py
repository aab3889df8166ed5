"""
An interval for a mean that may be looked at after every block, for as long as one likes.

For block sums that are close to normal, Wang and Ramdas ("Anytime-valid t-tests and confidence sequences for
Gaussian means with unknown variance", 2024; the scale-invariant mixture) bound the probability that the
interval *ever* misses the mean, with the variance unknown, so that few blocks are no excuse. Their letters: S
the sum, V the sum of squares, n the count, alpha the probability, c the mixture's parameter.

Blocks that follow each other need not be independent: labels come in spells. So the interval is made from
blocks joined by 1, 2, 4 …, as far as `LEAST` batches remain, each time for as many independent batches as the
correlation of neighbours leaves (n (1 - r) / (1 + r), as of a first-order autoregression), and is the hull of
all of these: it holds where it holds for any one of them.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

# Blocks that are there before anything is said, and batches that blocks are joined to at least; chosen by
# simulation of blocks that are autocorrelated up to 0.9: docs/decisions/0026.
FIRST_LOOK = 32
LEAST = 24
# Batches at which the interval is narrowest; it must be chosen before the data, and matters little.
_TUNED_TO = 40
_HIGHEST_CORRELATION = 0.97


@dataclass(frozen=True, slots=True)
class Interval:
    """A mean, and the ends of its interval; infinite ends where too few blocks say anything."""

    mean: float
    low: float
    high: float


def mean_of(sums: Array, weights: Array) -> float:
    """Return the mean of *sums* a weight; NaN without weight."""
    weight = float(weights.sum())
    return float(sums.sum()) / weight if weight > 0 else math.nan


def interval(sums: Array, weights: Array, miss: float) -> Interval:
    """
    Return the interval for sum(sums) / sum(weights), blocks in the order of the stream.

    Args:
        sums, weights: of each block, shape (blocks,).
        miss: probability that the true mean is ever outside, however often one looks.
    """
    mean = mean_of(sums, weights)
    if len(sums) < FIRST_LOOK:
        return Interval(mean, -math.inf, math.inf)
    low, high, joined = math.inf, -math.inf, 1
    while len(sums) // joined >= LEAST:
        ends = _ends(_join(sums, joined), _join(weights, joined), miss)
        low, high, joined = min(low, ends[0]), max(high, ends[1]), 2 * joined
    return Interval(mean, low, high)


def _join(values: Array, joined: int) -> Array:
    """Return the sums of every *joined* blocks; what is left over waits for its batch to be whole."""
    whole = len(values) // joined * joined
    batches: Array = values[:whole].reshape(-1, joined).sum(axis=1)
    return batches


def _ends(sums: Array, weights: Array, miss: float) -> tuple[float, float]:
    """Return the means that the test does not reject."""
    # Not rejected is mu while S² < bound V, with S and V those of sums - mu * weights: a quadratic in mu.
    bound = _bound(len(sums), _correlation(sums - mean_of(sums, weights) * weights), miss)
    a = weights.sum() ** 2 - bound * (weights @ weights)
    b = sums.sum() * weights.sum() - bound * (sums @ weights)
    c = sums.sum() ** 2 - bound * (sums @ sums)
    if a <= 0:
        return -math.inf, math.inf
    # Of blocks that are all equal rounding may make it negative.
    root = math.sqrt(max(b * b - a * c, 0.0))
    return float((b - root) / a), float((b + root) / a)


def _bound(batches: int, correlation: float, miss: float) -> float:
    """Return the S² / V from which a mean is rejected, of batches with that correlation of neighbours."""
    shared = (1 + correlation) / (1 - correlation)
    n = batches / shared
    c2 = _TUNED_TO / (-2 * math.log(miss) + math.log(1 - 2 * math.log(miss)))
    return shared * (n + c2) * -math.expm1((2 * math.log(miss) + math.log(c2 / (n + c2))) / n)


def _correlation(residuals: Array) -> float:
    """
    Return the correlation of neighbours, at least 0, without the bias of the usual estimate.

    A lead that grows or fades hangs together as closely as a spell does, and says more. Nobody can tell them
    apart for sure: the mean of the correlations with and without the straight line through *residuals*.
    """
    n, squares = len(residuals), float(residuals @ residuals)
    if squares <= 0:
        return 0.0
    time = np.arange(n) - (n - 1) / 2
    bent = residuals - time * (residuals @ time) / (time @ time)
    raw = (_lagged(residuals, squares) + _lagged(bent, float(bent @ bent))) / 2
    # Kendall's bias of the estimate with a mean, (1 + 3 r) / n, and that with a line, (2 + 5 r) / n, halved.
    return min(max(raw + (1.5 + 4 * max(raw, 0.0)) / n, 0.0), _HIGHEST_CORRELATION)


def _lagged(residuals: Array, squares: float) -> float:
    return float(residuals[1:] @ residuals[:-1]) / squares if squares > 0 else 0.0
