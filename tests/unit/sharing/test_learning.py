"""Learners that share weights learn what one alone learns: nothing is lost, doubled or mixed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt

from stream_ml._native import Learner, Plan
from stream_ml.sharing.rows import PACKED, RESERVED_IDS
from stream_ml.weights.shards import Shards
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


def weights(rows: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Return the weights of rows (z, n) by the clicks' own alpha 0.3, beta 1, l1 0.05."""
    z, n = rows[:, 0], rows[:, 1]
    shrunk = np.sign(z) * np.maximum(np.abs(z) - 0.05, 0)
    found: npt.NDArray[np.float32] = -shrunk / ((1 + np.sqrt(n)) / 0.3)
    return found


def alone(rig: Rig, events: list[bytes]) -> Learner:
    """Return a learner that has learned *events* by itself."""
    learner = Learner(Plan(rig.model.plan_bytes))
    learner.learn([(0, events, [0] * len(events))])
    return learner


def test_one_learner_and_one_partition_learn_what_memory_does(
    tmp_path: Path, new_shards: Callable[[int], Shards], rounds: Callable[[int, int], int]
) -> None:
    rig = Rig(tmp_path, new_shards=new_shards, overrides={"batch_max_records": 1_000})
    events = [event(number) for number in range(rounds(20_000, 200_000))]
    rig.send(events)
    life = rig.life()
    life.wait_until(rig.all_pushed, 300)
    life.end()
    learner, rows = alone(rig, events), rows_of(rig)
    assert len(rows) == learner.digest()["rows"] > 100
    ids = np.array(sorted(rows), np.uint64)
    expected = np.frombuffer(learner.lookup(ids.tobytes()), PACKED)["values"]
    found = np.array([rows[id] for id in ids.tolist()], np.float32)
    np.testing.assert_allclose(weights(found), weights(expected), rtol=1e-4, atol=1e-4)
