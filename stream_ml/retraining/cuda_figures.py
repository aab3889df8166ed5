"""What challengers on a GPU are compared by: blocks, segments and histograms, as the native core's."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from stream_ml.retraining.confidence import Array

# As evaluations have them: log-odds of 1/2 a bin, of which number 32 begins at 0.
_BINS, _BINS_PER_LOG_ODDS = 64, 2


@dataclass(frozen=True, slots=True)
class Compared:
    """As `_native.ComparedBlock`."""

    first: int
    end: int
    importance_sum: float
    label_sum: float
    watermark_us: int
    loss_sums: list[float]
    prediction_sums: list[float]
    segments: list[tuple[str | None, int, float, list[float]]]


@dataclass(frozen=True, slots=True)
class Judged:
    """
    Examples whose scores are judged, in order.

    Attributes:
        label, importance: shape (examples,).
        places: of their segments among the names.
        losses, predictions: shape (examples, challengers).
    """

    label: Array
    importance: Array
    places: NDArray[np.uint8]
    losses: Array
    predictions: Array

    def part(self, which: slice | NDArray[np.bool_]) -> Judged:
        """Return some of them."""
        return Judged(*(getattr(self, field.name)[which] for field in fields(self)))


class Histograms:
    """As the native core's: of the blocks that closed since they began."""

    def __init__(self, challengers: int) -> None:
        # Positives, negatives, predictions by challenger and bin.
        self._open, self._closed = (np.zeros((3, challengers, _BINS)) for _ in range(2))
        self._passes = False

    def add(self, said: Judged) -> None:
        """Count examples of the open block."""
        with np.errstate(divide="ignore"):
            log_odds = np.log(said.predictions) - np.log1p(-said.predictions)
        bins = np.clip(np.floor(log_odds * _BINS_PER_LOG_ODDS) + _BINS / 2, 0, _BINS - 1).astype(int)
        positive, negative = said.importance * said.label, said.importance * (1 - said.label)
        for at in range(bins.shape[1]):
            predicted = said.importance * said.predictions[:, at]
            for figure, weights in enumerate((positive, negative, predicted)):
                self._open[figure, at] += np.bincount(bins[:, at], weights, _BINS)

    def close(self) -> None:
        """The open block ends."""
        if not self._passes:
            self._closed += self._open
        self._open[:], self._passes = 0, False

    def begin(self, *, between: bool) -> None:
        """Begin again with the next block that begins; *between*: the open one has no example yet."""
        self._closed[:], self._passes = 0, not between

    def of(self, challenger: int) -> tuple[list[float], list[float], list[float]]:
        """Return positives, negatives, predictions by bin."""
        positives, negatives, predictions = self._closed[:, challenger].tolist()
        return positives, negatives, predictions


class Open:
    """Blocks of figures that are yet to close."""

    def __init__(self, size: int, challengers: int) -> None:
        self._size, self._judged, self._challengers = size, 0, challengers
        self._parts: list[Judged] = []
        self.histograms = Histograms(challengers)

    @property
    def is_empty(self) -> bool:
        """Whether the open block has no example yet."""
        return not self._parts

    def add(self, said: Judged, names: Sequence[str] | None, watermark_us: int) -> list[Compared]:
        """
        Count examples; return the blocks that closed.

        Args:
            names: of segments by place; None where the model names none.
        """
        closed = []
        while len(said.label):
            room = self._size - self._judged % self._size
            some, said = said.part(slice(room)), said.part(slice(room, None))
            self._parts.append(some)
            self.histograms.add(some)
            self._judged += len(some.label)
            if self._judged % self._size == 0:
                closed.append(self._close(names, watermark_us))
        return closed

    def _close(self, names: Sequence[str] | None, watermark_us: int) -> Compared:
        block = Judged(
            *(np.concatenate([getattr(part, each.name) for part in self._parts]) for each in fields(Judged))
        )
        self._parts.clear()
        self.histograms.close()
        return Compared(
            first=self._judged - self._size,
            end=self._judged,
            importance_sum=float(block.importance.sum()),
            label_sum=float(block.importance @ block.label),
            watermark_us=watermark_us,
            loss_sums=(block.importance @ block.losses).tolist(),
            prediction_sums=(block.importance @ block.predictions).tolist(),
            segments=[] if names is None else _segments(block, names),
        )


def _segments(block: Judged, names: Sequence[str]) -> list[tuple[str | None, int, float, list[float]]]:
    found = []
    for place in np.unique(block.places).tolist():
        own = block.part(block.places == place)
        name = names[place] if place < len(names) else None
        sums = (own.importance @ own.losses).tolist()
        found.append((name, len(own.label), float(own.importance.sum()), sums))
    return found
