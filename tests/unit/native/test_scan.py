"""Plans and scans as Python sees them: columns, explanations, and where and why events were refused."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
import xxhash

from stream_ml._native import MATH_VERSION, Plan, checksum

SOURCE: dict[str, Any] = {
    "format": 1,
    "math": MATH_VERSION,
    "name": "m",
    "fields": [["y"], ["at"], ["id"], ["w"], ["p"], ["a"], ["n"]],
    "event_id": ["text", 2],
    "timestamp": ["time", 1],
    "label": ["number", 0],
    "importance": ["number", 3],
    "served": ["number", 4],
    "learn_after": "event",
    "unlabelled": "refuse",
    "max_skew_seconds": 60.0,
    "duplicate_window": 0,
    "evaluate_every": 10,
    "slots": [
        {"name": "a", "kind": "category", "seed": "00000000000000aa", "expr": ["text", 5]},
        {"name": "n", "kind": "number", "seed": "00000000000000bb", "expr": ["number", 6]},
    ],
    "learner": {
        "loss": "logistic",
        "optimizer": "ftrl",
        "alpha": 0.1,
        "beta": 1.0,
        "l1": 0.0,
        "l2": 0.0,
        "base_rate": None,
        "base_rate_events": 10,
    },
}
WHOLE = {"y": 1, "at": 30, "id": "e1", "w": 2, "p": 0.25, "a": "x", "n": 2.5}


def plan_of(**changes: Any) -> Plan:
    return Plan(json.dumps({**SOURCE, **changes}).encode())


def event(**changes: Any) -> bytes:
    return json.dumps({**WHOLE, **changes}).encode()


def test_a_scan_has_one_row_for_each_event_and_its_features_in_slot_order() -> None:
    scan = plan_of().scan([event() + b"\n" + event(n=None, id="e2"), None, event(a="z", y=0)], [0, 0, 0])
    assert (scan.events, scan.empty, scan.skipped, scan.refused) == (3, 1, 0, [])
    assert np.frombuffer(scan.record, np.uint32).tolist() == [0, 0, 2]
    assert np.frombuffer(scan.index, np.uint32).tolist() == [0, 1, 0]
    assert np.frombuffer(scan.label, np.float32).tolist() == [1, 1, 0]
    assert np.frombuffer(scan.importance, np.float32).tolist() == [2, 2, 2]
    assert np.frombuffer(scan.served, np.float32).tolist() == [0.25, 0.25, 0.25]
    assert np.frombuffer(scan.timestamp_us, np.int64).tolist() == [30_000_000] * 3
    ids = [xxhash.xxh3_64_intdigest(id) for id in (b"e1", b"e2", b"e1")]
    assert np.frombuffer(scan.event_id, np.uint64).tolist() == ids
    assert np.frombuffer(scan.offsets, np.uint32).tolist() == [0, 2, 3, 5]
    x, z, n = (
        xxhash.xxh3_64_intdigest(text, seed) for text, seed in [(b"x", 0xAA), (b"z", 0xAA), (b"", 0xBB)]
    )
    assert np.frombuffer(scan.ids, np.uint64).tolist() == [x, n, x, z, n]
    assert np.frombuffer(scan.values, np.float32).tolist() == [1, 2.5, 1, 1, 2.5]


@pytest.mark.parametrize(
    ("changes", "reason", "part"),
    [
        ({"y": None}, "no_label", "label"),
        ({"y": 2}, "out_of_range", "from 0 to 1"),
        ({"y": "1"}, "wrong_type", "field y: expected a number, found a text: 1"),
        ({"at": None}, "no_timestamp", "timestamp"),
        ({"at": 61}, "future_timestamp", "1 s beyond"),
        ({"at": "yesterday"}, "wrong_type", "ISO 8601"),
        ({"at": 1e12}, "out_of_range", "years 0 to 9999"),
        ({"id": None}, "no_event_id", "event id"),
        ({"id": [1]}, "wrong_type", "found an array"),
        ({"w": 0}, "out_of_range", "importance"),
        ({"w": 1000.5}, "out_of_range", "importance"),
        ({"p": 1.01}, "out_of_range", "prediction"),
        ({"a": {}}, "wrong_type", "found an object"),
        ({"n": "2"}, "wrong_type", "expected a number"),
        ({"n": True}, "wrong_type", "true or false"),
        ({"n": 1_000_000.5}, "out_of_range", "from -1e6 to 1e6"),
    ],
)
def test_each_rule_refuses_with_its_code_and_detail(changes: dict[str, Any], reason: str, part: str) -> None:
    scan = plan_of().scan([event(**changes)], [0])
    (refusal,) = scan.refused
    assert refusal.reason == reason
    assert part in refusal.detail
    assert (scan.events, scan.ids) == (0, b"")


def test_a_refusal_says_which_bytes_of_which_record() -> None:
    records = [event(), b" " + event() + b"\r\n\n  {broken} \r\n" + event()]
    (refusal,) = plan_of().scan(records, [0, 0]).refused
    assert (refusal.record, refusal.index, refusal.partition) == (1, 1, 0)
    assert records[1][refusal.start : refusal.end] == b"{broken}"
    assert "byte 1: expected a key" in refusal.detail


def test_the_timestamp_is_held_against_that_of_its_own_record() -> None:
    scan = plan_of().scan([event(at=100), event(at=100), event(at=100)], [0, 40_000, -1])
    assert [(refusal.record, refusal.reason) for refusal in scan.refused] == [(0, "future_timestamp")]


def test_unlabelled_events_are_skipped_where_the_model_says_so() -> None:
    scan = plan_of(unlabelled="skip").scan([event(y=None, n="wrong"), event()], [0, 0])
    assert (scan.events, scan.skipped, scan.refused) == (1, 1, [])


def test_every_record_needs_its_timestamp() -> None:
    with pytest.raises(ValueError, match="2 records, 1 timestamps"):
        plan_of().scan([event(), event()], [0])


def test_an_explanation_names_slots_and_values_and_needs_no_label() -> None:
    explained = plan_of().explain(b'{"a":"x","n":2.50,"at":"1970-01-01T00:00:01Z"}')
    assert [(slot, text, x) for slot, text, _, x in explained["features"]] == [
        ("a", "x", 1),
        ("n", "2.5", 2.5),
    ]
    assert explained["timestamp_us"] == 1_000_000
    assert [explained[name] for name in ("label", "event_id", "served", "importance")] == [
        None,
        None,
        None,
        1.0,
    ]


@pytest.mark.parametrize(
    ("text", "reason"), [(b'{"n":"x"}', "wrong_type"), (b"", "invalid_json"), (b"{}\n{}", "invalid_json")]
)
def test_an_explanation_of_what_is_not_one_good_event_is_refused(text: bytes, reason: str) -> None:
    with pytest.raises(ValueError, match=r".*") as raised:
        plan_of().explain(text)
    assert raised.value.args[0] == reason
    assert isinstance(raised.value.args[1], str)


def test_a_fingerprint_is_that_of_the_bytes() -> None:
    source = json.dumps(SOURCE).encode()
    assert Plan(source).fingerprint == xxhash.xxh3_128_hexdigest(source)
    assert Plan(source).source == source


@pytest.mark.parametrize(
    ("changes", "part"),
    [
        ({"format": 2}, "format 2"),
        ({"math": MATH_VERSION + 1}, "math"),
        ({"unknown": 1}, "unknown"),
        ({"label": ["number", 7]}, "label: number: no field 7"),
        ({"label": ["text", 0]}, "label: a text where a number"),
        ({"timestamp": ["number", 1]}, "timestamp: a number where a time"),
        ({"fields": [["y"], ["y"]]}, "repeats a path"),
        ({"fields": [[]]}, "a path has 1 to 32 keys"),
        ({"evaluate_every": 0}, "evaluate_every"),
        ({"max_skew_seconds": -1.0}, "max_skew_seconds"),
        ({"learner": {**SOURCE["learner"], "alpha": 0.0}}, "alpha"),
        ({"slots": [{**SOURCE["slots"][0], "seed": "aa"}]}, 'slot "a": seed'),
        ({"slots": [{**SOURCE["slots"][0], "expr": ["number", 6]}]}, 'slot "a": a number where a'),
        ({"slots": [{**SOURCE["slots"][0], "expr": ["nonsense"]}]}, "no such operation: nonsense"),
    ],
)
def test_a_plan_that_cannot_run_is_refused_with_the_place(changes: dict[str, Any], part: str) -> None:
    with pytest.raises(ValueError, match="not a plan this release can run") as raised:
        plan_of(**changes)
    assert part in str(raised.value)


def test_a_plan_of_broken_json_is_refused() -> None:
    for text in (b"", b"{", b"[]", b"\xff", b"[" * 10_000):
        with pytest.raises(ValueError, match="not a plan"):
            Plan(text)


def test_a_checksum_covers_borders_and_tombstones() -> None:
    records = [b"ab", None, b"", b"c"]
    joined = b"".join(b"\xff\xff\xff\xff" if r is None else len(r).to_bytes(4, "little") + r for r in records)
    assert checksum(records) == xxhash.xxh3_64_intdigest(joined)
