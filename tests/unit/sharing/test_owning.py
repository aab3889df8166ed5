"""One partition, owned and let go of: what leaves when, and what the next owner goes on with."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from stream_ml._native import PartitionLearner, Plan
from stream_ml.learning.batch import EventRange
from stream_ml.learning.outputs import Source
from stream_ml.learning.windows import WindowReader
from stream_ml.sharing import blob
from stream_ml.sharing.mending import Mender
from stream_ml.sharing.outputs import Outputs
from stream_ml.sharing.owning import OwnedPartition, OwnershipEnded, take
from stream_ml.sharing.restoring import Beginning, Restorer
from stream_ml.streams.log import Undeliverable
from stream_ml.streams.memory import MemoryWriter
from stream_ml.weights.shards import Identity, ShardUnavailable
from tests.clicks import EVALUATE_EVERY, event
from tests.unit.sharing.exact import COUNTING, check_exact, keys
from tests.unit.sharing.faulty import FaultyShards
from tests.unit.sharing.rig import SHARDS, Rig

PARTITION = 1
HOME = PARTITION % SHARDS
EVALUATION = b"v1/%d/%d"


class SilentWriter(MemoryWriter):
    """Whose records arrive, as nobody is ever told."""

    def send(
        self,
        topic: str,
        value: bytes | None,
        *,
        key: bytes | None = None,
        partition: int | None = None,
        headers: Mapping[str, bytes] | None = None,
        on_delivered: Callable[[int, int], None] | None = None,
    ) -> None:
        super().send(topic, value, key=key, partition=partition, headers=headers)


class RefusingWriter(MemoryWriter):
    """That cannot flush."""

    def flush(self, timeout_seconds: float) -> None:
        if timeout_seconds > 0:
            raise Undeliverable("nothing is acknowledged")


class Places:
    """Of a journal that is only counted."""

    def __init__(self) -> None:
        self._last = 0

    def incarnation(self, shard: int, identity: Identity, why: str) -> int:
        return self.chore(why, shard)

    def chore(self, chore: str, shard: int | None) -> int:
        self._last += 1
        return self._last


class Partition:
    """A partition's events, and owners of it."""

    def __init__(self, folder: Path) -> None:
        self.rig = Rig(folder, partitions=2, model_text=COUNTING)
        for topic in ("clicks.dead-letters", "clicks.evaluations"):
            self.rig.log.ensure_topic(topic, 1)
        self.shards = FaultyShards(SHARDS)
        self.rig.shards, places = self.shards, Places()
        beginning = Beginning({0: 0, 1: 0}, self.rig.store, None, SHARDS)
        self.mender = Mender(self.shards, places, Restorer(self.shards, places, lambda _: beginning))

    def send(self, count: int) -> None:
        self.rig.send((event(number) for number in range(count)), PARTITION)

    def taken(self, writer: MemoryWriter | None = None) -> OwnedPartition:
        plan = Plan(self.rig.model.plan_bytes)
        windows = WindowReader(self.rig.log, "events", 100)
        source = Source("clicks", "v1", "events")
        return take(
            self.shards,
            self.mender,
            PARTITION,
            "owner",
            lambda: PartitionLearner(plan, partition=PARTITION, shards=SHARDS),
            lambda learner, end: windows.remember(learner.remember, learner.forget, PARTITION, 0, end),
            Outputs(writer or self.rig.log.writer(), source, 1_000_000),  # type: ignore[arg-type]
        )

    def learn(self, owned: OwnedPartition, count: int) -> None:
        """Learn so many events in batches, cut where the owner wants it."""
        end = owned.next + count
        while owned.next < end:
            owned.learn(self.part(owned.next, min(owned.limit or end, end)))

    def part(self, first: int, end: int) -> EventRange:
        reader = self.rig.log.reader("events", {PARTITION: first})
        return EventRange.of(first, reader.poll(end - first, 1))

    def push_is_lost(self, owned: OwnedPartition, away: set[int], count: int) -> None:
        """Learn a batch whose push does not reach some shards."""
        self.shards.before = lambda name: self.shards.away.update(away if name == "push" else ())
        with pytest.raises(ShardUnavailable):
            owned.learn(self.part(owned.next, owned.next + count))
        self.shards.before = lambda _: None
        self.shards.away.clear()


