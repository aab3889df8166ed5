"""Learners that share weights learn what one alone learns: nothing is lost, doubled or mixed."""

from __future__ import annotations

import numpy as np

from stream_ml._native import Learner, Plan
from stream_ml.sharing.rows import PACKED, RESERVED_IDS
from tests.clicks import event
from tests.unit.sharing.rig import Rig


def rows_of(rig: Rig) -> dict[int, tuple[float, float]]:
    """Return all rows of features in the shards."""
    found: dict[int, tuple[float, float]] = {}
    for shard in range(rig.shards.count):
        cursor = 0
        while True:
            page = rig.shards.page(shard, cursor, 1000)
            for id, (z, n) in zip(page.rows.ids.tolist(), page.rows.values.tolist(), strict=True):
                if id not in RESERVED_IDS:
                    found[id] = (z, n)
            cursor = page.cursor
            if not cursor:
                break
    return found


def alone(rig: Rig, events: list[bytes]) -> Learner:
    """Return a learner that has learned *events* by itself."""
    learner = Learner(Plan(rig.model.plan_bytes))
    learner.learn([(0, events, [0] * len(events))])
    return learner


def test_one_learner_and_one_partition_learn_what_memory_does(rig: Rig) -> None:
    events = [event(number) for number in range(700)]
    rig.send(events)
    life = rig.life()
    life.wait_until(rig.all_pushed)
    life.end()
    learner, rows = alone(rig, events), rows_of(rig)
    assert len(rows) == learner.digest()["rows"] > 100
    ids = np.array(sorted(rows), np.uint64)
    expected = np.frombuffer(learner.lookup(ids.tobytes()), PACKED)["values"]
    found = np.array([rows[id] for id in ids.tolist()], np.float32)
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4)
