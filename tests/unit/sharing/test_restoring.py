"""A restore that fails or comes second leaves nothing behind, and takes all it brings from one snapshot."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from stream_ml.sharing.mending import Mender
from stream_ml.sharing.reading import CannotRead, read_shard
from stream_ml.sharing.restoring import Restorer
from stream_ml.weights.shards import Fence, Identity, Image, Rows, ShardUnavailable
from tests.unit.sharing.faulty import FaultyShards
from tests.unit.sharing.test_owning import Places

IMAGE = Image(5, {0: Fence(9)}, {})


class Source:
    """Three pieces of rows; *between* is called after each."""

    def __init__(self, between: list[str], shards: FaultyShards) -> None:
        self._between, self._shards = between, shards

    def image(self, shard: int) -> Image:
        return IMAGE

    def rows(self, shard: int) -> Iterator[Rows]:
        for at in range(3):
            yield Rows(np.array([3 * at], np.uint64), np.ones((1, 2), np.float32))
            if at == 1 and self._between:
                self._happen(shard, self._between.pop())

    def _happen(self, shard: int, what: str) -> None:
        if what == "away":
            self._shards.away = {shard}
        else:
            look = self._shards.look(shard)
            self._shards.restore(shard, 99, 0, (look.identity, 99), Image(0, {0: Fence(1)}, {}))


def restorer(between: list[str]) -> tuple[FaultyShards, Restorer]:
    shards = FaultyShards(2)
    return shards, Restorer(shards, Places(), lambda _: Source(between, shards))


def test_a_restore_that_another_overtook_gives_up_and_removes_what_it_staged() -> None:
    shards, restore = restorer(["another is first"])
    restore(1)
    assert not shards._staged
    assert shards.look(1).fences == {0: Fence(1)}


def test_what_a_failed_restore_staged_is_removed_by_the_next() -> None:
    shards, restore = restorer(["away"])
    with pytest.raises(ShardUnavailable):
        restore(1)
    assert len(shards._staged) == 1
    shards.away = set()
    restore(1)
    assert not shards._staged
    assert (shards.look(1).fences, shards.look(1).version) == (IMAGE.fences, 5)


@pytest.mark.parametrize("what", ["moved", "empty"])
def test_of_many_threads_that_meet_a_shard_in_need_one_mends_it(what: str) -> None:
    shards, restore = restorer([])
    places, restored = Places(), list[int]()
    places._last = first = 100  # above those of the restore

    def counted(shard: int) -> None:
        restored.append(shard)
        restore(shard)

    mender = Mender(shards, places, counted)
    if what == "moved":
        restore(1)
        shards.identity = Identity("another", "reign")
    together = threading.Barrier(8)

    def look(_: int) -> str:
        answer = shards.look(1)
        together.wait(10)
        mender.mend(1, answer)
        return mender.look(1).kind

    with ThreadPoolExecutor(8) as threads:
        assert set(threads.map(look, range(8))) == {"fences"}
    assert (len(restored), places._last - first) == ((0, 1) if what == "moved" else (1, 0))


def test_a_mender_brings_an_empty_shard_back() -> None:
    shards, restore = restorer([])
    assert Mender(shards, Places(), restore).look(1).fences == IMAGE.fences


def test_no_line_is_written_where_there_is_nothing_to_restore_from() -> None:
    shards, places = FaultyShards(1), Places()

    def away(_: int) -> Source:
        raise ShardUnavailable("the store is away")

    restore = Restorer(shards, places, away)
    for _ in range(3):
        with pytest.raises(ShardUnavailable, match="the store"):
            restore(0)
    assert places._last == 0


def test_a_server_that_may_evict_rows_is_neither_adopted_nor_restored() -> None:
    shards, restore = restorer([])
    mender = Mender(shards, Places(), restore)
    shards.evicts = True
    with pytest.raises(ShardUnavailable, match="maxmemory-policy"):
        mender.look(1)
    with pytest.raises(ShardUnavailable, match="maxmemory-policy"):
        mender.mend(1, shards.look(1))
    shards.evicts = False
    assert mender.look(1).fences == IMAGE.fences


def test_a_shard_is_not_read_to_its_end_by_a_process_that_is_to_end() -> None:
    shards, restore = restorer([])
    mender = Mender(shards, Places(), restore)
    assert len(mender.look(1).fences) == 1
    with pytest.raises(CannotRead, match="is to end"):
        read_shard(shards, mender, 1, lambda _: None, lambda: True)
