"""Latencies that travel between processes: seconds → an encoded HdrHistogram → percentiles."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from hdrh.histogram import HdrHistogram
from numpy.typing import NDArray

# 1 µs to a minute, three digits that count.
LOWEST_MICROSECONDS = 1
HIGHEST_MICROSECONDS = 60_000_000
DIGITS = 3


def encode(seconds: Sequence[float] | NDArray[np.float64]) -> bytes:
    """Return the histogram of the latencies."""
    histogram = HdrHistogram(LOWEST_MICROSECONDS, HIGHEST_MICROSECONDS, DIGITS)
    microseconds = np.clip(np.rint(np.asarray(seconds) * 1e6), LOWEST_MICROSECONDS, HIGHEST_MICROSECONDS)
    values, counts = np.unique(microseconds.astype(np.int64), return_counts=True)
    for value, count in zip(values.tolist(), counts.tolist(), strict=True):
        histogram.record_value(value, count)
    encoded: bytes = histogram.encode()
    return encoded


def joined(parts: Sequence[bytes]) -> bytes:
    """Return the histogram of all."""
    whole = HdrHistogram(LOWEST_MICROSECONDS, HIGHEST_MICROSECONDS, DIGITS)
    for part in parts:
        whole.decode_and_add(part)
    encoded: bytes = whole.encode()
    return encoded


def percentile_ms(encoded: bytes, percentile: float) -> float:
    """Return a percentile in milliseconds; 100 is the largest."""
    return float(HdrHistogram.decode(encoded).get_value_at_percentile(percentile)) / 1000
