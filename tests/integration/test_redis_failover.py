"""A master of a real cluster is killed under load, its replica held behind: what is counted stays exact."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path

import numpy as np
import pytest

from stream_ml.weights.redis.access import Access, connect
from stream_ml.weights.redis.shards import RedisShards
from stream_ml.weights.shards import Answer, FeatureIds, Image, Owner, Push, Rows, ShardUnavailable
from tests.servers.redis import RedisCluster, require_redis

SHARDS = 3
IDS = 60_000
END = 60


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[RedisCluster]:
    """A cluster of this test's own."""
    require_redis()
    made = RedisCluster(tmp_path / "cluster")
    try:
        yield made.start()
    finally:
        made.stop()


class Counter:
    """Pushes events by the protocol, each as one to every id it has: rows count occurrences."""

    def __init__(self, shards: RedisShards, places: Iterator[int]) -> None:
        self.shards, self.places = shards, places
        self.owner = Owner(0, 0, "a1")
        self.fences: list[int] = []
        self.went_back = self.unavailable = 0

    def take(self) -> None:
        """Adopt what moved, then own the partition on all shards."""
        seen = [self.adopted(shard) for shard in range(SHARDS)]
        epoch = 1 + max(answer.fences[0].epoch if 0 in answer.fences else 0 for answer in seen)
        self.owner = self.owner._replace(epoch=epoch)
        taken = [self.shards.take(shard, self.owner) for shard in range(SHARDS)]
        if any(answer.kind != "taken" for answer in taken):
            return
        fences = [answer.fences[0].next for answer in taken]
        self.went_back += any(now < before for now, before in zip(fences, self.fences, strict=False))
        self.fences = fences

    def adopted(self, shard: int) -> Answer:
        look = self.shards.look(shard)
        return self.shards.adopt(shard, look.identity, next(self.places)) if look.kind == "moved" else look

    def push(self) -> None:
        """Push the next events; after any answer that was not hoped for, take anew."""
        first = min(self.fences)
        end = min([first + 1, *(fence for fence in self.fences if fence > first)])
        pushes = [Push(first, end, self.rows(shard, first), shard == 0, b"x") for shard in range(SHARDS)]
        if {answer.kind for answer in self.shards.push(self.owner, pushes)} <= {"applied", "duplicate"}:
            self.fences = [max(fence, end) for fence in self.fences]
        else:
            self.take()

    def rows(self, shard: int, event: int) -> Rows:
        ids = ids_of(event)
        mine = ids[ids % np.uint64(SHARDS) == shard]
        return Rows(mine, np.ones((len(mine), 2), np.float32))

    def until(self, done: Callable[[], bool]) -> None:
        """Go on until then; while a shard is away, try again."""
        end = time.monotonic() + 60
        while not done():
            assert time.monotonic() < end, self.fences
            try:
                if self.fences and min(self.fences) < END:
                    self.push()
                else:
                    self.take()
            except ShardUnavailable:
                self.unavailable += 1
                time.sleep(0.05)  # and push the same again: what to do about it, the shards say


def ids_of(event: int) -> FeatureIds:
    """Two thirds of all ids, others for every event."""
    ids = np.arange(IDS, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)
    return np.sort(ids[(np.arange(IDS) + event) % 3 != 0])


def test_a_killed_master_whose_replica_was_behind_loses_and_doubles_nothing(
    cluster: RedisCluster, record_property: Callable[[str, object], None]
) -> None:
    shards = RedisShards(connect(Access(cluster.url)), "v", 0, SHARDS)
    places = count(10)
    for shard in range(SHARDS):
        shards.restore(shard, 1, 0, (shards.look(shard).identity, next(places)), Image(0, {}, {}))
    counter = Counter(shards, places)
    counter.until(lambda: bool(counter.fences) and min(counter.fences) >= 10)
    master, replica = cluster.pair_of(shards.keys(0)[0])
    replica.process.freeze()
    counter.until(lambda: min(counter.fences) >= 40)
    master.kill()
    replica.process.thaw()
    began = time.monotonic()
    counter.until(lambda: min(counter.fences) >= 45)
    record_property("outage_seconds", round(time.monotonic() - began, 1))
    master.start()
    counter.until(lambda: min(counter.fences) == END)
    counter.take()
    assert counter.fences == [END] * SHARDS
    record_property("fences_went_back", counter.went_back)
    expected: dict[int, int] = {}
    for event in range(END):
        for id in map(int, ids_of(event)):
            expected[id] = expected.get(id, 0) + 1
    every = np.array(sorted(expected), np.uint64)
    parts = [every[every % np.uint64(SHARDS) == shard] for shard in range(SHARDS)]
    for part, answer in zip(parts, shards.pull(parts), strict=True):
        assert answer.rows.values[:, 0].tolist() == [expected[int(id)] for id in part]