@pytest.fixture
def partition(tmp_path: Path) -> Partition:
    return Partition(tmp_path)


def test_evaluations_that_nobody_acknowledged_are_sent_again_by_the_next_owner(partition: Partition) -> None:
    partition.send(160)
    partition.learn(partition.taken(SilentWriter(partition.rig.log)), 130)
    closed = [EVALUATION % (PARTITION, index) for index in range(120 // EVALUATE_EVERY)]
    sent = keys(partition.rig, "clicks.evaluations")
    assert sent == closed
    told = partition.shards.look(HOME).blobs[PARTITION]
    assert len(blob.decode(told).evaluations) == len(closed)
    heir = partition.taken()
    assert keys(partition.rig, "clicks.evaluations") == sent + closed
    partition.learn(heir, 10)
    assert blob.decode(partition.shards.look(HOME).blobs[PARTITION]).evaluations == ()


def test_an_evaluation_that_a_push_closed_leaves_only_once_the_push_is_taken(partition: Partition) -> None:
    partition.send(200)
    owned = partition.taken()
    partition.push_is_lost(owned, {HOME}, 80)
    assert keys(partition.rig, "clicks.evaluations") == []
    partition.learn(partition.taken(), 200)
    check_exact(partition.rig)


@pytest.mark.parametrize("away", [{HOME}, {0}, {2}, {0, 2}, {HOME, 0}])
def test_after_a_push_that_reached_some_shards_every_event_is_counted_once(
    partition: Partition, away: set[int]
) -> None:
    partition.send(300)
    owned = partition.taken()
    partition.learn(owned, 90)
    partition.push_is_lost(owned, away, 70)
    heir = partition.taken()
    assert heir.next == 90
    assert heir.limit == 160
    pushed = heir.learn(partition.part(90, 160))
    assert pushed.counted == (HOME in away)
    assert heir.limit is None
    partition.learn(heir, 140)
    check_exact(partition.rig)


def test_fences_that_differ_twice_are_closed_one_after_the_other(partition: Partition) -> None:
    partition.send(250)
    partition.push_is_lost(partition.taken(), {0}, 40)
    owned = partition.taken()
    partition.push_is_lost(owned, {0, HOME}, 40)
    owned = partition.taken()
    owned.learn(partition.part(0, 40))
    partition.push_is_lost(owned, {0, 2}, 30)
    owned = partition.taken()
    assert sorted(set(owned.fences)) == [40, 70]
    partition.learn(owned, 210)
    check_exact(partition.rig)


def test_dead_letters_are_acknowledged_before_anything_is_pushed(partition: Partition) -> None:
    partition.send(200)
    owned = partition.taken(RefusingWriter(partition.rig.log))
    owned.learn(partition.part(0, 50))
    assert owned.fences == [50] * SHARDS
    with pytest.raises(Undeliverable):
        owned.learn(partition.part(50, 150))
    assert [fences[PARTITION] for fences in partition.rig.fences()] == [50] * SHARDS
    assert len(keys(partition.rig, "clicks.dead-letters")) == 1
    partition.learn(partition.taken(), 150)
    check_exact(partition.rig)
    assert len(keys(partition.rig, "clicks.dead-letters")) > 2, "one of them twice"


def test_an_event_that_comes_again_after_a_change_of_owner_is_known(partition: Partition) -> None:
    """Event 88 is event 58 again; the owners change between them."""
    partition.send(120)
    partition.learn(partition.taken(), 80)
    heir = partition.taken()
    pushed = heir.learn(partition.part(80, 120))
    assert pushed.learned.duplicates == 1
    check_exact(partition.rig)


def test_a_call_that_was_taken_and_not_answered_is_not_taken_twice(partition: Partition) -> None:
    partition.send(100)
    owned = partition.taken()
    part = partition.part(0, 60)
    owned.learn(part)
    again = partition.taken()
    # As a client sends the same bytes again to a server that has already taken them.
    assert again.fences == [60] * SHARDS
    before = dict(partition.shards.pushes)
    with pytest.raises(OwnershipEnded) as caught:
        owned.learn(partition.part(60, 100))
    assert caught.value.answer.kind == "fenced"
    assert partition.shards.pushes["fenced"] == before.get("fenced", 0) + SHARDS
    partition.learn(again, 40)
    check_exact(partition.rig)
