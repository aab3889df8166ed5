"""
Scanned events as files that other learners read: libsvm, Vowpal Wabbit's text, and TFRecord.

The features are those that the learner learns from, under their own ids; nothing is hashed or scaled anew.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Protocol, Self

import numpy
from numpy.typing import NDArray

from stream_ml.errors import ConfigError

Floats = NDArray[numpy.float32]


class Scanned(Protocol):
    """The columns that a plan's ``scan`` returns, as bytes in native order."""

    label: bytes
    importance: bytes
    timestamp_us: bytes
    offsets: bytes
    ids: bytes
    values: bytes


@dataclass(frozen=True, slots=True)
class Example:
    """
    One event as it is learned.

    Attributes:
        timestamp_us: None where the event has none.
        ids, values: uint64 and float32, shape (features,), in slot order.
    """

    label: float
    importance: float
    timestamp_us: int | None
    ids: NDArray[numpy.uint64]
    values: Floats

    @classmethod
    def all_of(cls, scanned: Scanned) -> Iterator[Self]:
        """Yield the events of a scan, in their order."""
        labels = numpy.frombuffer(scanned.label, numpy.float32)
        importances = numpy.frombuffer(scanned.importance, numpy.float32)
        times = numpy.frombuffer(scanned.timestamp_us, numpy.int64)
        ends = numpy.frombuffer(scanned.offsets, numpy.uint32)
        ids = numpy.frombuffer(scanned.ids, numpy.uint64)
        values = numpy.frombuffer(scanned.values, numpy.float32)
        absent = numpy.iinfo(numpy.int64).min
        for at, (first, end) in enumerate(pairwise(ends)):
            time = None if times[at] == absent else int(times[at])
            yield cls(float(labels[at]), float(importances[at]), time, ids[first:end], values[first:end])


def vw_line(example: Example, *, logistic: bool) -> bytes:
    """
    Return the example in Vowpal Wabbit's text format.

    A feature is named by its id, and VW takes a name of digits for the hash itself, of which it keeps the
    lowest ``-b`` bits.

    Raises:
        ConfigError: VW's logistic loss knows no label between 0 and 1.
    """
    label = example.label
    if logistic:
        if label not in (0.0, 1.0):
            raise ConfigError(f"VW's logistic loss takes the labels 0 and 1, an event has {label:g}")
        label = 2 * label - 1
    importance = "" if example.importance == 1 else f" {example.importance:.9g}"
    return f"{label:.9g}{importance} |{_pairs(example.ids.tolist(), example.values)}\n".encode()


@dataclass(slots=True)
class Libsvm:
    """
    Writes libsvm, whose readers have columns from 1 on where we have ids of 64 bits.

    Attributes:
        columns: id → its column, in the order in which the ids were met.
    """

    columns: dict[int, int] = field(default_factory=dict)

    def line(self, example: Example) -> bytes:
        """Return the example; ConfigError where it has an importance, for which the format has no place."""
        if example.importance != 1:
            raise ConfigError(
                f"libsvm has no place for importance, an event has {example.importance:g}\n"
                "  hint: --as vw, tfrecord or parquet"
            )
        columns = [self.columns.setdefault(id, len(self.columns) + 1) for id in example.ids.tolist()]
        order = numpy.argsort(columns)
        ascending = [columns[at] for at in order]
        return f"{example.label:.9g}{_pairs(ascending, example.values[order])}\n".encode()

    def dictionary(self) -> Iterator[bytes]:
        """Yield the id of each column, from column 1 on, one a line, 16 hex digits."""
        for id in self.columns:
            yield b"%016x\n" % id


def _pairs(names: list[int], values: Floats) -> str:
    # Nine digits name every float32.
    return "".join(f" {name}:{value:.9g}" for name, value in zip(names, values.tolist(), strict=True))
