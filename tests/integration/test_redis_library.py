"""The server-side library: loaded where it is missing, checked where it is not, and servers that are away."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import cast

import numpy as np
import pytest
from redis import Redis
from redis import RedisCluster as RedisCluster_

from stream_ml.errors import ConfigError
from stream_ml.sharing.mending import Mender, Places, Restore
from stream_ml.sharing.reading import read_shard
from stream_ml.weights.redis import shards as redis_shards
from stream_ml.weights.redis.access import Access, connect
from stream_ml.weights.redis.library import NAME, load, source
from stream_ml.weights.redis.shards import RedisShards
from stream_ml.weights.shards import Answer, Fence, Image, Owner, Push, Rows, ShardUnavailable
from tests.servers.processes import free_port, wait_until
from tests.servers.redis import RedisCluster, RedisServer, require_redis


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RedisServer]:
    """A Redis of this test's own that keeps nothing on a disk."""
    require_redis()
    made = RedisServer(tmp_path / "redis")
    try:
        yield made.start()
    finally:
        made.stop()


@pytest.fixture
def client(server: RedisServer) -> Iterator[Redis]:
    made = Redis(port=server.port)
    yield made
    made.close()


def test_the_library_is_loaded_once_and_another_version_stays_beside(client: Redis) -> None:
    older = source().replace(NAME, "stream_ml_1")
    client.function_load(older)
    load(client)
    load(client)
    assert client.fcall(f"{NAME}_look", 1, "{none}:meta")[0] == b"empty"
    assert client.fcall("stream_ml_1_look", 1, "{none}:meta")[0] == b"empty"


def test_other_code_under_the_same_name_is_refused(client: Redis) -> None:
    client.function_load(source().replace("'closed'", "'shut'"))
    with pytest.raises(ConfigError, match=f"other code as {NAME}"):
        load(client)


def test_a_server_that_may_evict_weights_is_refused(client: Redis) -> None:
    client.config_set("maxmemory-policy", "allkeys-lru")
    with pytest.raises(ConfigError, match="maxmemory-policy is allkeys-lru"):
        load(client)


def test_a_replica_that_would_evict_once_it_takes_over_is_refused(redis_cluster: RedisCluster) -> None:
    replicas = [Redis(port=server.port) for server in redis_cluster.servers]
    (replica, *_) = [each for each in replicas if each.info("replication")["role"] == "slave"]

    def all_are_known() -> bool:
        # A cluster tells of a replica once that has taken a write.
        client = connect(Access(redis_cluster.url))
        for number in range(64):
            client.set(f"key-{number}", b"")
        known = len(cast(RedisCluster_, client).get_nodes())  # type: ignore[no-untyped-call]
        client.close()
        return known == len(redis_cluster.servers)

    wait_until(all_are_known)
    replica.config_set("maxmemory-policy", "allkeys-random")
    try:
        with pytest.raises(ConfigError, match="maxmemory-policy is allkeys-random"):
            connect(Access(redis_cluster.url))
    finally:
        replica.config_set("maxmemory-policy", "noeviction")
    connect(Access(redis_cluster.url)).close()


def test_a_server_that_begins_to_evict_takes_nothing_until_it_does_not(
    server: RedisServer, client: Redis
) -> None:
    shards = RedisShards(connect(Access(server.url)), "v", 0, 1)
    assert (
        shards.restore(0, 1, 0, (shards.look(0).identity, 1), Image(0, {0: Fence(0)}, {})).kind == "restored"
    )
    owner, rows = Owner(0, 1, "me"), Rows(np.array([7], np.uint64), np.ones((1, 2), np.float32))
    assert shards.take(0, owner).kind == "taken"
    client.config_set("maxmemory-policy", "volatile-lru")
    assert [each.kind for each in shards.push(owner, [Push(0, 1, rows, True, b"b")])] == ["evicts"]
    assert [shards.look(0).kind, shards.take(0, Owner(0, 2, "x")).kind] == ["evicts"] * 2
    client.config_set("maxmemory-policy", "noeviction")
    assert [each.kind for each in shards.push(owner, [Push(0, 1, rows, True, b"b")])] == ["applied"]


