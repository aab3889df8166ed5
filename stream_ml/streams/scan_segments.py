"""
One file of kept scans: those of many ranges back to back, their index, and where that begins.

Each scan has its own checksum, which learning checks; the index has one too, and says of which plan and topic
the scans are: a file in the wrong place is recognised.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Sequence
from typing import Any, BinaryIO, NamedTuple

import orjson
import xxhash

from stream_ml.errors import StreamMlError

FORMAT = 1
_MAGIC = b"scans\r\n\0"
# Bytes of the index, its xxh3-64, and the magic: a file that was cut does not end with them.
_TAIL = struct.Struct("<QQ8s")


class UnusableSegment(StreamMlError):
    """A file is damaged, or not one of this cache; it is ignored, never repaired or deleted."""


class ScannedRange(NamedTuple):
    """
    The records ``[first, next)`` of one partition.

    Attributes:
        records: how many there are.
        checksum: ``_native.checksum`` of their values.
    """

    partition: int
    first: int
    next: int
    records: int
    checksum: int


class Origin(NamedTuple):
    """What the scans of a file are of: `Plan.scan_fingerprint`, and the broker's identity of the topic."""

    scan: str
    topic: str


class KeptScan(NamedTuple):
    """A scan, as the learner takes it; *newest_ms* is the timestamp of the range's last record."""

    range: ScannedRange
    newest_ms: int
    scan: bytes


class Stored(NamedTuple):
    """Where in the file a scan is stored."""

    at: int
    length: int
    newest_ms: int


def write_segment(file: BinaryIO, origin: Origin, scans: Sequence[KeptScan]) -> None:
    """Write the whole of *file*, which is empty."""
    at, ranges = 0, []
    for kept in scans:
        file.write(kept.scan)
        ranges.append([*kept.range, at, len(kept.scan), kept.newest_ms])
        at += len(kept.scan)
    index = orjson.dumps({"format": FORMAT, **origin._asdict(), "ranges": ranges})
    file.write(index)
    file.write(_TAIL.pack(len(index), xxhash.xxh3_64_intdigest(index), _MAGIC))


def read_index(file: BinaryIO, origin: Origin) -> dict[ScannedRange, Stored]:
    """
    Return where the scans in *file* are.

    Raises:
        UnusableSegment: says why.
    """
    size = file.seek(0, os.SEEK_END)
    if size < _TAIL.size:
        raise UnusableSegment(f"{size} bytes are no segment of kept scans")
    file.seek(size - _TAIL.size)
    length, checksum, magic = _TAIL.unpack(file.read(_TAIL.size))
    if magic != _MAGIC or length > size - _TAIL.size:
        raise UnusableSegment("not a segment of kept scans, or it was cut")
    file.seek(size - _TAIL.size - length)
    index = file.read(length)
    if xxhash.xxh3_64_intdigest(index) != checksum:
        raise UnusableSegment("the checksum of its index differs")
    return _stored(orjson.loads(index), origin, size - _TAIL.size - length)


def _stored(index: dict[str, Any], origin: Origin, end: int) -> dict[ScannedRange, Stored]:
    if index["format"] != FORMAT:
        raise UnusableSegment(f"format {index['format']}, this release reads {FORMAT}")
    if (found := Origin(index["scan"], index["topic"])) != origin:
        raise UnusableSegment(f"it holds scans of topic {found.topic} by {found.scan}")
    fields = len(ScannedRange._fields)
    stored = {ScannedRange(*row[:fields]): Stored(*row[fields:]) for row in index["ranges"]}
    if sum(each.length for each in stored.values()) != end:
        raise UnusableSegment("its index does not cover its bytes")
    return stored
