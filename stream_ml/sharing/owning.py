"""
A partition that this process owns: its batches are pulled for, learned, and pushed to every shard.

Any answer other than the hoped one, and any error, ends the ownership; then the partition is taken anew, and
the shards' fences say where it goes on. So nothing here is mended half way.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from stream_ml._native import Batch as ScannedBatch
from stream_ml._native import Learned, PartitionLearner
from stream_ml.errors import RecoverableError
from stream_ml.learning.batch import EventRange
from stream_ml.learning.breaking import Labels
from stream_ml.sharing import blob
from stream_ml.sharing.mending import Mender
from stream_ml.sharing.outputs import Outputs
from stream_ml.weights.shards import Answer, Owner, Push, Rows, Shards

_FINE = {"applied", "duplicate"}


class OwnershipEnded(RecoverableError):
    """
    A shard's answer ended an ownership.

    Attributes:
        shard, answer: which, and what it said.
    """

    def __init__(self, partition: int, shard: int, answer: Answer) -> None:
        super().__init__(f"partition {partition}: shard {shard} answers {answer.kind!r}; it is taken anew")
        self.shard, self.answer = shard, answer


@dataclass(frozen=True, slots=True)
class Pushed:
    """
    What was done with one batch of *records*.

    Attributes:
        counted: False where the home shard had it already. labels: of what was learned.
        call_seconds: of a shard's call, on average of the slower of pull and push.
    """

    records: int
    learned: Learned
    labels: Labels
    counted: bool
    pull_seconds: float
    learn_seconds: float
    push_seconds: float
    call_seconds: float


class OwnedPartition:
    """
    One partition, from the moment when all shards know its owner.

    Attributes:
        next: offset of the next batch's first record.
        newest_at: timestamp of the newest record learned, unix seconds; 0 before the first.
    """

    def __init__(
        self,
        shards: Shards,
        learner: PartitionLearner,
        owner: Owner,
        fences: Sequence[int],
        pending: Sequence[bytes],
        outputs: Outputs,
    ) -> None:
        """
        Go on where the fences say; *learner* holds the state of the home shard's blob.

        Args:
            fences: next offset, by shard.
            pending: evaluations that the owner before may not have delivered.
        """
        self._shards, self.learner, self.owner, self._outputs = shards, learner, owner, outputs
        self.fences = list(fences)
        self.next = min(fences)
        self.newest_at = 0.0
        self._home = owner.partition % shards.count
        self._lock = threading.Lock()
        self._pending = list(pending)
        self._send(pending)

    @property
    def limit(self) -> int | None:
        """Offset where the next batch must end at the latest: the next fence; None where all are equal."""
        return min((fence for fence in self.fences if fence > self.next), default=None)

    def learn(self, part: EventRange) -> Pushed:
        """
        Learn *part*, which begins at `next` and ends at `limit` at the latest, and push it.

        Raises:
            OwnershipEnded, ShardUnavailable: this ownership is over.
            Undeliverable: the process must end.
        """
        counts = self.fences[self._home] < part.next
        before = None if counts else self.learner.state()
        began = time.perf_counter()
        scanned = self.learner.scan(part.values, part.timestamps_ms)
        pull_at = time.perf_counter()
        rows = self._pull(scanned)
        pulled_at = time.perf_counter()
        known = Labels.of(self.learner.metrics())
        learned, additions = self.learner.learn(scanned, rows)
        labels = Labels.of(self.learner.metrics()).since(known)
        learned_at = time.perf_counter()
        self._outputs.dead_letters(part, learned)
        if before is not None:
            # Another owner's push of this was taken by the home shard: its counters have these events.
            self.learner.load_state(before)
        push_at = time.perf_counter()
        self._push(part, additions, learned.evaluations if counts else ())
        pull_seconds, push_seconds = pulled_at - pull_at, time.perf_counter() - push_at
        return Pushed(
            len(part.values),
            learned,
            labels,
            counts,
            pull_seconds=pull_seconds,
            learn_seconds=pull_at - began + learned_at - pulled_at,
            push_seconds=push_seconds,
            # A server that has several of the shards answers one after the other.
            call_seconds=max(pull_seconds, push_seconds) / self._shards.count,
        )

    def look_again(self) -> None:
        """
        See that all shards still stand where they were: a failover may have taken a fence back.

        Raises:
            OwnershipEnded: one does not.
        """
        for shard, fence in enumerate(self.fences):
            answer = self._shards.look(shard)
            known = answer.fences.get(self.owner.partition)
            if answer.kind != "fences":
                raise OwnershipEnded(self.owner.partition, shard, answer)
            if known is None or known[1:] != self.owner[1:]:
                raise OwnershipEnded(self.owner.partition, shard, replace(answer, kind="fenced"))
            if known.next != fence:
                raise OwnershipEnded(self.owner.partition, shard, replace(answer, kind="recut"))

    def _pull(self, scanned: ScannedBatch) -> list[bytes]:
        answers = self._shards.pull([np.frombuffer(wanted, "<u8") for wanted in scanned.ids])
        self._check(answers, {"rows"})
        return [np.ascontiguousarray(answer.rows.values, "<f4").tobytes() for answer in answers]

    def _push(
        self, part: EventRange, additions: Sequence[tuple[bytes, bytes]], evaluations: Sequence[bytes]
    ) -> None:
        with self._lock:
            self._pending += evaluations
            pending = list(self._pending)
        told = blob.encode(self.learner.state(), pending)
        pushes = []
        for shard, (ids, deltas) in enumerate(additions):
            home = shard == self._home
            rows = Rows(np.frombuffer(ids, "<u8"), np.frombuffer(deltas, "<f4").reshape(-1, 2))
            ahead = self.fences[shard] >= part.next
            pushes.append(Push(part.first, part.next, rows, home, told if home and not ahead else None))
        self._check(self._shards.push(self.owner, pushes), _FINE)
        self.fences = [max(fence, part.next) for fence in self.fences]
        self.next = part.next
        self.newest_at = max(self.newest_at, part.timestamps_ms[-1] / 1000 if part.timestamps_ms else 0)
        self._send(evaluations)

    def _check(self, answers: Sequence[Answer], fine: set[str]) -> None:
        for shard, answer in enumerate(answers):
            if answer.kind not in fine:
                raise OwnershipEnded(self.owner.partition, shard, answer)

    def _send(self, evaluations: Sequence[bytes]) -> None:
        self._outputs.evaluations(self.owner.partition, evaluations, self._acknowledged)

    def _acknowledged(self, evaluation: bytes) -> None:
        with self._lock:
            if evaluation in self._pending:
                self._pending.remove(evaluation)


def take(
    shards: Shards,
    mender: Mender,
    partition: int,
    who: str,
    new_learner: Callable[[], PartitionLearner],
    remember: Callable[[PartitionLearner, int], None],
    outputs: Outputs,
    skip: Callable[[int], int] = lambda _: 0,
    check: Callable[[int, Sequence[int]], None] = lambda _, __: None,
) -> OwnedPartition:
    """
    Become the owner of *partition* on all shards.

    Args:
        remember: rebuilds a learner's duplicate window from the events before an offset.
        skip: says where a decision lets a partition go on; 0 where none does.
        check: raises where the partition's events cannot be those that its fences, which it is told, are of.

    Raises:
        OwnershipEnded: another took it at the same time.
        ShardUnavailable: a shard does not answer.
    """
    looks = [mender.look(shard) for shard in range(shards.count)]
    epochs = (look.fences[partition].epoch for look in looks if partition in look.fences)
    owner = Owner(partition, 1 + max(epochs, default=0), who)
    answers = [shards.take(shard, owner) for shard in range(shards.count)]
    for shard, answer in enumerate(answers):
        if answer.kind != "taken":
            raise OwnershipEnded(partition, shard, answer)
    # A partition that was added to the topic had no fence before it was taken: it begins at its beginning.
    fences = [answer.fences[partition].next for answer in answers]
    check(partition, fences)
    learner = new_learner()
    pending: tuple[bytes, ...] = ()
    if known := answers[partition % shards.count].blobs.get(partition):
        state, pending = blob.decode(known)
        learner.load_state(state)
    if (goal := skip(partition)) > min(fences):
        fences = _skipped(shards, owner, fences, goal, blob.encode(learner.state(), pending))
    remember(learner, min(fences))
    return OwnedPartition(shards, learner, owner, fences, pending, outputs)


def _skipped(shards: Shards, owner: Owner, fences: Sequence[int], goal: int, told: bytes) -> list[int]:
    """Move all fences to *goal*, and push nothing; return where they stand then."""
    home = owner.partition % shards.count
    pushes = [
        Push(fence, max(fence, goal), home=shard == home, blob=told if shard == home else None)
        for shard, fence in enumerate(fences)
    ]
    for shard, answer in enumerate(shards.push(owner, pushes)):
        if answer.kind not in _FINE:
            raise OwnershipEnded(owner.partition, shard, answer)
    return [push.next for push in pushes]
