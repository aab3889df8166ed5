"""Learning with rows that lie elsewhere, through its Python face: arguments, states, what is served."""

from __future__ import annotations

from typing import cast

import numpy as np
import pytest

from stream_ml._native import Batch, Learner, PartitionLearner, Plan, Replica, blob_watermark, score_state
from stream_ml.features import compile_model
from tests.clicks import MODEL, event

PLAN = Plan(compile_model(MODEL).plan_bytes)
EVENTS: list[bytes | None] = [event(number) for number in range(300)]
SHARDS = 3


def learner() -> PartitionLearner:
    return PartitionLearner(PLAN, partition=0, shards=SHARDS)


def zeros(batch: Batch) -> list[bytes]:
    return [bytes(len(ids)) for ids in batch.ids]


def learned_from_nothing() -> tuple[PartitionLearner, list[tuple[bytes, bytes]]]:
    sharing = learner()
    batch = sharing.scan(EVENTS, [0] * len(EVENTS))
    return sharing, sharing.learn(batch, zeros(batch))[1]


def test_a_replica_of_the_rows_scores_as_one_of_a_learners_memory() -> None:
    memory = Learner(PLAN)
    memory.learn([(0, EVENTS, [0] * len(EVENTS))])
    cut = memory.cut()
    expected = Replica(PLAN)
    expected.apply(cut.rows, cut.removed, cut.score_state, 1, 0.0)

    sharing, additions = learned_from_nothing()
    rows = np.concatenate([np.frombuffer(ids, "<u8") for ids, _ in additions])
    values = np.concatenate([np.frombuffer(deltas, "<f4").reshape(-1, 2) for _, deltas in additions])
    together = np.empty(len(rows) - 3, [("id", "<u8"), ("values", "<f4", 2)])
    together["id"], together["values"] = rows[3:], values[3:]
    assert rows[:3].tolist() == [0, 1, 2]
    state = score_state(PLAN, values[:3].tobytes(), sharing.watermark_us)
    replica = Replica(PLAN)
    replica.apply(together.tobytes(), b"", state, 1, 0.0)
    wanted = [cast(bytes, each) for each in EVENTS[:50]]
    assert replica.score(wanted) == expected.score(wanted)
    assert replica.rows == expected.rows


def test_the_batch_tells_its_size() -> None:
    batch = learner().scan([EVENTS[0], None, b""], [0, 0, 0])
    assert (batch.records, batch.events, len(batch.ids)) == (3, 1, SHARDS)


def test_a_state_tells_its_watermark_and_a_damaged_one_is_refused() -> None:
    sharing, _ = learned_from_nothing()
    state = sharing.state()
    assert blob_watermark(state) == sharing.watermark_us
    other = learner()
    other.load_state(state)
    assert other.state() == state
    assert other.metrics()["learned"] == sharing.metrics()["learned"] > 200
    for damaged in (state[:-1], b"", state + b"x"):
        with pytest.raises(ValueError, match="partition's state"):
            other.load_state(damaged)


def test_rows_that_are_not_those_of_the_batch_are_refused_and_nothing_is_learned() -> None:
    sharing = learner()
    batch = sharing.scan(EVENTS, [0] * len(EVENTS))
    for rows in ([], zeros(batch)[:-1], [b"", *zeros(batch)[1:]], [zeros(batch)[0] + bytes(8), b"", b""]):
        with pytest.raises(ValueError, match="the batch wants"):
            sharing.learn(batch, rows)
    odd = [zeros(batch)[0][:-1], *zeros(batch)[1:]]
    not_finite = [np.full(len(batch.ids[0]) // 4, np.nan, "<f4").tobytes(), *zeros(batch)[1:]]
    for rows in (odd, not_finite):
        with pytest.raises(ValueError, match="float32"):
            sharing.learn(batch, rows)
    assert sharing.metrics()["records"] == 0
    with pytest.raises(ValueError, match="2 values, 1 timestamps"):
        sharing.scan(EVENTS[:2], [0])
    with pytest.raises(ValueError, match="2 values, 1 timestamps"):
        sharing.remember(EVENTS[:2], [0])
    with pytest.raises(ValueError, match="0 reserved rows"):
        score_state(PLAN, b"", 0)


def test_rows_that_expire_are_not_shared() -> None:
    text = MODEL.replace("[features]", 'timestamp = "at"\n[features]') + "expire_after_seconds = 60\n"
    plan = Plan(compile_model(text).plan_bytes)
    with pytest.raises(ValueError, match="do not expire"):
        PartitionLearner(plan, partition=0, shards=1)
    with pytest.raises(ValueError, match="one at least"):
        PartitionLearner(PLAN, partition=0, shards=0)
