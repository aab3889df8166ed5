"""Any bytes: the scanner accepts what orjson accepts and finds what the parsed event holds."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import orjson
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from stream_ml._native import Plan
from tests.property import json_lines
from tests.property.feature_reference import Reader, RefusedError, features

FIELDS = [["y"], ["a"], ["b"], ["n"], ["m"], ["o", "p"], ["o", "q"], ["a long name of a field"], ["é"]]
SLOTS = [
    ("a", "category", ["text", 1]),
    ("n", "number", ["number", 3]),
    ("b", "category", ["text", 2]),
    ("a again", "category", ["text", 1]),
    ("words", "set", ["words", ["text", 2]]),
    ("m", "number", ["number", 4]),
    ("m as text", "category", ["text", 4]),
    ("long", "category", ["text", 7]),
    ("cross", "category", ["cross", ["text", 5], ["text", 1]]),
    ("p", "category", ["text", 5]),
    ("q", "number", ["number", 6]),
    ("é", "category", ["text", 8]),
]
SOURCE: dict[str, Any] = {
    "format": 1, "math": 1, "name": "m", "fields": FIELDS, "event_id": None, "timestamp": None,
    "label": ["number", 0], "importance": None, "served": None, "learn_after": "event",
    "unlabelled": "refuse", "max_skew_seconds": 60.0, "duplicate_window": 0, "evaluate_every": 10,
    "slots": [
        {"name": name, "kind": kind, "seed": f"{at * 0x9E3779B97F4A7C15 % 2**64:016x}", "expr": expr}
        for at, (name, kind, expr) in enumerate(SLOTS)
    ],
    "learner": {"loss": "logistic", "optimizer": "ftrl", "alpha": 0.1, "beta": 1.0, "l1": 0.0, "l2": 0.0,
                "base_rate": None, "base_rate_events": 10},
}  # fmt: skip
PLAN = Plan(orjson.dumps(SOURCE))

texts, numbers = json_lines.text_literals(), json_lines.NUMBERS
inner = json_lines.objects(st.tuples(st.sampled_from(['"p"', '"q"', '"r"']), numbers))
whole_events = json_lines.events(
    {
        "y": st.sampled_from(["0", "1", "1.0", "-1"]),
        "a": st.one_of(texts, numbers),
        "n": numbers,
        "unused": json_lines.values(),
        "b": texts,
        "m": numbers,
        "o": inner,
        "a long name of a field": texts,
        "é": st.one_of(texts, st.just("true")),
    }
)
any_events = st.one_of(whole_events, json_lines.broken(whole_events), st.binary(max_size=40))

Outcome = str | list[tuple[int, float]]
OUR_LIMITS = {"out_of_range", "wrong_type", "no_label"}


def expected(line: bytes) -> Outcome:
    """Return the features of a line, or why it has none ("invalid" for all that is no JSON object)."""
    try:
        if not isinstance(orjson.loads(line), dict):
            return "invalid"
    except orjson.JSONDecodeError:
        return "invalid"
    event = json.loads(line)  # keeps the digits of large integers
    try:
        label = Reader(FIELDS, event).value(["number", 0])
        if label is None:
            return "no_label"
        if label != -1 and not 0 <= label <= 1:
            return "out_of_range"
        return [(id, x) for _, id, x in features(SOURCE, event)]
    except RefusedError as refused:
        return str(refused)


def outcomes(records: list[bytes]) -> dict[tuple[int, int], Outcome]:
    """Return what became of every event, by its place (record, index)."""
    scan = PLAN.scan(records, [0] * len(records))
    found: dict[tuple[int, int], Outcome] = {
        (refusal.record, refusal.index): refusal.reason if refusal.reason in OUR_LIMITS else "invalid"
        for refusal in scan.refused
    }
    offsets, ids = np.frombuffer(scan.offsets, np.uint32), np.frombuffer(scan.ids, np.uint64)
    values = np.frombuffer(scan.values, np.float32)
    places = zip(np.frombuffer(scan.record, np.uint32), np.frombuffer(scan.index, np.uint32), strict=True)
    for place, first, end in zip(places, offsets, offsets[1:], strict=False):
        pairs = zip(ids[first:end].tolist(), values[first:end].tolist(), strict=True)
        found[int(place[0]), int(place[1])] = list(pairs)
    return found


def check(lines: list[bytes]) -> None:
    lines = [line.replace(b"\n", b" ") for line in lines]
    lines = [line for line in lines if line.strip(b" \t\r")]
    wanted = [expected(line) for line in lines]
    found = outcomes(lines)
    for at, (line, outcome) in enumerate(zip(lines, wanted, strict=True)):
        # An infinite number is no JSON to orjson; we say what is wrong with it.
        same = found[at, 0] == outcome or (outcome == "invalid" and found[at, 0] == "out_of_range")
        assert same, (line, found[at, 0], outcome)
    together = outcomes([b"\n".join(lines)])
    assert [together[0, at] for at in range(len(lines))] == [found[at, 0] for at in range(len(lines))]


@settings(max_examples=settings().max_examples * 3)
@given(st.lists(any_events, min_size=1, max_size=4))
@example([b'{"y":1,"a":"x"}\x0b'])
@example([b'\xef\xbb\xbf{"y":1}'])
@example([b'{"y":1,"n":1e400}'])
@example([b'{"y":1,"unused":-1e999}'])
@example([b'{"y":1,"a":"\xc0\x80"}', b'{"y":1,"\xff":1}', b'{"y":1,"a":"\xed\xa0\x80"}'])
@example([b'{"y":1,"a":-0,"n":1e-300}'] * 3)
@example([b'{"y":1}}', b'{"y":1}\x00', b'{"y":1}{}', b"[]", b'"y"', b"1", b"null"])
def test_any_line_has_the_features_of_the_parsed_event_or_is_refused(lines: list[bytes]) -> None:
    check(lines)


@settings(max_examples=settings().max_examples * 2)
@given(whole_events, st.lists(whole_events, max_size=2), st.lists(st.integers(0, 2), min_size=4, max_size=12))
def test_what_was_scanned_before_alters_nothing(first: bytes, others: list[bytes], order: list[int]) -> None:
    shapes = [first, *others]
    check([shapes[at % len(shapes)] for at in order])


@given(whole_events, st.data())
def test_a_stream_of_one_shape_is_read_as_each_event_alone(event: bytes, data: st.DataObject) -> None:
    broken = json_lines.broken(st.just(event))
    check([event, event, event, data.draw(broken), event, data.draw(broken), event, event])


@pytest.mark.parametrize(("levels", "accepted"), [(31, True), (32, False), (100_000, False)])
def test_depth_is_bounded(levels: int, accepted: bool) -> None:
    event = b'{"y":1,"unused":' + b"[" * levels + b"]" * levels + b"}"
    scan = PLAN.scan([event], [0])
    assert [refusal.reason for refusal in scan.refused] == ([] if accepted else ["too_deep"])


def test_size_is_bounded_and_the_next_event_of_the_record_is_learned() -> None:
    def event(size: int) -> bytes:
        return b'{"y":1,"unused":"' + b"x" * (size - 19) + b'"}'

    limit = 1 << 20
    scan = PLAN.scan([event(limit) + b"\n" + event(limit + 1) + b"\n" + event(100)], [0])
    assert [(refusal.reason, refusal.index) for refusal in scan.refused] == [("too_large", 1)]
    assert (scan.refused[0].start, scan.refused[0].end) == (limit + 1, 2 * limit + 2)
    assert scan.events == 2
