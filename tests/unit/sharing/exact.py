"""What must be so after whatever happened: every count exact, every fence at the end."""

from __future__ import annotations

from collections import Counter

import numpy as np

from stream_ml._native import Learner, PartitionLearner, Plan
from stream_ml.sharing import blob
from stream_ml.sharing.rows import PACKED
from tests.clicks import MODEL
from tests.unit.sharing.rig import Rig

COUNTING = MODEL.replace("[learner]", '[learner]\noptimizer = "counting"')
TOTALS = ("learned", "duplicates", "refused", "records", "evaluations")


def check_exact(rig: Rig) -> None:
    """Compare shards and outputs with one learner that learned everything once, undisturbed."""
    assert rig.all_pushed(), rig.fences()
    learner = undisturbed(rig)
    rows = rows_of(rig)
    ids = np.array(sorted(id for id in rows if id > 3), np.uint64)
    assert len(ids) == learner.digest()["rows"] > 0
    expected = np.frombuffer(learner.lookup(ids.tobytes()), PACKED)["values"][:, 0]
    assert [rows[id][0] for id in ids.tolist()] == expected.tolist()
    wanted, found = learner.metrics(), totals(rig)
    per_partition = {total: found[total] for total in TOTALS if total != "evaluations"}
    assert per_partition == {total: wanted[total] for total in per_partition}
    check_outputs(rig, found)


def check_outputs(rig: Rig, found: Counter[str]) -> None:
    """Each dead letter and each evaluation is there; repeats have the same key."""
    assert len(set(keys(rig, "clicks.dead-letters"))) == found["refused"]
    assert len(set(keys(rig, "clicks.evaluations"))) == found["evaluations"]


def undisturbed(rig: Rig) -> Learner:
    """Return a learner that saw each partition's records once, in order."""
    learner = Learner(Plan(rig.model.plan_bytes))
    for partition in range(rig.partitions):
        held = rig.log._partition("events", partition)
        learner.learn([(partition, list(held.values), list(held.timestamps_ms))])
    return learner


def totals(rig: Rig) -> Counter[str]:
    """Return the counters of all blobs together."""
    found: Counter[str] = Counter()
    for partition in range(rig.partitions):
        home = rig.shards.look(partition % rig.shards.count)
        learner = PartitionLearner(Plan(rig.model.plan_bytes), partition=partition, shards=rig.shards.count)
        if partition in home.blobs:
            learner.load_state(blob.decode(home.blobs[partition]).state)
        said = learner.metrics()
        found.update({total: int(said[total]) for total in TOTALS})
    return found


def rows_of(rig: Rig) -> dict[int, tuple[float, float]]:
    """Return all rows of the shards, the reserved ones too."""
    found: dict[int, tuple[float, float]] = {}
    for shard in range(rig.shards.count):
        cursor, first = 0, True
        while cursor or first:
            page = rig.shards.page(shard, cursor, 1000)
            for id, (z, n) in zip(page.rows.ids.tolist(), page.rows.values.tolist(), strict=True):
                found[id] = (z, n)
            cursor, first = page.cursor, False
    return found


def keys(rig: Rig, topic: str) -> list[bytes]:
    """Return the keys of a topic's records."""
    described = rig.log.topic(topic)
    partitions = described.partitions if described else 0
    return [key for at in range(partitions) for key in rig.log._partition(topic, at).keys if key]
