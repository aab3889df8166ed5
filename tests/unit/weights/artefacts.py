"""Small snapshots for tests."""

from __future__ import annotations

import random
import struct
from dataclasses import dataclass, field, replace
from typing import Any

import xxhash

from stream_ml.weights.artefact import Manifest, Parts
from stream_ml.weights.lines import Seed
from stream_ml.weights.snapshots import SnapshotName, SnapshotStore

PARTS = Parts(
    removed=struct.pack("<2Q", 3, 5),
    state=b"windows and sums",
    score_state=b"bias",
    model=b'name = "m"\n',
    plan=b'{"format":1}',
)
MANIFEST = Manifest(
    model="m",
    variant="v",
    fingerprint="f" * 32,
    seed=Seed(variant="u", epoch=1, step=2, name="m/u/1-2-00.safetensors", checksum="00"),
    epoch=7,
    step=40,
    events={0: 5, 3: 2**40},
    feed={0: 9},
    total_rows=0,
    rows_hash=0,
    learned_at=1.5,
    created_at=2.25,
)


def rows_of(ids: range, value: float) -> bytes:
    return b"".join(struct.pack("<Qff", id, value, value * value) for id in ids)


@dataclass
class Rows:
    """What a native table holds, as a dict."""

    rows: dict[int, bytes] = field(default_factory=dict)

    def load_rows(self, rows: bytes | memoryview) -> None:
        whole = bytes(rows)
        for at in range(0, len(whole), 16):
            self.rows[int.from_bytes(whole[at : at + 8], "little")] = whole[at + 8 : at + 16]

    def load_removed(self, ids: bytes | memoryview) -> None:
        for (id,) in struct.iter_unpack("<Q", ids):
            self.rows.pop(id, None)

    def digest(self) -> dict[str, Any]:
        hashes = (xxhash.xxh3_64_intdigest(row, seed=id & 0xFFFF) for id, row in self.rows.items())
        return {"rows": len(self.rows), "rows_hash": sum(hashes) % 2**64}


def image(seed: int = 1) -> list[bytes]:
    """Pieces of a fuzzy image: later rows override earlier ones, and removed ids are among them."""
    dice = random.Random(seed)
    return [rows_of(range(at, at + 10), dice.uniform(-2, 2)) for at in (1, 6, 30)]


def truth(pieces: list[bytes]) -> Rows:
    table = Rows()
    for piece in pieces:
        table.load_rows(piece)
    table.load_removed(PARTS.removed)
    return table


def store_one(
    store: SnapshotStore, step: int = 40, epoch: int = 7, seed: int = 1, created_at: float = 2.25
) -> SnapshotName:
    pieces = image(seed)
    found = truth(pieces).digest()
    manifest = replace(
        MANIFEST,
        step=step,
        epoch=epoch,
        total_rows=found["rows"],
        rows_hash=found["rows_hash"],
        created_at=created_at,
    )
    with store.writer("m", "v") as writer:
        for piece in pieces[:-1]:
            writer.add_rows(piece)
        return writer.finish(manifest, pieces[-1], PARTS)
