"""Whatever ends an ownership, and whatever servers do, every feature's count is exact afterwards."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path
from random import Random

import pytest

from stream_ml.runtime.metrics import REGISTRY
from stream_ml.sharing.chores import Newest
from stream_ml.weights.shards import Identity, Owner
from stream_ml.weights.snapshots import SnapshotName
from tests.clicks import event
from tests.servers.processes import wait_until
from tests.unit.sharing.exact import COUNTING, check_exact
from tests.unit.sharing.faulty import FaultyShards
from tests.unit.sharing.rig import SHARDS, Rig

PARTITIONS = 5


class Storm:
    """Several partitions whose shards may fail; a repeat comes in the partition of what it repeats."""

    def __init__(self, folder: Path, random: Random) -> None:
        self.rig = Rig(folder, partitions=PARTITIONS, model_text=COUNTING)
        self.shards = FaultyShards(SHARDS, random)
        self.rig.shards = self.shards
        self.sent = 0

    def send(self, count: int) -> None:
        """Send the next events."""
        for number in range(self.sent, self.sent + count):
            told = event(number)
            self.rig.send([told], sum(told) % PARTITIONS)
        self.sent += count

    def reached(self, share: float) -> bool:
        """Whether so much of what was sent is in the slowest shard."""
        with self.shards._one_at_a_time:
            fences = [sum(f.next for f in held.fences.values()) for held in self.shards._shards.values()]
        return len(fences) == SHARDS and min(fences) >= share * self.sent


@pytest.fixture
def storm(tmp_path: Path, random: Random) -> Storm:
    return Storm(tmp_path, random)


def ended(answer: str) -> float:
    labels = {"model": "clicks", "answer": answer}
    return REGISTRY.get_sample_value("stream_ml_learner_ownerships_ended_total", labels) or 0


def shards_unavailable() -> float | None:
    return REGISTRY.get_sample_value("stream_ml_learner_shards_unavailable", {"model": "clicks"})


def fence_by_a_rival(storm: Storm) -> None:
    for partition in range(PARTITIONS):
        for shard in range(SHARDS):
            epoch = storm.shards.look(shard).fences[partition].epoch
            storm.shards.take(shard, Owner(partition, epoch + 1, "rival"))


def promote_a_copy(storm: Storm) -> None:
    storm.shards.promote(storm.shards.copied())


def empty_a_shard(storm: Storm) -> None:
    storm.shards.lose(1)


def empty_a_shard_that_a_snapshot_has(storm: Storm) -> None:
    def has_rows() -> bool:
        found = []
        for name in storm.rig.store.names("clicks"):
            with storm.rig.store.open(str(name)) as snapshot:
                found.append(snapshot.manifest.total_rows)
        return any(found)

    wait_until(has_rows)
    storm.send(100)
    storm.shards.lose(0)
    storm.shards.lose(2)


def take_fences_back(storm: Storm) -> None:
    """As by two failovers that nobody looked between: the identity is adopted, the fences are behind."""
    behind = storm.shards.copied()
    wait_until(lambda: storm.reached(0.6))
    identity = storm.shards.identity
    storm.shards.promote(behind)
    storm.shards.identity = identity


@pytest.mark.parametrize(
    ("happens", "answers"),
    [
        (fence_by_a_rival, {"fenced"}),
        (take_fences_back, {"recut"}),
        # The publisher may be the first to meet these, and mend them.
        (promote_a_copy, set()),
        (empty_a_shard, {"empty", "fenced", "recut"}),
        (empty_a_shard_that_a_snapshot_has, set()),
    ],
)
def test_each_answer_ends_the_ownership_and_the_partition_is_taken_anew(
    storm: Storm, happens: Callable[[Storm], None], answers: set[str]
) -> None:
    storm.rig.overrides["snapshot_interval_seconds"] = 0.5
    storm.send(1500)
    before = sum(map(ended, answers))
    life = storm.rig.life()
    life.wait_until(lambda: storm.reached(0.3))
    happens(storm)
    life.wait_until(storm.rig.all_pushed)
    life.end()
    assert not answers or sum(map(ended, answers)) > before
    check_exact(storm.rig)


def test_an_idle_owner_looks_again_and_learns_what_a_failover_took_back(storm: Storm) -> None:
    storm.send(400)
    life = storm.rig.life()
    life.wait_until(lambda: storm.reached(0.5))
    behind = storm.shards.copied()
    life.wait_until(storm.rig.all_pushed)
    storm.shards.promote(behind)
    assert any(sum(fences.values()) < storm.sent for fences in fences_of(storm))
    # No event follows.
    life.wait_until(lambda: all(sum(fences.values()) == storm.sent for fences in fences_of(storm)))
    life.end()
    check_exact(storm.rig)


def fences_of(storm: Storm) -> list[dict[int, int]]:
    with storm.shards._one_at_a_time:
        return [
            {partition: fence.next for partition, fence in held.fences.items()}
            for held in storm.shards._shards.values()
        ]


def test_several_lives_come_and_go_while_calls_are_lost_and_servers_fail(
    storm: Storm, random: Random
) -> None:
    storm.rig.overrides["snapshot_interval_seconds"] = 0.3
    storm.send(2000)
    storm.shards.chance = 0.02
    lives = [storm.rig.life() for _ in range(3)]
    behind = storm.shards.copied()
    for number in range(8):
        storm.send(150)
        threading.Event().wait(random.uniform(0.05, 0.2))
        if number % 4 == 1:
            storm.shards.promote(behind if random.random() < 0.5 else storm.shards.copied())
        elif number % 4 == 2:
            storm.shards.lose(random.randrange(SHARDS))
        elif number % 4 == 3:
            behind = storm.shards.copied()
        else:
            lives.pop(0).end()
            lives.append(storm.rig.life())
    storm.shards.chance = 0.0
    lives[0].wait_until(storm.rig.all_pushed, 60)
    for life in lives:
        life.end()
    assert storm.shards.pushes.get("duplicate", 0) + storm.shards.pushes.get("recut", 0) > 0
    check_exact(storm.rig)


def test_a_snapshot_that_is_removed_before_shards_are_restored_from_it_ends_nobody(
    storm: Storm, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As by others who take newer ones meanwhile."""
    storm.rig.overrides["snapshot_interval_seconds"] = 0.3
    removed, verified = list[SnapshotName](), Newest.verified

    def found_and_lost(newest: Newest) -> SnapshotName | None:
        name = verified(newest)
        if name is not None and not removed:
            removed.append(name)
            (storm.rig.folder / "snapshots" / str(name)).unlink()
        return name

    storm.send(1000)
    life = storm.rig.life()
    life.wait_until(storm.rig.all_pushed)
    monkeypatch.setattr(Newest, "verified", found_and_lost)
    empty_a_shard_that_a_snapshot_has(storm)
    life.wait_until(storm.rig.all_pushed)
    life.end()
    assert removed
    check_exact(storm.rig)