def test_what_frees_memory_is_taken_where_there_is_none_left(server: RedisServer, client: Redis) -> None:
    shards = RedisShards(connect(Access(server.url)), "v", 0, 2)
    assert shards.restore(0, 1, 0, (shards.look(0).identity, 1), Image(0, {}, {})).kind == "restored"
    rows = Rows(np.arange(1000, dtype=np.uint64), np.ones((1000, 2), np.float32))
    assert shards.stage(1, 5, rows).kind == "staged"
    client.config_set("maxmemory", 1)
    with pytest.raises(ShardUnavailable, match="used memory"):
        shards.stage(1, 5, rows)
    # Who only reads would not notice.
    assert shards.look(0).kind == "fences"
    with pytest.raises(ShardUnavailable, match="used memory"):
        shards.probe(0)
    assert (shards.unstage(1, 5).kind, shards.close(0).kind) == ("unstaged", "closed")


def test_a_client_whose_servers_are_all_gone_asks_the_url_again(
    server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(redis_shards, "_ANEW_SECONDS", 0.0)
    gone = Redis(port=free_port())
    shards = RedisShards(gone, "v", 0, 1, lambda: connect(Access(server.url)))
    with pytest.raises(ShardUnavailable):
        shards.look(0)
    assert shards.look(0).kind == "empty"


def test_a_server_that_began_empty_is_given_the_library_again(
    server: RedisServer,
) -> None:
    shards = RedisShards(connect(Access(server.url)), "v", 0, 1)
    assert shards.look(0).kind == "empty"
    server.kill()
    server.start()
    assert shards.look(0).kind == "empty"


def test_a_server_that_is_away_is_a_shard_that_is_unavailable(server: RedisServer) -> None:
    shards = RedisShards(connect(Access(server.url)), "v", 0, 1)
    server.kill()
    with pytest.raises(ShardUnavailable):
        shards.look(0)
    with pytest.raises(ShardUnavailable):
        connect(Access(server.url))


def test_more_changes_than_fit_an_answer_come_in_several_up_to_the_last_version(server: RedisServer) -> None:
    shards = RedisShards(connect(Access(server.url)), "v", 0, 1)
    identity = shards.look(0).identity
    assert shards.restore(0, 1, 0, (identity, 1), Image(0, {0: Fence(0)}, {})).kind == "restored"
    owner = Owner(0, 1, "me")
    assert shards.take(0, owner).kind == "taken"
    versions = [np.arange(at, at + 60_000, dtype=np.uint64) * 2**44 + 7 for at in (0, 60_000, 30_000)]
    for version, ids in enumerate(versions):
        values = np.full((len(ids), 2), version + 1, np.float32)
        push = Push(version, version + 1, Rows(ids, values), home=True, blob=b"blob")
        assert [each.kind for each in shards.push(owner, [push])] == ["applied"]

    first = shards.changes(0, 0)
    assert (first.kind, first.version, first.cursor) == ("changes", 2, 1)
    last = shards.changes(0, first.version)
    assert (last.version, last.cursor) == (3, 0)
    assert set(first.rows.ids) == set(versions[0]) | set(versions[1])
    assert set(last.rows.ids) == set(versions[2])
    taken: dict[int, float] = {}

    def take(rows: Rows) -> None:
        taken.update(zip(rows.ids.tolist(), rows.values[:, 0].tolist(), strict=True))

    class Restless(RedisShards):
        """Changes of all versions are to be read after the pages."""

        def look(self, shard: int) -> Answer:
            return replace(super().look(shard), version=0)

    restless = Restless(connect(Access(server.url)), "v", 0, 1)
    mender = Mender(restless, cast(Places, None), cast(Restore, None))
    assert read_shard(restless, mender, 0, take).version == 3
    # 1 of the first, 2 of the second, 3 of the third; the third overlaps both by half.
    assert (len(taken), sum(taken.values())) == (120_000, 60_000 * (1 + 2 + 3))
