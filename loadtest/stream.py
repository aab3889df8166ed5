"""
One generated Criteo-like stream: 13 numbers, 26 categories, a label that can be learned.

Every value is a pure function of (seed, event number, field), so any part of the stream can be made alone
and equals the same part of a longer one. The same events can be written as JSON with the fields in one
order, as JSON with the fields of every event shuffled, and as Vowpal Wabbit's text; VW reads all three as
the same features under the same names.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Layout = Literal["json", "text", "shuffled"]
LAYOUTS: tuple[Layout, ...] = ("json", "text", "shuffled")
Column = NDArray[np.bytes_]
Integers = NDArray[np.uint64]
Floats = NDArray[np.float64]
Indices = NDArray[np.int64]

VERSION = 1
CACHE = Path(".cache/loadtest")
NUMBERS = 13
# Of the Criteo display-advertising set.
CARDINALITIES = (
    1_460, 583, 10_131_226, 2_202_608, 305, 24, 12_517, 633, 3, 93_145, 5_683, 8_351_592, 3_194,
    27, 14_992, 5_461_306, 10, 5_652, 2_173, 4, 7_046_547, 18, 15, 286_181, 105, 142_572,
)  # fmt: skip
ZIPF_EXPONENT = 1.1
# Spread of the hidden weights, and of what no learner can know; with the intercept they make a base rate of
# about 25 % and a logloss of about 0.42 within reach, as on the original.
WEIGHT_SPREAD = 0.42
NOISE_SPREAD = 0.5
INTERCEPT = -2.6
# 2024-01-01; event time advances by 20 µs, as at 50,000 events a second.
FIRST_TIME = 1_704_067_200
EVENTS_PER_SECOND = 50_000
CHUNK_EVENTS = 20_000
LARGEST_HUNDREDTHS = 999
HUNDREDTHS = range(-LARGEST_HUNDREDTHS, LARGEST_HUNDREDTHS + 1)
TEXT_NUMBERS = np.array([f"{hundredths / 100:g}" for hundredths in HUNDREDTHS], dtype="S5")
HEX_PAIRS = np.frombuffer("".join(f"{byte:02x}" for byte in range(256)).encode(), dtype="S2")


@dataclass(frozen=True, slots=True)
class Stream:
    """
    Which events, and how they are written.

    Attributes:
        events: how many, from the first.
        layout: ``text`` is Vowpal Wabbit's own format.
        identified: each event also brings ``id`` (a number that never repeats) and ``time`` (seconds since
            1970), for what runs through the services; not read by VW.
    """

    events: int
    layout: Layout = "json"
    identified: bool = False
    seed: int = 1

    def as_layout(self, layout: Layout) -> Stream:
        """Return the same events, written another way."""
        return replace(self, layout=layout)

    def path(self) -> Path:
        """Return the file that holds the stream, written now if it was not yet; one event a line."""
        kind = f"{self.layout}-ids" if self.identified else self.layout
        path = CACHE / f"criteo-v{VERSION}-s{self.seed}-{self.events}.{kind}"
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            unfinished = path.with_name(f"{path.name}.{os.getpid()}.unfinished")
            with unfinished.open("wb") as file:
                file.writelines(self.chunks())
            unfinished.rename(path)
        return path

    def chunks(self) -> Iterator[bytes]:
        """Yield the stream in pieces of whole lines."""
        for first in range(0, self.events, CHUNK_EVENTS):
            yield self.lines(first, min(CHUNK_EVENTS, self.events - first))

    def lines(self, first: int, count: int) -> bytes:
        """Return *count* events from number *first* on, one a line."""
        number = np.arange(first, first + count, dtype=np.uint64)
        make = _text if self.layout == "text" else _json
        return make(self, number)


def _json(stream: Stream, number: Integers) -> bytes:
    numbers, categories, label = _draw(stream.seed, number)
    fields = [_field("_label", _signs(label))]
    if stream.identified:
        fields += [_field("id", number.astype("S20")), _field("time", _times(number))]
    fields += [_field(f"I{at + 1}", column) for at, column in enumerate(numbers)]
    fields += [_field(f"C{at + 1}", column, quote=b'"') for at, column in enumerate(categories)]
    cells = _cells(fields)
    if stream.layout == "shuffled":
        field_number = number[:, None] * np.uint64(64) + np.arange(len(fields)).astype(np.uint64)
        order = np.argsort(_hash(stream.seed, 1_000, field_number))
        cells = np.take_along_axis(cells, order[:, :, None], axis=1)
    cells[:, 0, 0] = ord("{")  # was the comma before the first field
    return _joined(cells, b"}\n")


def _text(stream: Stream, number: Integers) -> bytes:
    numbers, categories, label = _draw(stream.seed, number)
    fields = [np.strings.add(_signs(label), b" |")]
    fields += [np.strings.add(f" I{at + 1}:".encode(), column) for at, column in enumerate(numbers)]
    # The name that VW's JSON reader gives to a text field.
    fields += [np.strings.add(f" C{at + 1}".encode(), column) for at, column in enumerate(categories)]
    return _joined(_cells(fields), b"\n")


def _field(name: str, column: Column, *, quote: bytes = b"") -> Column:
    return np.strings.add(np.strings.add(f',"{name}":'.encode() + quote, column), quote)


def _cells(fields: list[Column]) -> NDArray[np.uint8]:
    """Return (events, fields, width) bytes, each cell padded with zeros."""
    width = max(field.dtype.itemsize for field in fields)
    return np.stack([field.astype(f"S{width}").view(np.uint8).reshape(-1, width) for field in fields], axis=1)


def _joined(cells: NDArray[np.uint8], end: bytes) -> bytes:
    flat = cells.reshape(len(cells), -1)
    ends = np.broadcast_to(np.frombuffer(end, dtype=np.uint8), (len(cells), len(end)))
    return np.concatenate([flat, ends], axis=1).tobytes().translate(None, b"\0")


def _draw(seed: int, number: Integers) -> tuple[list[Column], list[Column], NDArray[np.bool_]]:
    """Return the numbers, the categories and the label of each event, the first two as written."""
    log_odds = INTERCEPT + NOISE_SPREAD * _normal(_hash(seed, 100, number))
    numbers: list[Column] = []
    categories: list[Column] = []
    for at in range(NUMBERS):
        hundredths = _hundredths(_normal(_hash(seed, at, number)), at)
        log_odds += 0.3 * _hidden(seed, at, np.uint64(0)) * hundredths / 100
        numbers.append(TEXT_NUMBERS[hundredths + LARGEST_HUNDREDTHS])
    for at, cardinality in enumerate(CARDINALITIES):
        rank = _zipf(_uniform(_hash(seed, 200 + at, number)), cardinality)
        log_odds += WEIGHT_SPREAD * _hidden(seed, 200 + at, rank.astype(np.uint64))
        categories.append(_hexadecimal(_hash(seed, 300 + at, rank.astype(np.uint64))))
    label = _uniform(_hash(seed, 101, number)) < 1 / (1 + np.exp(-log_odds))
    return numbers, categories, label


def _hundredths(normal: Floats, at: int) -> Indices:
    """Return a number, never zero; every third field has both signs, the others are logarithms of counts."""
    value = normal if at % 3 == 0 else np.log1p(np.floor(np.exp(1 + 0.8 * normal)))
    hundredths: Indices = np.rint(value * 100).astype(np.int64)
    hundredths[hundredths == 0] = 1
    return hundredths.clip(-LARGEST_HUNDREDTHS, LARGEST_HUNDREDTHS)


def _zipf(uniform: Floats, cardinality: int) -> Indices:
    """Return ranks below *cardinality*, by the inverse of the bounded power law's distribution."""
    tail = (cardinality + 1) ** (1 - ZIPF_EXPONENT)
    rank = (1 + uniform * (tail - 1)) ** (1 / (1 - ZIPF_EXPONENT)) - 1
    bounded: Indices = np.minimum(rank.astype(np.int64), cardinality - 1)
    return bounded


