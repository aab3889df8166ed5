"""The pool of connections: the last one first, no more than its size, none after it is closed."""

from __future__ import annotations

import pytest

from stream_ml.serving.connections import Connection, Pool


class Idle(Connection):
    """One that was never opened."""

    def __init__(self) -> None:
        self.hung_up = False

    def close(self) -> None:
        self.hung_up = True


@pytest.mark.parametrize(("size", "kept"), [(0, 0), (1, 1), (3, 3), (9, 4)])
def test_a_pool_keeps_as_many_as_its_size_and_hangs_up_the_rest(size: int, kept: int) -> None:
    pool, idle = Pool("h", 1, size), [Idle() for _ in range(4)]
    for each in idle:
        pool.give_back(each)
    assert [each.hung_up for each in idle] == [False] * kept + [True] * (4 - kept)
    assert [pool.take() for _ in range(kept + 1)] == [*reversed(idle[:kept]), None]


def test_a_closed_pool_has_hung_up_what_was_idle_and_not_what_is_in_use() -> None:
    pool, used, idle = Pool("h", 1, 2), Idle(), Idle()
    pool.give_back(used)
    assert pool.take() is used
    pool.give_back(idle)
    pool.close()
    assert (idle.hung_up, used.hung_up, pool.take()) == (True, False, None)


def test_a_retired_pool_keeps_nothing_that_comes_back_to_it() -> None:
    pool, used, idle = Pool("h", 1, 2), Idle(), Idle()
    pool.give_back(idle)
    pool.retire()
    pool.give_back(used)
    assert (idle.hung_up, used.hung_up, pool.take()) == (True, True, None)