def test_a_life_that_is_caught_in_its_push_is_fenced_and_learns_again(storm: Storm) -> None:
    """It slept between pull and push while all its partitions were taken by another, and pushed further."""
    storm.send(600)
    sleeping, awake = threading.Event(), threading.Event()

    def sleep(name: str) -> None:
        if name == "push" and threading.current_thread().name.startswith("share") and not awake.is_set():
            sleeping.set()
            awake.wait(20)

    life = storm.rig.life()
    life.wait_until(lambda: storm.reached(0.2))
    storm.shards.before = sleep
    life.wait_until(sleeping.is_set)
    fence_by_a_rival(storm)
    before = storm.shards.pushes.get("fenced", 0)
    storm.shards.before = lambda _: None
    awake.set()
    life.wait_until(storm.rig.all_pushed)
    life.end()
    assert storm.shards.pushes["fenced"] > before
    check_exact(storm.rig)


def test_a_shard_that_is_away_holds_learning_and_nothing_is_lost(storm: Storm) -> None:
    storm.send(600)
    life = storm.rig.life()
    life.wait_until(lambda: storm.reached(0.3))
    before = ended("unavailable")
    storm.shards.away = {1}
    life.wait_until(lambda: not life.sharing.loop.owned)
    life.wait_until(lambda: shards_unavailable() == 1)
    assert 0 < ended("unavailable") - before <= PARTITIONS, "tries that fail are no ownerships"
    storm.send(300)
    storm.shards.away = set()
    life.wait_until(storm.rig.all_pushed)
    life.wait_until(lambda: shards_unavailable() == 0)
    life.end()
    check_exact(storm.rig)


def test_a_server_that_comes_back_as_another_one_is_adopted(storm: Storm) -> None:
    storm.send(300)
    life = storm.rig.life()
    life.wait_until(storm.rig.all_pushed)
    storm.shards.identity = Identity("another", "reign")
    storm.send(300)
    life.wait_until(lambda: all(sum(fences.values()) == storm.sent for fences in fences_of(storm)))
    life.end()
    check_exact(storm.rig)


def test_a_partition_that_was_given_to_another_is_let_go_though_its_events_wait(storm: Storm) -> None:
    storm.send(1000)
    storm.shards.before = lambda name: time.sleep(0.02 if name == "push" else 0)
    life = storm.rig.life()
    life.wait_until(lambda: len(life.sharing.loop.owned) == PARTITIONS)
    other = storm.rig.log.group("clicks.learner", "events")
    theirs = other.poll()
    assert len(theirs) == PARTITIONS // 2
    life.wait_until(lambda: not theirs & life.sharing.loop.owned.keys())
    assert not storm.reached(0.9), "it is let go once all is learned: too late"
    other.close()
    storm.shards.before = lambda _: None
    life.wait_until(storm.rig.all_pushed)
    life.end()
    check_exact(storm.rig)