def _hexadecimal(hashed: Integers) -> Column:
    four_bytes = np.ascontiguousarray((hashed >> np.uint64(32)).astype(">u4")).view(np.uint8)
    return np.ascontiguousarray(HEX_PAIRS[four_bytes]).view("S8")


def _signs(label: NDArray[np.bool_]) -> Column:
    return np.where(label, b"1", b"-1")


def _times(number: Integers) -> Column:
    seconds, rest = np.divmod(number, np.uint64(EVENTS_PER_SECOND))
    millis = rest * np.uint64(1000) // np.uint64(EVENTS_PER_SECOND)
    whole = (seconds + np.uint64(FIRST_TIME)).astype("S10")
    return np.strings.add(np.strings.add(whole, b"."), np.strings.zfill(millis.astype("S3"), 3))


def _hidden(seed: int, field: int, rank: Integers | np.uint64) -> Floats:
    """Return the weight that the label's model gives to a value."""
    return _normal(_hash(seed, 400 + field, np.asarray(rank, dtype=np.uint64)))


def _hash(seed: int, purpose: int, number: Integers) -> Integers:
    """Return splitmix64 (Steele, Lea, Flood 2014) of the number, another sequence for each purpose."""
    start = (seed * 0x9E3779B97F4A7C15 + purpose * 0xD1B54A32D192ED03) % 2**64
    with np.errstate(over="ignore"):
        mixed = np.uint64(start) + (number + np.uint64(1)) * np.uint64(0x9E3779B97F4A7C15)
        mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return mixed ^ (mixed >> np.uint64(31))


def _uniform(hashed: Integers) -> Floats:
    return (hashed >> np.uint64(11)).astype(np.float64) * 2.0**-53


def _normal(hashed: Integers) -> Floats:
    """Return nearly normal numbers of spread 1: the sum of four 16-bit uniforms, whose variance is 4/12."""
    parts = [(hashed >> np.uint64(shift)) & np.uint64(0xFFFF) for shift in (0, 16, 32, 48)]
    total: Floats = sum((part.astype(np.float64) for part in parts), np.zeros(hashed.shape))
    return (total / 65_535 - 2) * 3**0.5
