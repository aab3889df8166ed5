from __future__ import annotations

import orjson
import pytest
import xxhash

from stream_ml.errors import InvalidRecord
from stream_ml.weights.line_bytes import decode_line, encode_line
from stream_ml.weights.lines import (
    Announced,
    Begin,
    Chore,
    Claim,
    Claimed,
    Decided,
    Decision,
    Incarnation,
    InForce,
    Layout,
    Line,
    NewerFormat,
    Range,
    Release,
    Seed,
    Snapshot,
    Step,
    Variant,
    VariantInForce,
    journal_and_offset,
    place_of,
)

SEED = Seed(variant="v0", epoch=3, step=7, name="m/v0/3-7-ab.safetensors", checksum="ab")
ANNOUNCED = Announced(
    epoch=1, step=2, name="m/v1/1-2-cd.safetensors", checksum="cd", events={0: 5, 3: 9}, feed={0: 4}, as_of=6
)
SERVE = Decision(kind="serve", variant="v1", who="me", why="first", replaces=None)
IN_FORCE = InForce(
    variants=(
        VariantInForce(
            variant="v1",
            fingerprint="f" * 32,
            seed=SEED,
            step=2,
            events={0: 5},
            claims=(Claimed(1, 0), Claimed(4, 2)),
            writer=None,
            snapshots=(ANNOUNCED,),
            topic_id="x",
            layout=Layout(4, 7),
        ),
    ),
    decisions=(Decided(2, SERVE),),
)
LINES: list[Line] = [
    Begin(journal=3, variants=IN_FORCE.variants),
    Variant(
        variant="v1",
        fingerprint="f" * 32,
        seed=SEED,
        topic_id="x",
        events={0: 0, 1: 17},
        why="warm",
        lost={1: 17},
        layout=Layout(0, 4),
    ),
    Chore(variant="v1", layout=0, shard=None, chore="snapshot", who="host/1"),
    Incarnation(variant="v1", layout=0, shard=3, process="ab", reign="cd", why="moved"),
    Claim(variant="v1", who="host/1/ä", step=4),
    Release(variant="v1", who="host/1", epoch=4, step=9),
    Step(
        variant="v1",
        epoch=4,
        step=5,
        topic_id="x",
        ranges=(Range(0, 5, 8, 3, 2**64 - 1, 2), Range(1, 17, 20, 1, 0)),
        decisions=(2,),
    ),
    Snapshot(
        variant="v1",
        epoch=4,
        step=5,
        name="m/v1/4-5-ef.safetensors",
        checksum="ef",
        events={0: 8},
        feed={0: 6},
        as_of=7,
        in_force=IN_FORCE,
    ),
    SERVE,
    Decision(kind="skip", variant="v1", who="op", why="poison", replaces=9, partition=1, next=40, lost=20),
]


@pytest.mark.parametrize("line", LINES, ids=lambda line: type(line).__name__)
def test_a_line_survives_its_bytes(line: Line) -> None:
    data = encode_line(line)
    assert decode_line(data) == line
    assert orjson.loads(data)["line"] == type(line).__name__.lower()


def test_every_flipped_byte_of_a_line_is_seen() -> None:
    data = encode_line(LINES[4])
    for at in range(len(data)):
        damaged = data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]
        with pytest.raises(InvalidRecord):
            decode_line(damaged)


def test_every_truncation_of_a_line_is_seen() -> None:
    data = encode_line(LINES[4])
    for length in range(len(data)):
        with pytest.raises(InvalidRecord):
            decode_line(data[:length])


@pytest.mark.parametrize("data", [None, b"", b"{}", b"[1]", b"\xff\x00"])
def test_a_record_of_somebody_else_is_no_line(data: bytes | None) -> None:
    with pytest.raises(InvalidRecord, match="not a line of ours"):
        decode_line(data)


def sealed(rest: bytes) -> bytes:
    return b'{"checksum":"%016x",%b' % (xxhash.xxh3_64_intdigest(rest), rest)


def test_a_line_of_a_newer_release_says_to_upgrade() -> None:
    with pytest.raises(NewerFormat, match="format 2, we read up to 1; upgrade"):
        decode_line(sealed(b'"format":2,"line":"novelty"}'))


@pytest.mark.parametrize(
    "rest",
    [
        b'"format":1,"line":"claim","variant":"v","who":"w","step":"4"}',
        b'"format":1,"line":"claim","variant":"v","who":"w"}',
        b'"format":1,"line":"claim","variant":"v","who":"w","step":4,"more":1}',
        b'"format":1,"line":"novelty"}',
        b'"formation":1}',
        b'"format":1',
    ],
)
def test_a_line_with_a_valid_checksum_is_still_read_strictly(rest: bytes) -> None:
    with pytest.raises(InvalidRecord):
        decode_line(sealed(rest))


def test_places_of_a_later_journal_come_after_all_of_an_earlier_one() -> None:
    assert place_of(0, 17) == 17
    assert place_of(1, 0) > place_of(0, 2**40 - 1)
    assert journal_and_offset(place_of(5, 123)) == (5, 123)
