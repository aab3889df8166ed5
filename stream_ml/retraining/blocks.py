"""What the gate compares: sums per block of events, of several learners over the same events."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import orjson

from stream_ml.retraining.confidence import Array

_REST = "(rest)"


@dataclass(frozen=True, slots=True)
class Sums:
    """
    What one learner said of each block, before it learned it.

    Attributes:
        loss: sum of importance × log loss, shape (blocks,).
        predictions: sum of importance × probability, shape (blocks,).
        slices: per slice, as `loss`.
    """

    loss: Array
    predictions: Array
    slices: Mapping[str, Array] = field(default_factory=dict)


def slice_name(segment: str | None) -> str:
    """Return what people read for a segment; None are those without a name of their own, all together."""
    if segment is None:
        return _REST
    # Without quotes it would be taken for the rest, or for nothing.
    return orjson.dumps(segment).decode() if segment[:1] in ("", '"', _REST[0]) else segment


@dataclass(frozen=True, slots=True)
class Slice:
    """
    The events of one segment.

    Attributes:
        examples, importance: of each block, shape (blocks,).
    """

    examples: Array
    importance: Array


@dataclass(frozen=True, slots=True)
class Blocks:
    """
    Champion and challengers, block by block in the order of the stream, after the training cut.

    Attributes:
        examples, importance, labels: of each block's events (labels: sum of importance × label), shape
            (blocks,).
        slices: by the name of the segment; a learner need not have sums of each.
    """

    examples: Array
    importance: Array
    labels: Array
    champion: Sums
    challengers: Mapping[str, Sums]
    slices: Mapping[str, Slice] = field(default_factory=dict)

    def __post_init__(self) -> None:
        shape = self.examples.shape
        everyone = (self.champion, *self.challengers.values())
        arrays = [self.importance, self.labels, *(a for s in everyone for a in (s.loss, s.predictions))]
        arrays += [a for s in self.slices.values() for a in (s.examples, s.importance)]
        arrays += [a for s in everyone for a in s.slices.values()]
        assert len(shape) == 1, f"blocks lie in one dimension, not in {len(shape)}"
        assert all(a.shape == shape for a in arrays), "every sum is there for every block"
        assert all(np.isfinite(a).all() for a in arrays), "a sum is not finite"

    @property
    def events(self) -> int:
        """How many events all blocks have."""
        return int(self.examples.sum())

    def swapped(self, challenger: str) -> Blocks:
        """Return the same with *challenger* as champion; who was that is the challenger "champion"."""
        return Blocks(
            self.examples,
            self.importance,
            self.labels,
            self.challengers[challenger],
            {"champion": self.champion},
            self.slices,
        )
