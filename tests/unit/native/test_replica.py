"""The replica: it scores as the learner does, takes a score apart, and takes a delta whole or not at all."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest

from stream_ml._native import Cut, Learner, Plan, Replica
from stream_ml.features import compile_model
from tests.clicks import MODEL, events

LEARNERS = [
    ("logistic", "ftrl"),
    ("logistic", "adagrad"),
    ("logistic", "sgd"),
    ("squared", "ftrl"),
    ("poisson", "ftrl"),
]
QUESTIONS = [
    json.dumps({"user": f"u{number % 13}", "page": f"p{number}", "price": number % 5 + 0.5}).encode()
    for number in range(40)
]


def plan_of(model: str = MODEL) -> Plan:
    return Plan(compile_model(model).plan_bytes)


def learned(plan: Plan, count: int = 2_000) -> Learner:
    learner = Learner(plan)
    lines = events(count)
    learner.learn([(0, lines, [0] * len(lines))])
    return learner


def put(replica: Replica, cut: Cut, step: int = 1, learned_at: float = 9.5) -> None:
    replica.apply(cut.rows, cut.removed, cut.score_state, step, learned_at)


def served(plan: Plan, learner: Learner) -> Replica:
    replica = Replica(plan)
    put(replica, learner.cut())
    return replica


@pytest.mark.parametrize(("loss", "optimizer"), LEARNERS)
def test_contributions_sum_to_the_log_odds_and_name_the_slots(loss: str, optimizer: str) -> None:
    plan = plan_of(MODEL.replace("[learner]", f'[learner]\nloss = "{loss}"\noptimizer = "{optimizer}"'))
    for answer in served(plan, learned(plan)).score(QUESTIONS, contributions=True):
        slots, shares = zip(*answer["contributions"], strict=True)
        assert slots == ("user", "page", "both", "price", "bias")
        assert math.fsum(shares) == pytest.approx(answer["log_odds"], abs=1e-5)


@pytest.mark.parametrize(
    ("loss", "link"),
    [
        ("logistic", lambda x: 1 / (1 + math.exp(-x))),
        ("squared", lambda x: x),
        ("poisson", math.exp),
    ],
    ids=["logistic", "squared", "poisson"],
)
def test_a_prediction_is_the_losss_link_of_the_log_odds(loss: str, link: Any) -> None:
    plan = plan_of(MODEL.replace("[learner]", f'[learner]\nloss = "{loss}"'))
    answers = served(plan, learned(plan)).score(QUESTIONS)
    assert len({answer["log_odds"] for answer in answers}) > 10
    for answer in answers:
        assert answer["prediction"] == pytest.approx(link(answer["log_odds"]), rel=1e-5)


def test_the_replica_has_the_learners_rows_bit_by_bit() -> None:
    plan = plan_of()
    learner = learned(plan)
    replica = served(plan, learner)
    ours, theirs = replica.digest(), learner.digest()
    assert (ours["rows"], ours["rows_hash"]) == (theirs["rows"], theirs["rows_hash"])
    assert replica.rows == ours["rows"] > 100


@pytest.mark.parametrize("size", [1, 7, 500, 2_000])
def test_deltas_of_any_size_end_in_the_same_rows_and_scores(size: int) -> None:
    plan, lines = plan_of(), events(2_000)
    learner, replica = Learner(plan), Replica(plan)
    for step, at in enumerate(range(0, len(lines), size), start=1):
        part = lines[at : at + size]
        learner.learn([(0, part, [0] * len(part))])
        put(replica, learner.cut(), step)
    whole = served(plan, learned(plan))
    assert replica.digest()["rows_hash"] == whole.digest()["rows_hash"]
    assert replica.score(QUESTIONS) == whole.score(QUESTIONS)


def test_an_event_that_cannot_be_read_is_answered_in_its_own_place() -> None:
    plan = plan_of()
    replica = served(plan, learned(plan))
    good, broken, other = replica.score([QUESTIONS[0], b'{"user": ', QUESTIONS[1]])
    assert [good, other] == replica.score(QUESTIONS[:2])
    reason, detail = broken["error"]
    assert len(reason) > 0 < len(detail)
    assert "prediction" not in broken


@pytest.mark.parametrize("uncertainty", [False, True])
@pytest.mark.parametrize("contributions", [False, True])
def test_an_answer_holds_what_was_asked_for(uncertainty: bool, contributions: bool) -> None:
    plan = plan_of()
    (answer,) = served(plan, learned(plan)).score(
        QUESTIONS[:1], uncertainty=uncertainty, contributions=contributions
    )
    assert ("uncertainty" in answer, "contributions" in answer) == (uncertainty, contributions)


def test_what_was_seen_often_is_less_uncertain_than_what_never_was() -> None:
    plan = plan_of()
    known, unknown = served(plan, learned(plan)).score(
        [b'{"user": "u1", "page": "p1"}', b'{"user": "nobody", "page": "nowhere"}'], uncertainty=True
    )
    assert 0 < known["uncertainty"] < unknown["uncertainty"]


def test_an_unknown_event_is_scored_by_the_bias_alone() -> None:
    plan = plan_of()
    (answer,) = served(plan, learned(plan)).score([b"{}"], contributions=True)
    assert answer["contributions"] == [("bias", pytest.approx(answer["log_odds"]))]


def test_a_removed_row_is_gone_and_an_id_that_is_no_row_is_none() -> None:
    plan = plan_of()
    replica = served(plan, learned(plan))
    user = next(id for slot, _, id, _ in plan.explain(QUESTIONS[1])["features"] if slot == "user")
    rows = replica.rows
    for _ in range(2):
        replica.load_removed(user.to_bytes(8, "little"))
        assert replica.rows == rows - 1
    (answer,) = replica.score(QUESTIONS[1:2], contributions=True)
    assert dict(answer["contributions"]).get("user", 0) == 0


@pytest.mark.parametrize("part", ["rows", "removed", "score_state"])
def test_a_delta_with_a_damaged_part_is_refused_whole(part: str) -> None:
    plan = plan_of()
    replica, cut = served(plan, learned(plan, 200)), learned(plan).cut()
    before, answers = replica.digest(), replica.score(QUESTIONS)
    parts = {"rows": cut.rows, "removed": cut.removed, "score_state": cut.score_state}
    parts[part] = parts[part][:-1] if parts[part] else b"\1"
    with pytest.raises(ValueError, match=r"\w"):
        replica.apply(*parts.values(), 2, 10.0)
    assert replica.digest() == before
    assert replica.score(QUESTIONS) == answers
    assert (replica.step, replica.learned_at) == (1, 9.5)


def test_a_heartbeat_moves_the_time_and_nothing_else() -> None:
    plan = plan_of()
    replica = served(plan, learned(plan))
    before = replica.digest()
    replica.confirm(11.25)
    assert (replica.learned_at, replica.step, replica.digest()) == (11.25, 1, before)


def test_a_replica_says_whose_it_is() -> None:
    plan = plan_of()
    assert Replica(plan).fingerprint == plan.fingerprint
    assert (Replica(plan).rows, Replica(plan).step) == (0, 0)
