"""Rows outside of a learner, as a test's stand-in for servers, and learning with them."""

from __future__ import annotations

import random
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from stream_ml._native import Batch, PartitionLearner, Plan
from stream_ml.features import compile_model
from tests.clicks import MODEL

COUNTING = MODEL.replace("[learner]", '[learner]\noptimizer = "counting"')
TIMED = MODEL.replace("[features]", 'timestamp = "at"\n\n[features]', 1)
BIAS, SUMS, EXAMPLES = range(3)

Record = bytes | None
Row = tuple[float, float]


def plan_of(model: str) -> Plan:
    return Plan(compile_model(model).plan_bytes)


def learner_of(model: str | Plan, *, shards: int = 3, scan_threads: int = 1) -> PartitionLearner:
    plan = plan_of(model) if isinstance(model, str) else model
    return PartitionLearner(plan, partition=5, shards=shards, scan_threads=scan_threads)


class Rows:
    """Rows of all shards, in float32, as servers add them."""

    def __init__(self) -> None:
        self.rows: dict[int, Row] = {}

    def pull(self, batch: Batch) -> list[bytes]:
        return [self._values(ids).tobytes() for ids in batch.ids]

    def add(self, deltas: Sequence[tuple[bytes, bytes]]) -> None:
        for ids, values in deltas:
            added = np.frombuffer(values, "<f4").reshape(-1, 2)
            assert added.any(axis=1).all(), "only what changed"
            new = self._values(ids) + added
            self.rows.update(zip(np.frombuffer(ids, "<u8").tolist(), map(tuple, new.tolist()), strict=True))

    def _values(self, ids: bytes) -> npt.NDArray[np.float32]:
        wanted = np.frombuffer(ids, "<u8").tolist()
        values = [self.rows.get(id, (0.0, 0.0)) for id in wanted]
        return np.array(values, np.float32).reshape(-1, 2)

    @property
    def features(self) -> dict[int, Row]:
        return {id: row for id, row in self.rows.items() if id > EXAMPLES}

    @property
    def state(self) -> bytes:
        return np.array([self.rows.get(id, (0.0, 0.0)) for id in range(3)], np.float32).tobytes()

    @property
    def wire(self) -> bytes:
        rows = [(id, *row) for id, row in self.features.items()]
        return np.array(rows, [("id", "<u8"), ("z", "<f4"), ("n", "<f4")]).tobytes()


def scanned(learner: PartitionLearner, records: Sequence[Record]) -> Batch:
    return learner.scan(records, [0] * len(records))


def learn(learner: PartitionLearner, rows: Rows, batches: Sequence[Sequence[Record]]) -> list[bytes]:
    """Pull, learn, add, batch by batch; return the evaluations that closed."""
    evaluations = []
    for records in batches:
        batch = scanned(learner, records)
        done, deltas = learner.learn(batch, rows.pull(batch))
        rows.add(deltas)
        evaluations += done.evaluations
    return evaluations


def split(records: Sequence[Record], seed: int, most: int) -> list[Sequence[Record]]:
    chooser, parts = random.Random(seed), []
    while records:
        size = chooser.choice([1, chooser.randrange(1, 50), chooser.randrange(1, most)])
        parts.append(records[:size])
        records = records[size:]
    return parts
