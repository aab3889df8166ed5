"""The same bytes give the same features in learner, predictor and explanation, whatever the event."""

import json
import math
import random
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream_ml import _native
from stream_ml.features import compile_model

MODEL = """
name = "skew"
event_id = "id"
timestamp = "at"
label = "label"

[features]
user = "user"
page = "lower(page)"
both = "cross(user, page)"
words = "words(page)"
grams = "cross(ngrams(page, 2), bucket(price, 1, 2.5, 100))"
price = "log1p(price)"
ratio = "price / visits"
hour = "hour(at)"
visits = "log_bucket(visits, 2)"
nested = "context.device"
known = "missing(user)"

[learner]
alpha = 0.4
beta = 0.75
l1 = 0.1
l2 = 0.3
"""
PLAN = _native.Plan(compile_model(MODEL).plan_bytes)
ALPHA, BETA, L1, L2 = 0.4, 0.75, 0.1, 0.3
FOR_LEARNING_ALONE = {"no_label", "no_event_id", "no_timestamp", "future_timestamp"}

scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(10**7), 10**7),
    st.floats(allow_nan=False, allow_infinity=False, width=64),
    st.text(max_size=12),
    st.sampled_from(["A b", "a  B", "é", "\U0001f600 x", "1", "1.0", "true", ""]),
)
wrong = st.one_of(st.lists(scalars, max_size=2), st.dictionaries(st.text(max_size=3), scalars, max_size=2))
times = st.one_of(st.integers(0, 2_000_000_000), st.sampled_from(["2026-11-23T10:20:30Z", "2026-11-23"]))


def fields(value: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    optional = {
        "user": value,
        "page": st.one_of(st.text(max_size=20), st.none()),
        "price": st.one_of(st.floats(-10, 1e5), st.integers(0, 1000)),
        "visits": st.one_of(st.integers(-5, 5), st.none()),
        "context": st.one_of(st.fixed_dictionaries({"device": value}), st.none()),
        "other": st.one_of(scalars, wrong),
    }
    required = {"id": st.text(min_size=1, max_size=5), "label": st.sampled_from([0, 1]), "at": times}
    return st.fixed_dictionaries(required, optional=optional)


@st.composite
def encoded(draw: st.DrawFn, value: st.SearchStrategy[Any] = scalars) -> bytes:
    """One event in any of the ways that JSON allows to write it."""
    items = list(draw(fields(value)).items())
    random.Random(draw(st.integers(0, 1000))).shuffle(items)
    ascii_only = draw(st.booleans())
    separators = draw(st.sampled_from([(",", ":"), (", ", " : "), (" ,", "\t:")]))
    return json.dumps(dict(items), ensure_ascii=ascii_only, separators=separators).encode("utf-8", "replace")


def row(id: int) -> tuple[float, float]:
    """Weights that tell any two features apart."""
    dice = random.Random(id)
    return float(np.float32(dice.uniform(-3, 3))), float(np.float32(dice.uniform(0, 9)))


def weight(id: int) -> float:
    """McMahan et al. 2013, Algorithm 1."""
    z, n = row(id)
    return 0.0 if abs(z) <= L1 else -(z - math.copysign(L1, z)) / ((BETA + math.sqrt(n)) / ALPHA + L2)


def replica_of(ids: list[int]) -> _native.Replica:
    made = _native.Replica(PLAN)
    rows = np.array([(id, *row(id)) for id in set(ids)], dtype=[("id", "<u8"), ("z", "<f4"), ("n", "<f4")])
    made.load_rows(rows.tobytes())
    return made


@given(encoded())
def test_learner_predictor_and_explanation_see_the_same_features(event: bytes) -> None:
    scan = PLAN.scan([event], [-1])
    ids, values = np.frombuffer(scan.ids, np.uint64).tolist(), np.frombuffer(scan.values, np.float32).tolist()
    served = replica_of(ids).score([event], uncertainty=True, contributions=True)[0]
    if scan.refused:
        reason = scan.refused[0].reason
        assert reason in FOR_LEARNING_ALONE or served["error"][0] == reason
        return
    explained = PLAN.explain(event)["features"]
    assert [(id, x) for _, _, id, x in explained] == list(zip(ids, values, strict=True))
    expected: dict[str, float] = {}
    for slot, _, id, x in explained:
        expected[slot] = expected.get(slot, 0.0) + weight(id) * x
    bias = served["contributions"][-1]
    assert bias[0] == "bias"
    assert dict(served["contributions"][:-1]) == pytest.approx(expected, rel=1e-4, abs=1e-5)
    total = bias[1] + sum(expected.values())
    assert served["log_odds"] == pytest.approx(total, rel=1e-4, abs=1e-4)
    rates = sum(abs(x) * ALPHA / (BETA + math.sqrt(row(id)[1])) for id, x in zip(ids, values, strict=True))
    assert served["uncertainty"] == pytest.approx(rates, rel=1e-5, abs=1e-6)


@given(encoded(st.one_of(scalars, wrong)))
def test_what_the_learner_refuses_for_its_features_the_predictor_refuses_for_the_same_reason(
    event: bytes,
) -> None:
    refused = PLAN.scan([event], [-1]).refused
    served = _native.Replica(PLAN).score([event])[0]
    reason = refused[0].reason if refused else None
    if reason not in FOR_LEARNING_ALONE:
        assert served.get("error", (None,))[0] == reason


@given(st.lists(encoded(), min_size=1, max_size=8))
def test_scores_do_not_depend_on_the_company_of_an_event(events: list[bytes]) -> None:
    scan = PLAN.scan(events, [-1] * len(events))
    replica = replica_of(np.frombuffer(scan.ids, np.uint64).tolist())
    together = replica.score(events, uncertainty=True, contributions=True)
    assert together == [replica.score([event], uncertainty=True, contributions=True)[0] for event in events]


@given(st.lists(encoded(), min_size=1, max_size=8))
def test_a_replay_learns_the_same_bits_and_a_replica_of_its_rows_scores_the_same(events: list[bytes]) -> None:
    learners = _native.Learner(PLAN), _native.Learner(PLAN, scan_threads=2)
    for learner in learners:
        learner.learn([(0, events, [-1] * len(events))])
    cuts = [learner.cut() for learner in learners]
    replicas = [_native.Replica(PLAN), _native.Replica(PLAN)]
    for replica, cut in zip(replicas, cuts, strict=True):
        replica.apply(cut.rows, cut.removed, cut.score_state, 1, 0.0)
        assert replica.digest()["rows_hash"] == learners[0].digest()["rows_hash"]
    assert replicas[0].score(events) == replicas[1].score(events)
