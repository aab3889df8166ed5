from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream_ml._native import Learner, Plan
from stream_ml.drift.evaluation import REST, Evaluation, Tally, bin_log_odds, read
from stream_ml.drift.monitor import Monitor, Rules
from stream_ml.errors import InvalidRecord
from stream_ml.features import compile_model
from tests.evaluations import Stream, said

MODEL = """
name = "m"
label = "y"
served = "s"
[features]
a = "a"
[learner]
evaluate_every = 3
"""


def test_what_the_learner_writes_is_read() -> None:
    learner = Learner(Plan(compile_model(MODEL).plan_bytes))
    events = [b'{"y":1,"a":"x","s":0.25}', b'{"y":0,"a":"x"}', b'{"y":0,"a":"y","s":0.5}']
    (closed,) = learner.learn([(0, events, [-1] * 3)]).evaluations
    evaluation = read(closed)
    assert (evaluation.index, evaluation.learned_from, evaluation.learned_to) == (0, 0, 3)
    whole = evaluation.whole.progressive
    assert (whole.examples, whole.label_sum, whole.importance_sum) == (3, 1.0, 3.0)
    assert whole.positives.sum() == 1
    assert evaluation.whole.served is not None
    assert evaluation.whole.served.examples == 2
    assert evaluation.whole.served.prediction_sum == 0.75
    assert evaluation.watermark_us is None


def test_a_read_evaluation_is_the_one_that_was_written() -> None:
    (closed,) = Stream(1, segments=3).evaluations(1)
    again = read(orjson.dumps(said(closed)))
    assert orjson.dumps(said(again)) == orjson.dumps(said(closed))


def test_what_format_1_does_not_have_is_unknown() -> None:
    (closed,) = Stream(1).evaluations(1)
    new = {"features", "unseen", "missing", "segments"}
    old = {name: value for name, value in said(closed).items() if name not in new}
    evaluation = read(orjson.dumps({**old, "format": 1}))
    assert evaluation.segments == {}
    assert (evaluation.features, evaluation.unseen, evaluation.missing) == (None, None, None)


def test_the_rest_of_the_segments_has_a_name() -> None:
    (closed,) = Stream(1, segments=1).evaluations(1)
    written = said(closed)
    written["segments"][0]["segment"] = None
    assert set(read(orjson.dumps(written)).segments) == {REST}


@pytest.mark.parametrize("value", [b"", b"{}", b"[1]", b'{"format":3}', b'{"format":2,"index":0}'])
def test_what_is_no_evaluation_is_refused(value: bytes) -> None:
    with pytest.raises(InvalidRecord):
        read(value)


def written(at: int = 60, /, **other: object) -> dict[str, Any]:
    """What a learner writes, but for some of it."""
    closed = [*Stream(1, segments=2).evaluations(at + 1)][-1]
    return {**said(closed), **other}


HALF = {"positives": [0.0] * 256, "negatives": [0.0] * 256}
SEGMENT = written(0)["segments"][0]


