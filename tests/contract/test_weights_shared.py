"""What shards of shared weights promise: in this process, in one Redis, and in a cluster with replicas."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator

import numpy as np
import pytest

from stream_ml.weights.redis.access import Access, connect
from stream_ml.weights.redis.shards import RedisShards
from stream_ml.weights.shards import (
    NO_ROWS,
    Answer,
    FeatureIds,
    Fence,
    Identity,
    Image,
    Owner,
    Push,
    Rows,
    Shards,
)
from stream_ml.weights.shards_memory import MemoryShards
from tests.servers.redis import RedisCluster, RedisServer

A, B = Owner(0, 1, "a1"), Owner(0, 2, "b1")
SHARDS = 3
Replace = Callable[[Shards], None]


@pytest.fixture(scope="module", params=["memory", "redis", "cluster"])
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def empty(kind: str, request: pytest.FixtureRequest) -> Iterator[Shards]:
    """A layout of which no shard is there yet."""
    if kind == "memory":
        yield MemoryShards(SHARDS)
        return
    server: RedisServer | RedisCluster = request.getfixturevalue(f"redis_{kind}")
    client = connect(Access(server.url))
    yield RedisShards(client, f"variant-{uuid.uuid4().hex[:8]}", 0, SHARDS)
    client.close()


@pytest.fixture
def shards(empty: Shards) -> Shards:
    for shard in range(SHARDS):
        answer = empty.restore(shard, 1, 0, (empty.look(shard).identity, 5), Image(0, {}, {}))
        assert (answer.kind, answer.incarnation, answer.version) == ("restored", 5, 0)
    return empty


@pytest.fixture
def replace_server(kind: str, request: pytest.FixtureRequest) -> Replace:
    """Let another server answer for every shard, with the same rows."""

    def replace(shards: Shards) -> None:
        if isinstance(shards, MemoryShards):
            shards.identity = Identity(uuid.uuid4().hex, "reign-2")
        elif kind == "redis":
            server: RedisServer = request.getfixturevalue("redis_redis")
            server.kill()
            server.start()
        else:
            cluster: RedisCluster = request.getfixturevalue("redis_cluster")
            cluster.promote_replicas()

    return replace


def ids(*numbers: int) -> FeatureIds:
    return np.array(numbers, np.uint64)


def rows(*numbers: int, z: float = 1.0, n: float = 1.0) -> Rows:
    return Rows(ids(*numbers), np.array([(z, n)] * len(numbers), np.float32).reshape(-1, 2))


def kinds(answers: list[Answer]) -> list[str]:
    return [answer.kind for answer in answers]


def taken(shards: Shards, owner: Owner) -> list[Answer]:
    return [shards.take(shard, owner) for shard in range(SHARDS)]


def push(
    shards: Shards, owner: Owner, first: int, end: int, *each: Rows, blob: bytes | None = b"x"
) -> list[str]:
    """Push a range of partition 0, whose home is shard 0."""
    given = [*each, *[NO_ROWS] * (SHARDS - len(each))]
    pushes = [
        Push(first, end, part, shard == 0, blob if shard == 0 else None) for shard, part in enumerate(given)
    ]
    return kinds(shards.push(owner, pushes))


def values(shards: Shards, shard: int, *numbers: int) -> list[tuple[float, float]]:
    wanted = [ids(*numbers) if each == shard else ids() for each in range(SHARDS)]
    return [(float(z), float(n)) for z, n in shards.pull(wanted)[shard].rows.values]


def fences(shards: Shards) -> list[int]:
    return [shards.look(shard).fences[0].next for shard in range(SHARDS)]


def as_dict(found: Rows) -> dict[int, tuple[float, float]]:
    return {int(id): (float(z), float(n)) for id, (z, n) in zip(found.ids, found.values, strict=True)}


def test_a_shard_that_is_not_there_says_so_and_takes_nothing(empty: Shards) -> None:
    assert empty.look(0).kind == "empty"
    assert empty.take(0, A).kind == "empty"
    assert push(empty, A, 0, 1, rows(0)) == ["empty"] * 3
    assert kinds(empty.pull([ids(0)] * 3)) == ["empty"] * 3
    assert [empty.changes(0, 0).kind, empty.page(0, 0, 10).kind, empty.close(0).kind] == ["empty"] * 3
    assert empty.adopt(0, empty.look(0).identity, 9).kind == "empty"
    assert empty.look(0).kind == "empty"


def test_pushed_rows_add_up_and_the_fence_moves_with_them(shards: Shards) -> None:
    taken(shards, A)
    assert push(shards, A, 0, 10, rows(3, 2**64 - 1), rows(1), blob=b"ten") == ["applied"] * 3
    assert push(shards, A, 10, 12, rows(3, z=-0.5, n=2.0), blob=b"twelve") == ["applied"] * 3
    assert values(shards, 0, 3, 2**64 - 1, 6) == [(0.5, 3.0), (1.0, 1.0), (0.0, 0.0)]
    look = shards.look(0)
    assert (fences(shards), dict(look.blobs)) == ([12, 12, 12], {0: b"twelve"})
    assert look.fences[0] == Fence(12, 1, "a1")


def test_sums_are_those_of_single_precision(shards: Shards) -> None:
    taken(shards, A)
    total = np.float32(0)
    for step, value in enumerate((0.1, 3e-8, -7.25, 1e6, 0.3)):
        push(shards, A, step, step + 1, rows(0, z=value))
        total += np.float32(value)
    assert values(shards, 0, 0)[0][0] == float(total)


def test_more_rows_than_one_inner_command_takes(shards: Shards) -> None:
    taken(shards, A)
    many = np.arange(0, 3 * 20_001, 3, dtype=np.uint64)
    deltas = np.stack([np.arange(len(many)), np.ones(len(many))], 1).astype(np.float32)
    for step in range(2):
        assert push(shards, A, step, step + 1, Rows(many, deltas)) == ["applied"] * 3
    pulled = shards.pull([many, ids(), ids()])[0].rows.values
    assert np.array_equal(pulled, deltas * 2)
    assert as_dict(shards.changes(0, 0).rows) == as_dict(Rows(many, deltas * 2))


def test_a_push_that_was_taken_already_is_a_duplicate_and_touches_nothing(shards: Shards) -> None:
    taken(shards, A)
    push(shards, A, 0, 10, rows(0))
    before = shards.look(0)
    assert push(shards, A, 0, 10, rows(0), blob=b"other") == ["duplicate"] * 3
    assert push(shards, A, 3, 9, rows(0)) == ["duplicate"] * 3
    assert shards.look(0) == before
    assert values(shards, 0, 0) == [(1.0, 1.0)]


@pytest.mark.parametrize("part", [(3, 11), (11, 12), (0, 11)])
def test_a_push_that_does_not_begin_at_the_fence_is_recut_and_touches_nothing(
    shards: Shards, part: tuple[int, int]
) -> None:
    taken(shards, A)
    push(shards, A, 0, 10, rows(0))
    before = shards.look(0)
    assert push(shards, A, *part, rows(0)) == ["recut"] * 3
    assert (shards.look(0), values(shards, 0, 0)) == (before, [(1.0, 1.0)])


def test_a_home_push_without_its_blob_is_not_applied(shards: Shards) -> None:
    taken(shards, A)
    assert push(shards, A, 0, 5, rows(0), blob=None) == ["recut", "applied", "applied"]
    assert fences(shards) == [0, 5, 5]
    assert push(shards, A, 0, 5, rows(0)) == ["applied", "duplicate", "duplicate"]


def test_only_the_newest_owner_pushes(shards: Shards) -> None:
    taken(shards, A)
    push(shards, A, 0, 5, rows(0))
    told = taken(shards, B)
    assert (kinds(told), [each.fences[0].next for each in told]) == (["taken"] * 3, [5] * 3)
    assert dict(told[0].blobs) == {0: b"x"}
    assert push(shards, A, 5, 7, rows(0)) == ["fenced"] * 3
    assert push(shards, B, 5, 7, rows(0)) == ["applied"] * 3
    assert values(shards, 0, 0) == [(2.0, 2.0)]


def test_a_take_only_raises(shards: Shards) -> None:
    assert kinds(taken(shards, B)) == ["taken"] * 3
    assert kinds(taken(shards, A)) == ["fenced"] * 3
    assert kinds(taken(shards, B)) == ["fenced"] * 3
    assert kinds(taken(shards, Owner(0, 2, "b2"))) == ["taken"] * 3
    assert kinds(taken(shards, Owner(7, 1, "a1"))) == ["taken"] * 3
    assert shards.look(0).fences == {0: Fence(0, 2, "b2"), 7: Fence(0, 1, "a1")}


def test_changes_are_the_rows_of_later_versions_absolute_and_each_once(shards: Shards) -> None:
    taken(shards, A)
    for step, part in enumerate((rows(0, 3), rows(3, 6), NO_ROWS, rows(9))):
        push(shards, A, step, step + 1, part)
    whole = shards.changes(0, 0)
    assert (whole.kind, whole.version, whole.incarnation) == ("changes", 3, 5)
    assert as_dict(whole.rows) == {0: (1.0, 1.0), 3: (2.0, 2.0), 6: (1.0, 1.0), 9: (1.0, 1.0)}
    assert as_dict(shards.changes(0, 1).rows) == {3: (2.0, 2.0), 6: (1.0, 1.0), 9: (1.0, 1.0)}
    assert (whole.fences[0].next, dict(whole.blobs)) == (4, {0: b"x"})
    nothing = shards.changes(0, 3)
    assert (nothing.kind, as_dict(nothing.rows)) == ("changes", {})


def test_changes_that_the_log_does_not_reach_back_to_are_behind(shards: Shards) -> None:
    taken(shards, A)
    push(shards, A, 0, 1, rows(0))
    assert shards.changes(0, 99).kind == "behind"
    image = Image(40, {0: Fence(9, 1, "a1")}, {})
    shards.close(1)
    shards.restore(1, 2, 0, (shards.look(1).identity, 6), image)
    assert [shards.changes(1, 39).kind, shards.changes(1, 40).kind] == ["behind", "changes"]


def test_a_home_is_named_before_the_shard_is_there_and_comes_with_every_look(
    empty: Shards, replace_server: Replace, kind: str
) -> None:
    assert empty.look(0).home == ""
    assert empty.settle(0, "first").kind == "settled"
    assert empty.settle(0, "home").kind == "settled"
    assert (empty.look(0).kind, empty.look(0).home, empty.look(1).home) == ("empty", "home", "")
    assert push(empty, A, 0, 1, rows(0)) == ["empty"] * 3
    image = Image(4, {0: Fence(9, 3, "c1")}, {}, "restored with")
    assert empty.restore(0, 7, 0, (empty.look(0).identity, 11), image).home == "restored with"
    assert empty.settle(0, "late").kind == "exists"
    if kind == "cluster":
        # Its masters vote for no second failover within seconds: another test here has one.
        return
    replace_server(empty)
    look = empty.look(0)
    assert (look.kind, look.home, look.incarnation, look.version) == ("moved", "restored with", 11, 4)
    assert look.fences == image.fences


def test_pages_are_all_rows(shards: Shards) -> None:
    taken(shards, A)
    many = np.arange(0, 3000, 3, dtype=np.uint64)
    push(shards, A, 0, 1, rows(*map(int, many)))
    found: dict[int, tuple[float, float]] = {}
    cursor, pages = 0, 0
    while True:
        page = shards.page(0, cursor, 100)
        assert (page.kind, page.version, page.fences[0].next) == ("page", 1, 1)
        found.update(as_dict(page.rows))
        cursor, pages = page.cursor, pages + 1
        if cursor == 0:
            break
    assert (sorted(found), pages > 3) == (many.tolist(), True)


def test_another_server_takes_nothing_until_it_is_adopted(shards: Shards, replace_server: Replace) -> None:
    taken(shards, A)
    push(shards, A, 0, 5, rows(0))
    replace_server(shards)
    look = shards.look(0)
    assert look.kind == "moved"
    assert push(shards, A, 5, 7, rows(0)) == ["moved"] * 3
    assert [shards.take(0, B).kind, shards.changes(0, 0).kind, shards.page(0, 0, 9).kind] == ["moved"] * 3
    assert kinds(shards.pull([ids(0)] * 3)) == ["moved"] * 3
    assert shards.adopt(0, Identity("another", look.identity.reign), 9).kind == "moved"
    assert shards.adopt(0, Identity(look.identity.process, "another"), 9).kind == "moved"
    for shard in range(SHARDS):
        adopted = shards.adopt(shard, shards.look(shard).identity, 9 + 2**41)
        assert (adopted.kind, adopted.incarnation) == ("adopted", 9 + 2**41)
    assert shards.adopt(0, look.identity, 8).incarnation == 9 + 2**41
    assert push(shards, A, 5, 7, rows(0)) == ["applied"] * 3
    assert values(shards, 0, 0) == [(2.0, 2.0)]


def test_a_restore_brings_rows_fences_and_blobs(empty: Shards) -> None:
    identity = empty.look(0).identity
    assert empty.stage(0, 7, rows(0, 3)).kind == "staged"
    assert empty.stage(0, 7, rows(3, 6, z=2.0)).kind == "staged"
    image = Image(40, {0: Fence(9, 3, "c1"), 1: Fence(2, 0, "")}, {0: b"\0blob"})
    answer = empty.restore(0, 7, 3, (identity, 11), image)
    assert (answer.kind, answer.incarnation, answer.version, answer.count) == ("restored", 11, 40, 3)
    assert (dict(answer.fences), dict(answer.blobs)) == (image.fences, image.blobs)
    assert values(empty, 0, 0, 3, 6) == [(1.0, 1.0), (2.0, 1.0), (2.0, 1.0)]


def test_rows_are_counted(shards: Shards) -> None:
    taken(shards, A)
    counts = []
    for first, ids in ((0, (3, 6, 9)), (1, (9, 12)), (2, ())):
        push(shards, A, first, first + 1, rows(*ids))
        counts.append([shards.look(shard).count for shard in range(SHARDS)])
    assert counts == [[3, 0, 0], [4, 0, 0], [4, 0, 0]]


def test_of_two_restores_the_second_finds_the_shard(empty: Shards) -> None:
    identity = empty.look(0).identity
    empty.stage(0, 7, rows(0))
    empty.stage(0, 8, rows(0, 3, z=9.0))
    assert empty.restore(0, 7, 1, (identity, 11), Image(1, {}, {})).kind == "restored"
    assert empty.restore(0, 8, 2, (identity, 12), Image(2, {}, {})).kind == "exists"
    assert values(empty, 0, 0, 3) == [(1.0, 1.0), (0.0, 0.0)]


def test_a_restore_checks_the_server_and_the_number_of_rows(empty: Shards) -> None:
    identity = empty.look(0).identity
    empty.stage(0, 7, rows(0))
    assert empty.restore(0, 7, 2, (identity, 11), Image(1, {}, {})).kind == "short"
    assert empty.restore(0, 7, 1, (Identity("x", "y"), 11), Image(1, {}, {})).kind == "empty"
    assert empty.look(0).kind == "empty"


def test_rows_that_arrive_after_their_restore_touch_nothing(empty: Shards) -> None:
    identity = empty.look(0).identity
    empty.stage(0, 7, rows(0))
    assert empty.restore(0, 7, 1, (identity, 11), Image(1, {}, {})).kind == "restored"
    assert empty.stage(0, 7, rows(0, 3, z=9.0)).kind == "exists"
    assert empty.unstage(0, 7).kind == "exists"
    assert values(empty, 0, 0, 3) == [(1.0, 1.0), (0.0, 0.0)]


def test_what_a_restore_staged_can_be_given_up(empty: Shards) -> None:
    identity = empty.look(0).identity
    empty.stage(0, 7, rows(0, 3))
    empty.stage(0, 8, rows(0))
    assert empty.unstage(0, 7).kind == "unstaged"
    assert empty.restore(0, 7, 2, (identity, 11), Image(1, {}, {})).kind == "short"
    assert empty.restore(0, 8, 1, (identity, 11), Image(1, {}, {})).kind == "restored"
    assert values(empty, 0, 0, 3) == [(1.0, 1.0), (0.0, 0.0)]


def test_a_closed_shard_is_empty(shards: Shards) -> None:
    taken(shards, A)
    push(shards, A, 0, 5, rows(0))
    assert shards.close(0).kind == "closed"
    assert push(shards, A, 5, 7, rows(0)) == ["empty", "applied", "applied"]
