"""The bytes of every kind of journal line, for ever; and how each kind is refused where it is not itself."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest
import xxhash

from stream_ml.errors import InvalidRecord
from stream_ml.weights.line_bytes import decode_line, encode_line, line_checksum
from stream_ml.weights.lines import (
    Begin,
    Challenge,
    Chore,
    Claim,
    Decision,
    Incarnation,
    Layout,
    Line,
    NewerFormat,
    Range,
    Release,
    Snapshot,
    Step,
    Variant,
)
from stream_ml.weights.state import JournalState
from tests.unit.weights.journal_lines import fold
from tests.unit.weights.test_lines import ANNOUNCED, IN_FORCE, LINES, SEED

# Change one of these and a journal of an older release cannot be read any more.
GOLDEN: list[tuple[Line, bytes]] = [
    (Begin(journal=7), b'"line":"begin","journal":7,"variants":[]}'),
    (
        Variant(
            variant="v2",
            fingerprint="ab",
            seed=SEED,
            topic_id="x",
            events={0: 3, 10: 4},
            why="é",
            lost={10: 2},
            layout=Layout(0, 4),
            challenge=Challenge("v1", "cd", "j", "p"),
        ),
        b'"line":"variant","variant":"v2","fingerprint":"ab","seed":{"variant":"v0","epoch":3,"step":7,'
        b'"name":"m/v0/3-7-ab.safetensors","checksum":"ab"},"topic_id":"x","events":{"0":3,"10":4},"why":"\xc3\xa9",'
        b'"lost":{"10":2},"layout":[0,4],"challenge":["v1","cd","j","p"]}',
    ),
    (
        Chore(variant="v", layout=7, shard=3, chore="restore", who="host/1/2"),
        b'"line":"chore","variant":"v","layout":7,"shard":3,"chore":"restore","who":"host/1/2"}',
    ),
    (
        Incarnation(variant="v", layout=7, shard=3, process="ab", reign="cd", why="moved"),
        b'"line":"incarnation","variant":"v","layout":7,"shard":3,"process":"ab","reign":"cd","why":"moved"}',
    ),
    (
        Claim(variant="v", who="host/1/2", step=0),
        b'"line":"claim","variant":"v","who":"host/1/2","step":0}',
    ),
    (
        Release(variant="v", who="host/1/2", epoch=2**40 + 5, step=9),
        b'"line":"release","variant":"v","who":"host/1/2","epoch":1099511627781,"step":9}',
    ),
    (
        Step(variant="v", epoch=4, step=5, topic_id="", ranges=(Range(2, 5, 9, 3, 2**64 - 1, 8),)),
        b'"line":"step","variant":"v","epoch":4,"step":5,"topic_id":"",'
        b'"ranges":[[2,5,9,3,18446744073709551615,8]],"decisions":[]}',
    ),
    (
        Decision(kind="skip", variant="v", who="op", why="poison", replaces=9, partition=1, next=40, lost=20),
        b'"line":"decision","kind":"skip","variant":"v","who":"op","why":"poison","replaces":9,'
        b'"partition":1,"next":40,"lost":20}',
    ),
    (
        Decision(kind="stop", variant="v", who="op", why=""),
        b'"line":"decision","kind":"stop","variant":"v","who":"op","why":"","replaces":null,'
        b'"partition":null,"next":null,"lost":null}',
    ),
]
PAGE = (Path(__file__).parents[3] / "schemas" / "topics.md").read_text()
HEAD_BYTES = len(b'{"checksum":"0123456789abcdef",')
EACH = pytest.mark.parametrize("line", LINES, ids=lambda line: type(line).__name__)


def sealed(rest: bytes) -> bytes:
    return b'{"checksum":"%016x",%b' % (xxhash.xxh3_64_intdigest(rest), rest)


def body_of(line: Line) -> dict[str, Any]:
    """Return what *line* says, in the order in which it says it, without checksum and format."""
    said = orjson.loads(b"{" + encode_line(line)[HEAD_BYTES:])
    return {key: value for key, value in said.items() if key != "format"}


def said_as(body: dict[str, Any], line_format: int = 1) -> bytes:
    return sealed(orjson.dumps({"format": line_format, **body})[1:])


@pytest.mark.parametrize(("line", "body"), GOLDEN, ids=lambda each: getattr(each, "line", ""))
def test_the_bytes_of_a_line_are_these_for_ever(line: Line, body: bytes) -> None:
    data = sealed(b'"format":1,' + body)
    assert encode_line(line) == data
    assert decode_line(data) == line


def test_every_kind_has_golden_bytes_here_or_on_the_page_of_the_topics() -> None:
    here = {line.line for line, _ in GOLDEN}
    kinds = {line.line for line in LINES}
    assert kinds - here == {"snapshot"}
    assert '"line":"snapshot"' in PAGE


@EACH
def test_a_line_of_any_kind_in_a_newer_format_asks_for_an_upgrade(line: Line) -> None:
    with pytest.raises(NewerFormat, match="format 2, we read up to 1"):
        decode_line(said_as(body_of(line), line_format=2))
    with pytest.raises(NewerFormat, match="format 1000"):
        decode_line(said_as({**body_of(line), "new": 1}, line_format=1000))


@EACH
def test_a_key_that_is_missing_more_or_of_another_type_voids_a_line(line: Line) -> None:
    for damaged in damaged_bodies(body_of(line)):
        with pytest.raises(InvalidRecord, match="journal"):
            decode_line(said_as(damaged))


def damaged_bodies(body: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield *body* with each thing wrong that one key can have wrong."""
    optional = {"variants", "decisions", "lost", "replaces", "partition", "next"}
    optional |= {"layout", "challenge"} if body["line"] == "variant" else set()
    # Every line says its kind; what a class gives a default may be left out by an older release.
    for key in body:
        if key not in optional:
            yield {name: value for name, value in body.items() if name != key}
        if key not in {"line", "kind"}:
            yield {**body, key: object_of_another_type(body[key])}
    yield {**body, "surplus": None}
    yield {**body, "line": "line"}
    yield {**body, "line": None}


