"""Row limit, admission and expiry: the same rows for any cut of the work and any restart."""

from collections.abc import Sequence

import pytest

from stream_ml._native import Learner, Plan, Replica
from stream_ml.features import compile_model

MODEL = """
name = "aging"
label = "y"
timestamp = "t"
[features]
user = "user"
word = "words(text)"
[learner]
"""
EVENTS = [
    b'{"y":%d,"t":%d,"user":%d,"text":"w%d w%d"}' % (at % 3 == 0, at * 10, at % 50, at, at // 7)
    for at in range(6_000)
]


def plan_with(settings: str) -> Plan:
    return Plan(compile_model(MODEL + settings).plan_bytes)


def learn(learner: Learner, events: Sequence[bytes], together: int = 500) -> Learner:
    for at in range(0, len(events), together):
        values = events[at : at + together]
        assert learner.learn([(0, values, [-1] * len(values))]).learned == len(values)
    return learner


def restored(plan: Plan, learner: Learner) -> Learner:
    """Return what a snapshot of *learner* brings back."""
    learner.begin_image()
    pieces = []
    while piece := learner.take_image(100):
        pieces.append(piece)
    seal = learner.seal_image()
    again = Learner(plan, expected_rows=50_000)
    for rows in (*pieces, seal.rows):
        again.load_rows(rows)
    again.load_removed(seal.removed)
    again.load_state(seal.state)
    return again


def test_a_full_table_refuses_and_counts_what_needs_one_row_more() -> None:
    learner = learn(Learner(plan_with("max_rows = 1000")), EVENTS)
    metrics = learner.metrics()
    assert metrics["rows"] == 1_000
    assert metrics["rows_refused"] == 5_050
    assert metrics["rows_not_admitted"] == metrics["rows_expired"] == 0


def test_admission_keeps_out_most_of_what_is_seen_once_and_lets_in_what_comes_again() -> None:
    everything = learn(Learner(plan_with("")), EVENTS).metrics()
    admitted = learn(Learner(plan_with("admission = 0.2")), EVENTS)
    metrics = admitted.metrics()
    assert 0.15 < metrics["rows"] / everything["rows"] < 0.5
    assert metrics["rows_not_admitted"] > metrics["rows"]
    users = [Plan.explain(plan_with(""), event)["features"][0] for event in EVENTS[:50]]
    rows = admitted.lookup(b"".join(id.to_bytes(8, "little") for _, _, id, _ in users))
    assert all(rows[at + 12 : at + 16] != bytes(4) for at in range(0, len(rows), 16)), (
        "each was seen 120 times"
    )


def test_what_was_not_seen_for_the_period_loses_its_row() -> None:
    metrics = learn(Learner(plan_with("expire_after_seconds = 10000")), EVENTS).metrics()
    everything = learn(Learner(plan_with("")), EVENTS).metrics()
    assert metrics["rows_expired"] >= everything["rows"] - metrics["rows"] > 3_000
    # A row outlives its last event by two periods at most, but for those that share a bit.
    assert metrics["rows"] < 50 + (2_000 + 64) * 8 / 7 + 200


@pytest.mark.parametrize(
    "settings",
    [
        "max_rows = 900\nexpire_after_seconds = 7000",
        "admission = 0.3",
        "admission = 0.5\nexpire_after_seconds = 5000\nexpire_below = 0.01\nl1 = 0.05",
    ],
)
def test_a_learner_that_was_restored_again_and_again_has_the_same_bits(settings: str) -> None:
    plan = plan_with(settings)
    straight = learn(Learner(plan), EVENTS, together=6_000)
    broken = Learner(plan, scan_threads=0)
    for at in range(0, len(EVENTS), 379):
        broken = restored(plan, learn(broken, EVENTS[at : at + 379], together=41))
    assert broken.digest() == straight.digest()


def test_a_replica_that_follows_the_deltas_loses_the_same_rows() -> None:
    plan = plan_with("expire_after_seconds = 5000\nadmission = 0.7")
    learner, replica = Learner(plan), Replica(plan)
    for step, at in enumerate(range(0, len(EVENTS), 250), 1):
        learn(learner, EVENTS[at : at + 250])
        cut = learner.cut()
        replica.apply(cut.rows, cut.removed, cut.score_state, step, 0.0)
    assert learner.metrics()["rows_expired"] > 1_000
    assert (replica.digest()["rows"], replica.digest()["rows_hash"]) == (
        learner.digest()["rows"],
        learner.digest()["rows_hash"],
    )


def test_an_image_taken_while_rows_expire_is_exact() -> None:
    plan = plan_with("expire_after_seconds = 5000")
    learner = Learner(plan)
    learner.begin_image()
    pieces = []
    for at in range(0, len(EVENTS), 250):
        learn(learner, EVENTS[at : at + 250])
        learner.cut()
        pieces.append(learner.take_image(300))
    seal = learner.seal_image()
    again = Learner(plan)
    for rows in (*pieces, seal.rows):
        again.load_rows(rows)
    again.load_removed(seal.removed)
    again.load_state(seal.state)
    assert len(seal.removed) > 0
    assert again.digest() == learner.digest()
    assert (seal.total_rows, seal.rows_hash) == (again.digest()["rows"], again.digest()["rows_hash"])
