"""A partition's blob survives its journey, and a damaged one is a stop."""

from __future__ import annotations

import struct

import pytest
import xxhash

from stream_ml.errors import CannotContinue
from stream_ml.sharing import blob
from stream_ml.weights.lines import NewerFormat


@pytest.mark.parametrize("evaluations", [(), (b"{}",), (b"", b"x" * 70_000)])
def test_a_blob_comes_back(evaluations: tuple[bytes, ...]) -> None:
    assert blob.decode(blob.encode(b"state", evaluations)) == (b"state", evaluations)


def test_every_damaged_byte_is_told() -> None:
    data = blob.encode(b"state", [b"evaluation"])
    for at in range(len(data)):
        with pytest.raises(CannotContinue, match="checksum"):
            blob.decode(data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :])
    for size in range(len(data)):
        with pytest.raises(CannotContinue, match=f"of {size} bytes"):
            blob.decode(data[:size])


def test_a_newer_format_asks_for_an_upgrade() -> None:
    body = struct.pack("<HI", 2, 0)
    with pytest.raises(NewerFormat, match="format 2"):
        blob.decode(struct.pack("<Q", xxhash.xxh3_64_intdigest(body)) + body)
