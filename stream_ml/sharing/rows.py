"""Rows of the shards as they lie in deltas and snapshots, and the reserved ones among them."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from stream_ml.weights.rows import ROW_BYTES
from stream_ml.weights.shards import FeatureIds, Rows, Values

# Ids below this are no features: 0 is the bias, 1 and 2 are what the base rate is measured by (see
# `PartitionLearner`). They live in the first shard, and travel as score state, not as rows.
RESERVED = 4
RESERVED_IDS: FeatureIds = np.arange(3, dtype=np.uint64)
PACKED = np.dtype([("id", "<u8"), ("values", "<f4", 2)])
assert PACKED.itemsize == ROW_BYTES


class Reserved:
    """The values of the reserved rows, as last seen; zero before that."""

    def __init__(self, values: Values | None = None) -> None:
        """*values*: shape (3, 2)."""
        self.values: Values = np.zeros((len(RESERVED_IDS), 2), np.float32)
        if values is not None:
            self.values[:] = values

    def see(self, rows: Rows) -> None:
        """Take over what *rows* say of them."""
        found = rows.ids < len(RESERVED_IDS)
        self.values[rows.ids[found].astype(np.intp)] = rows.values[found]

    @property
    def rows(self) -> Rows:
        """All of them."""
        return Rows(RESERVED_IDS, self.values)


def packed(rows: Rows) -> bytes:
    """Return the rows of features, `ROW_BYTES` each."""
    features = rows.ids >= RESERVED
    together = np.empty(np.count_nonzero(features), PACKED)
    together["id"], together["values"] = rows.ids[features], rows.values[features]
    return together.tobytes()


def shard_of(ids: FeatureIds, shards: int) -> npt.NDArray[np.uint64]:
    """Return which shard each of *ids* lives in."""
    return np.where(ids < RESERVED, np.uint64(0), ids % np.uint64(shards))