@pytest.mark.parametrize(
    ("other", "why"),
    [
        ({"format": 3}, "of format 3; known are"),
        ({"index": 10**15}, "begins at 60000"),
        ({"index": -60}, "no count"),
        ({"index": True}, "no count"),
        ({"learned_to": 0}, "were learned"),
        ({"learned_to": 60_999}, "1000 examples, and 999 were learned"),
        ({"learned_from": 61_000, "examples": 0}, "0 were learned"),
        ({"learned_from": "60000"}, "no count"),
        ({"examples": 999.5}, "no count"),
        ({"watermark_us": "soon"}, "no count"),
        ({"features": "many"}, "no count"),
        ({"unseen": -1}, "no count"),
        ({"missing": {"a": "x"}}, "no count"),
        ({"missing": {f"slot{each}": 1 for each in range(257)}}, "257 slots"),
        ({"missing": [1]}, "not an evaluation"),
        ({"importance_sum": -1.0}, "negative"),
        ({"label_sum": 1e308}, "beyond any event's"),
        ({"loss_sum": None}, "not an evaluation"),
        ({"label_sum": 900.0}, "of other examples"),
        ({"positives": [0.0]}, "of one length"),
        (HALF, "no histograms of 512 bins"),
        ({"positives": [-1.0] * 512}, "no histograms of 512 bins"),
        ({"positives": [None] * 512}, "no histograms of 512 bins"),
        ({"served": {**written(0), **HALF}}, "no histograms of 512 bins"),
        ({"segments": 5}, "not an evaluation"),
        ({"segments": [{"segment": "a"}]}, "not an evaluation"),
        ({"segments": [{**SEGMENT, **HALF}]}, "no histograms of 64 bins"),
        ({"segments": [{**SEGMENT, "segment": 7}]}, "7 is no segment"),
        ({"segments": [{**SEGMENT, "segment": "x" * 65}]}, "is no segment"),
        ({"segments": [SEGMENT, SEGMENT]}, "there twice"),
        ({"segments": [{**SEGMENT, "segment": str(each)} for each in range(34)]}, "34 segments"),
    ],
)
def test_what_a_learner_would_not_write_is_refused(other: dict[str, object], why: str) -> None:
    read(orjson.dumps(written()))
    with pytest.raises(InvalidRecord, match=why):
        read(orjson.dumps(written(**other)))


RULES = Rules(warm_up=0)
NUMBERS: st.SearchStrategy[object] = st.one_of(
    st.sampled_from([0, 1, -1, 0.0, -0.0, 5e-324, 1e-40, 1e300, 2**63, -(2**62), None, "1", True, [], {}]),
    st.floats(),
    st.integers(-(2**63), 2**64 - 1),
)
PLACES = [
    *((name,) for name in written(0) if name not in ("format", "segments", "positives", "negatives")),
    *(("positives", each) for each in (0, 200, 511)),
    *(("segments", each, name) for each in (0, 1) for name in SEGMENT if not name.endswith("tives")),
]


@cache
def half_way() -> tuple[bytes, list[Evaluation]]:
    """A monitor's state, and the evaluations that come next."""
    monitor, closed = Monitor(RULES), [*Stream(1, segments=2).evaluations(32)]
    for evaluation in closed[:26]:
        monitor.observe(evaluation)
    return orjson.dumps(monitor.state()), closed[26:]


@given(st.lists(st.tuples(st.sampled_from(PLACES), NUMBERS), min_size=1, max_size=3))
def test_what_is_read_can_be_watched(changes: list[tuple[tuple[Any, ...], object]]) -> None:
    state, (first, *rest) = half_way()
    changed: Any = said(first)
    for (*path, last), value in changes:
        place = changed
        for step in path:
            place = place[step]
        place[last] = value
    try:
        evaluation = read(orjson.dumps(changed))
    except InvalidRecord:
        evaluation = first
    monitor = Monitor.restored(RULES, orjson.loads(state))
    monitor.observe(evaluation)
    again = Monitor.restored(RULES, orjson.loads(orjson.dumps(monitor.state())))
    for evaluation in rest:
        assert again.observe(evaluation) == monitor.observe(evaluation)


def test_no_two_segments_are_watched_as_one() -> None:
    names = ["*", None, "", "**", "a*"]
    evaluation = read(orjson.dumps(written(segments=[{**SEGMENT, "segment": each} for each in names])))
    assert [*evaluation.segments] == ["***", REST, "**", "****", "a*"]


def test_tallies_add_up() -> None:
    whole, other = (next(Stream(seed).evaluations(1)).whole.progressive for seed in (1, 2))
    both = whole + other
    assert both.examples == 2_000
    assert both.loss_sum == whole.loss_sum + other.loss_sum
    np.testing.assert_array_equal(both.positives, whole.positives + other.positives)
    assert Tally.of(both.said()).said() == both.said()


def test_bins_are_where_the_learner_has_them() -> None:
    assert bin_log_odds(512)[256] == 1 / 32
    assert bin_log_odds(64)[32] == 1 / 4
