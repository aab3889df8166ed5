"""Where the shards of a variant stand: who owns which partition, and how far it is learned."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from stream_ml._native import PartitionLearner, Plan
from stream_ml.sharing import blob
from stream_ml.weights.shards import Fence, Shards, next_offsets

# Answers of shards that say how far they have learned.
TELL = {"fences", "moved"}


@dataclass(frozen=True, slots=True)
class Standing:
    """
    What the shards said of themselves.

    Attributes:
        shards: of each, "fences" if it is there and known, else what it answers; one that is "moved" tells
            all the rest.
        homes: which Redis each is of, as the journal names it.
        versions: of each, (incarnation, version). rows: how many each has.
        fences: by shard and partition.
        totals: since the variant began, over all partitions: learned, duplicates, refused, loss_sum, ….
    """

    shards: list[str]
    homes: list[str]
    versions: list[tuple[int, int]]
    rows: list[int]
    fences: list[Mapping[int, Fence]]
    totals: Mapping[str, float]

    def next(self, partition: int) -> int | None:
        """Return up to where all shards have *partition*; None where one does not say it, being empty."""
        return min(self.places(partition)) if set(self.shards) <= TELL else None

    def places(self, partition: int) -> list[int]:
        """Return where each shard that is there goes on with *partition*."""
        there = (fences for kind, fences in zip(self.shards, self.fences, strict=True) if kind in TELL)
        return next_offsets(there, partition)

    def owner(self, partition: int) -> Fence:
        """Return who may push *partition*, by the highest epoch."""
        known = [fences[partition] for fences in self.fences if partition in fences]
        return max(known, key=lambda fence: fence.epoch, default=Fence())


def standing(shards: Shards, plan: Plan) -> Standing:
    """
    Ask every shard where it stands.

    Raises:
        ShardUnavailable: one does not answer.
    """
    answers = [shards.look(shard) for shard in range(shards.count)]
    totals: dict[str, float] = {}
    for shard, answer in enumerate(answers):
        for partition, data in answer.blobs.items():
            if partition % shards.count == shard:
                for name, figure in _metrics(plan, partition, data).items():
                    totals[name] = totals.get(name, 0.0) + figure
    return Standing(
        [answer.kind for answer in answers],
        [answer.home for answer in answers],
        [(answer.incarnation, answer.version) for answer in answers],
        [answer.count for answer in answers],
        [answer.fences for answer in answers],
        totals,
    )


def _metrics(plan: Plan, partition: int, data: bytes) -> Mapping[str, float]:
    learner = PartitionLearner(plan, partition=partition, shards=1, scan_threads=0)
    learner.load_state(blob.decode(data).state)
    return learner.metrics()
