from __future__ import annotations

import numpy as np
import orjson
import pytest

from stream_ml._native import Learner, Plan
from stream_ml.drift.evaluation import REST, Tally, bin_log_odds, read
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


def test_histograms_of_two_lengths_are_refused() -> None:
    (closed,) = Stream(1).evaluations(1)
    written = said(closed)
    written["negatives"] = written["negatives"][1:]
    with pytest.raises(InvalidRecord):
        read(orjson.dumps(written))


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
