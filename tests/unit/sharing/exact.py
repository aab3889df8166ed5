"""What must be so after whatever happened: every count exact, every fence at the end."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence

import numpy as np

from stream_ml._native import Learner, PartitionLearner, Plan
from stream_ml.sharing import blob
from stream_ml.sharing.rows import PACKED, RESERVED
from stream_ml.weights.shards import Shards
from tests.clicks import MODEL
from tests.unit.sharing.rig import Rig

COUNTING = MODEL.replace("[learner]", '[learner]\noptimizer = "counting"')
TOTALS = ("records", "learned", "duplicates", "refused")


def check_exact(rig: Rig) -> None:
    """Compare shards and outputs with one learner that learned everything once, undisturbed."""
    records = [rig.log._partition("events", partition).values for partition in range(rig.partitions)]
    check_counts(rig.shards, rig.model.plan_bytes, records)
    check_totals(rig.shards, rig.model.plan_bytes, records)
    check_outputs(
        rig.shards,
        rig.model.plan_bytes,
        rig.partitions,
        set(keys(rig, "clicks.dead-letters")),
        set(keys(rig, "clicks.evaluations")),
    )


def check_counts(shards: Shards, plan: bytes, records: Sequence[Sequence[bytes | None]]) -> None:
    """
    Compare what *shards* hold of the counting optimizer with what *records* say, feature by feature.

    Args:
        records: all that there are, by partition.
    """
    ends = {partition: len(values) for partition, values in enumerate(records)}
    for shard in range(shards.count):
        assert {p: fence.next for p, fence in shards.look(shard).fences.items()} == ends
    learner = undisturbed(plan, records)
    rows = rows_of(shards)
    ids = np.array(sorted(id for id in rows if id >= RESERVED), np.uint64)
    assert len(ids) == learner.digest()["rows"] > 0
    expected = np.frombuffer(learner.lookup(ids.tobytes()), PACKED)["values"][:, 0]
    assert [rows[id][0] for id in ids.tolist()] == expected.tolist()


def check_totals(shards: Shards, plan: bytes, records: Sequence[Sequence[bytes | None]]) -> None:
    """Compare what the blobs count with what *records* say."""
    wanted, found = undisturbed(plan, records).metrics(), totals(shards, plan, len(records))
    assert {total: found[total] for total in TOTALS} == {total: wanted[total] for total in TOTALS}


def check_outputs(
    shards: Shards, plan: bytes, partitions: int, letters: Collection[bytes], evaluations: Collection[bytes]
) -> None:
    """Each dead letter and each evaluation has its key among those that are there, and no other is."""
    found = totals(shards, plan, partitions)
    assert len(letters) == found["refused"]
    assert len(evaluations) == found["evaluations"]


def undisturbed(plan: bytes, records: Sequence[Sequence[bytes | None]]) -> Learner:
    """Return a learner that saw each partition's records once, in order."""
    learner = Learner(Plan(plan))
    for partition, values in enumerate(records):
        learner.learn([(partition, list(values), [0] * len(values))])
    return learner


def totals(shards: Shards, plan: bytes, partitions: int) -> Counter[str]:
    """Return the counters of all blobs together."""
    found: Counter[str] = Counter()
    for said in blobs(shards, plan, partitions):
        found.update({total: int(said[total]) for total in (*TOTALS, "evaluations")})
    return found


def blobs(shards: Shards, plan: bytes, partitions: int) -> list[dict[str, float]]:
    """Return what the blob of each partition counts."""
    said = []
    for partition in range(partitions):
        learner = PartitionLearner(Plan(plan), partition=partition, shards=shards.count)
        held = shards.look(partition % shards.count).blobs
        if partition in held:
            learner.load_state(blob.decode(held[partition]).state)
        said.append(learner.metrics())
    return said


def rows_of(shards: Shards) -> dict[int, tuple[float, float]]:
    """Return all rows of the shards, the reserved ones too."""
    found: dict[int, tuple[float, float]] = {}
    for shard in range(shards.count):
        cursor, first = 0, True
        while cursor or first:
            page = shards.page(shard, cursor, 1000)
            for id, (z, n) in zip(page.rows.ids.tolist(), page.rows.values.tolist(), strict=True):
                found[id] = (z, n)
            cursor, first = page.cursor, False
    return found


def keys(rig: Rig, topic: str) -> list[bytes]:
    """Return the keys of a topic's records."""
    described = rig.log.topic(topic)
    partitions = described.partitions if described else 0
    return [key for at in range(partitions) for key in rig.log._partition(topic, at).keys if key]