def object_of_another_type(value: Any) -> Any:
    return 3.5 if isinstance(value, int | str) or value is None else "a text"


@EACH
def test_a_line_with_its_keys_in_another_order_is_the_same_line(line: Line) -> None:
    turned = dict(reversed(body_of(line).items()))
    assert decode_line(said_as(turned)) == line


@EACH
def test_a_line_is_recognised_by_its_bytes(line: Line) -> None:
    assert line_checksum(decode_line(encode_line(line))) == line_checksum(line) != 0
    assert len({line_checksum(each) for each in LINES}) == len(LINES)


def test_a_damaged_line_is_recognised_by_nothing() -> None:
    assert line_checksum(None) == 0


@pytest.mark.parametrize(
    "data",
    [
        b'{"checksum":"0000000000000000","format":1,"line":"claim","variant":"v","who":"w","step":4}',
        encode_line(LINES[2]).upper(),
        encode_line(LINES[2]).replace(b'"format"', b' "format"'),
        encode_line(LINES[2]) + b"\n",
        encode_line(LINES[2])[:-1],
        b" " + encode_line(LINES[2]),
    ],
)
def test_bytes_that_were_touched_are_no_line(data: bytes) -> None:
    with pytest.raises(InvalidRecord):
        decode_line(data)


def test_a_snapshot_line_says_by_itself_what_the_snapshot_is() -> None:
    line = Snapshot(variant="v1", in_force=IN_FORCE, **{name: getattr(ANNOUNCED, name) for name in FIELDS})
    assert line.announced == ANNOUNCED
    read = decode_line(encode_line(line))
    assert isinstance(read, Snapshot)
    assert read.announced == ANNOUNCED


FIELDS = ("epoch", "step", "name", "checksum", "events", "feed", "as_of")


@pytest.mark.parametrize(
    ("decision", "thing"),
    [
        (Decision(kind="serve", variant="v1", who="", why=""), "serve"),
        (Decision(kind="serve", variant="v2", who="", why=""), "serve"),
        (Decision(kind="stop", variant="v1", who="", why=""), "learn v1"),
        (Decision(kind="resume", variant="v1", who="", why=""), "learn v1"),
        (Decision(kind="skip", variant="v1", who="", why="", partition=3), "skip v1 3"),
    ],
)
def test_decisions_are_about_one_thing_each(decision: Decision, thing: str) -> None:
    assert decision.thing == thing


def test_the_journal_of_the_page_counts_line_for_line() -> None:
    lines = [
        decode_line(line.encode())
        for line in PAGE.split("```json journal\n")[1].split("\n```")[0].split("\n")
    ]
    state, verdicts = fold(*lines[1:])
    assert all(verdict.valid for verdict in verdicts)
    assert state.serving == "v1"
    assert state.variants["v1"].step == 1
    assert state.variants["v1"].writer is None, "its last line releases it"
    (snapshot,) = (line for line in lines if isinstance(line, Snapshot))
    assert JournalState.as_of(snapshot).next_offset == lines.index(snapshot)
