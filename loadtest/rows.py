"""Rows that a learner might have written, as many as a test asks for."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

_PIECE_ROWS = 1 << 18
_ROW = np.dtype([("id", "<u8"), ("z", "<f4"), ("n", "<f4")])


def generated_rows(count: int, seed: int) -> Iterator[bytes]:
    """Yield *count* rows with ids spread over all of 64 bits, in pieces."""
    random = np.random.default_rng(seed)
    for first in range(0, count, _PIECE_ROWS):
        rows = np.empty(min(_PIECE_ROWS, count - first), _ROW)
        rows["id"] = random.integers(1, 2**64 - 1, len(rows), np.uint64)
        rows["z"] = random.normal(size=len(rows))
        rows["n"] = random.exponential(size=len(rows)) + 1e-6
        yield rows.tobytes()
