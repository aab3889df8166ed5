from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from stream_ml.weights.redis.access import Access, connect
from stream_ml.weights.redis.shards import RedisShards
from stream_ml.weights.shards import Shards
from stream_ml.weights.shards_memory import MemoryShards
from tests.servers.redis import RedisServer
from tests.unit.sharing.rig import Rig


@pytest.fixture
def rig(tmp_path: Path) -> Rig:
    return Rig(tmp_path)


@pytest.fixture(params=["memory", "redis"])
def new_shards(request: pytest.FixtureRequest) -> Iterator[Callable[[int], Shards]]:
    """Makes shards of a layout that nobody has: in memory, or in a real Redis."""
    if request.param == "memory":
        yield MemoryShards
        return
    server: RedisServer = request.getfixturevalue("redis_redis")
    client = connect(Access(server.url))
    yield lambda count: RedisShards(client, f"variant-{uuid.uuid4().hex[:8]}", 0, count)
    client.close()
