"""Servers of Redis die, stay behind, stay away and come back empty under learners: counts stay exact."""

from __future__ import annotations

import shutil
import statistics
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random

import pytest

from stream_ml.weights.shards import ShardUnavailable
from tests.servers.kafka import KafkaServer, require_kafka
from tests.servers.processes import wait_until
from tests.servers.redis import RedisCluster, require_redis
from tests.system.shared_lives import Learner, SharedLives, quick_groups

Record = Callable[[str, object], None]
Rounds = Callable[[int, int], int]
PARTITIONS = 6
AWAY = "stream_ml_learner_shards_unavailable"
MEBIBYTE = 1 << 20


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[KafkaServer]:
    require_kafka()
    server = quick_groups(tmp_path / "kafka")
    try:
        yield server.start()
    finally:
        server.stop()


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[RedisCluster]:
    """A cluster of this test's own."""
    require_redis()
    made = RedisCluster(tmp_path / "redis")
    try:
        yield made.start()
    finally:
        made.stop()


@pytest.fixture
def lives(broker: KafkaServer, cluster: RedisCluster, tmp_path: Path) -> Iterator[SharedLives]:
    # The learners are told only the server that is killed first.
    seed, _ = cluster.pair_of("{clicks/v1/0/0}:meta")
    lives = SharedLives(broker, seed.url, tmp_path / "model", PARTITIONS)
    assert lives.shards.keys(0)[0] == "{clicks/v1/0/0}:meta"
    yield lives
    lives.close()


def two_learners(lives: SharedLives) -> list[Learner]:
    """Return two that have begun to learn."""
    learners = [lives.start(), lives.start()]
    lives.produce_until(lambda: all(each.pushed_events() for each in learners), 40)
    assert all(each.pushed_events() for each in learners), lives.stand()
    return learners


def has(lives: SharedLives, shard: int, ends: list[int]) -> bool:
    """Whether a shard answers, and has all events before *ends*."""
    try:
        look = lives.shards.look(shard)
    except ShardUnavailable:
        return False
    return look.kind == "fences" and all(look.fences[p].next >= end for p, end in enumerate(ends))


@pytest.mark.timeout(7200)
def test_masters_are_killed_under_load_some_with_a_replica_behind(
    lives: SharedLives, cluster: RedisCluster, rounds: Rounds, random: Random, record_property: Record
) -> None:
    learners = two_learners(lives)
    outages = []
    for number in range(rounds(3, 20)):
        shard = random.randrange(lives.shards.count) if number else 0
        master, replica = cluster.pair_of(lives.shards.keys(shard)[0])
        if number % 2 == 0:
            replica.process.freeze()
            lives.produce_until(lambda: False, random.uniform(0.5, 1.5))
        master.kill()
        replica.process.thaw()
        outages.append(outage_of(lives, shard))
        master.start()
        lives.produce_until(cluster.is_whole, 30)
        assert cluster.is_whole()
    lives.wait_until_pushed()
    assert all(each.process.running for each in learners), lives.stand()
    record_property("outage_seconds", outages)
    record_property("median_outage_seconds", statistics.median(outages))
    record_property("ownerships_ended", dict(sum((each.ended() for each in learners), start=Counter())))
    lives.check()


def outage_of(lives: SharedLives, shard: int) -> float:
    """Return how long it takes until *shard* has all that is there now; events come all the while."""
    ends, began = [len(values) for values in lives.records], time.monotonic()
    lives.produce_until(lambda: has(lives, shard, ends), 60)
    assert has(lives, shard, ends), lives.stand()
    return round(time.monotonic() - began, 1)


@pytest.mark.timeout(7200)
def test_redis_is_away_for_long_and_then_a_shard_is_back_empty(
    lives: SharedLives, cluster: RedisCluster, rounds: Rounds, record_property: Record
) -> None:
    learners = two_learners(lives)
    wait_until(lambda: lives.rows_in_snapshots() > 0, 30)
    master, replica = cluster.pair_of(lives.shards.keys(1)[0])
    before = max(each.rss_bytes() for each in learners)
    for server in cluster.servers:
        server.kill()
    for server in (master, replica):
        shutil.rmtree(server.directory / "appendonlydir")
    lives.produce(60_000, padding=800)
    away = time.monotonic()
    lives.produce_until(lambda: time.monotonic() - away > rounds(8, 60), 100)
    assert [each.metric(AWAY) for each in learners] == [lives.shards.count] * 2
    grown = max(each.rss_bytes() for each in learners) - before
    for server in cluster.servers:
        server.start()
    began = time.monotonic()
    lives.wait_until_pushed(120)
    record_property("away_seconds", rounds(8, 60))
    record_property("caught_up_after_seconds", round(time.monotonic() - began, 1))
    record_property("grown_mebibytes", round(grown / MEBIBYTE, 1))
    assert grown < 32 * MEBIBYTE
    assert all(each.process.running for each in learners), lives.stand()
    assert any(each.restored_rows() > 0 for each in learners), "not from a snapshot"
    wait_until(lambda: [each.metric(AWAY) for each in learners] == [0, 0], 20)
    lives.check()
