"""A partition's blob: what its home shard keeps of it beside the fence, replaced by every push."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Sequence
from typing import NamedTuple

import xxhash

from stream_ml.errors import CannotContinue
from stream_ml.weights.lines import NewerFormat

FORMAT = 1
# xxh3-64 of what follows it; format, evaluations; then each evaluation and the state, deflated, behind their
# lengths. A state is mostly the bins of figures, and most of these are zero: 33 kB become 1 to 3.
_HEAD = struct.Struct("<QHI")
_COUNTS = struct.Struct("<HI")
_LENGTH = struct.Struct("<I")


class Blob(NamedTuple):
    """
    What the next owner of a partition goes on with.

    Attributes:
        state: of the native learner: counters, sums, the open evaluation.
        evaluations: closed and not acknowledged yet; the next owner sends them again under the same keys.
    """

    state: bytes
    evaluations: tuple[bytes, ...] = ()


def encode(state: bytes, evaluations: Sequence[bytes]) -> bytes:
    """Return the bytes of a blob."""
    body = _COUNTS.pack(FORMAT, len(evaluations))
    body += b"".join(_LENGTH.pack(len(part)) + part for part in (*evaluations, zlib.compress(state, 1)))
    return xxhash.xxh3_64_digest(body)[::-1] + body


def decode(data: bytes) -> Blob:
    """
    Return the blob that *data* holds.

    Raises:
        CannotContinue: damaged; counters would be lost.
        NewerFormat: a later release wrote it.
    """
    if len(data) < _HEAD.size or xxhash.xxh3_64_digest(memoryview(data)[8:])[::-1] != data[:8]:
        raise CannotContinue(f"a blob of {len(data)} bytes lacks its checksum: Redis holds other data")
    _, written, count = _HEAD.unpack_from(data)
    if written > FORMAT:
        raise NewerFormat(f"a blob has format {written}, we read up to {FORMAT}; upgrade this process")
    parts, at = [], _HEAD.size
    for _ in range(count + 1):
        (length,) = _LENGTH.unpack_from(data, at)
        at += _LENGTH.size
        parts.append(data[at : at + length])
        at += length
    return Blob(zlib.decompress(parts[-1]), tuple(parts[:-1]))
