"""The server-side library: loaded where it is missing, checked where it is not, and servers that are away."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from redis import Redis

from stream_ml.errors import ConfigError
from stream_ml.weights.redis.library import NAME, load, source
from stream_ml.weights.redis.shards import Access, RedisShards, connect
from stream_ml.weights.shards import ShardUnavailable
from tests.servers.redis import RedisServer, require_redis


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
    older = source().replace(NAME, "stream_ml_0")
    client.function_load(older)
    load(client)
    load(client)
    assert client.fcall(f"{NAME}_look", 1, "{none}:meta")[0] == b"empty"
    assert client.fcall("stream_ml_0_look", 1, "{none}:meta")[0] == b"empty"


def test_other_code_under_the_same_name_is_refused(client: Redis) -> None:
    client.function_load(source().replace("'closed'", "'shut'"))
    with pytest.raises(ConfigError, match=f"other code as {NAME}"):
        load(client)


def test_a_server_that_may_evict_weights_is_refused(client: Redis) -> None:
    client.config_set("maxmemory-policy", "allkeys-lru")
    with pytest.raises(ConfigError, match="maxmemory-policy is allkeys-lru"):
        load(client)


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
