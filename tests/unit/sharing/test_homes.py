"""One Redis has a variant's rows: a second one, an old one, or one of another Kafka's learners is refused."""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest

from stream_ml.errors import RecoverableError
from stream_ml.learning.ways_on import ACCEPT_LOSS
from stream_ml.runtime.clock import SystemClock
from stream_ml.sharing.homes import AnotherRedis
from stream_ml.sharing.variant import KeptShards, SharedVariant
from stream_ml.weights.journal import JournalReader, JournalWriter
from stream_ml.weights.lines import Decision
from stream_ml.weights.shards import Identity, ShardUnavailable
from stream_ml.weights.shards_memory import MemoryShards
from tests.clicks import event
from tests.unit.sharing.exact import COUNTING, check_exact
from tests.unit.sharing.rig import SHARDS, Life, Rig

QUICK = {"snapshot_interval_seconds": 0.3}


@pytest.fixture
def learned(tmp_path: Path) -> Rig:
    """A model of two partitions that has learned 200 events, and whose learners are gone."""
    rig = Rig(tmp_path, partitions=2, model_text=COUNTING, overrides=QUICK)
    send(rig, 0, 200)
    learn(rig)
    return rig


def send(rig: Rig, first: int, end: int) -> None:
    """Send events; a repeat comes where what it repeats came."""
    for number in range(first, end):
        told = event(number)
        rig.send([told], sum(told) % rig.partitions)


def learn(rig: Rig) -> None:
    with at_work(rig) as life:
        life.wait_until(rig.all_pushed)


@contextmanager
def at_work(rig: Rig) -> Iterator[Life]:
    life = rig.life()
    yield life
    life.end()


def another_redis() -> MemoryShards:
    made = MemoryShards(SHARDS)
    made.identity = Identity("another", "redis")
    return made


def home(rig: Rig) -> str:
    homes = {rig.shards.look(shard).home for shard in range(SHARDS)}
    assert len(homes) == 1
    return homes.pop()


def test_an_empty_redis_is_refused_while_learners_are_at_work_with_another(learned: Rig) -> None:
    first, second = learned.shards, another_redis()
    with at_work(learned) as life:
        life.wait_until(learned.all_pushed)
        learned.shards = second
        newcomer = learned.life()
        with pytest.raises(AnotherRedis, match="learners are at work with another one"):
            newcomer.wait_until(lambda: False)
        assert {second.look(shard).kind for shard in range(SHARDS)} == {"empty"}
        learned.shards = first
        send(learned, 200, 300)
        life.wait_until(learned.all_pushed)
    check_exact(learned)


def test_the_learners_move_to_an_empty_redis_where_none_is_at_work_and_the_old_one_is_refused_then(
    learned: Rig,
) -> None:
    first, named = learned.shards, home(learned)
    learned.shards = another_redis()
    send(learned, 200, 300)
    learn(learned)
    check_exact(learned)
    assert home(learned) != named
    for identity in (first.look(0).identity, Identity("started", "again")):
        # As it was left, or started again since: then it would be adopted.
        assert isinstance(first, MemoryShards)
        first.identity, learned.shards = identity, first
        with pytest.raises(AnotherRedis, match="see `weights`") as refused:
            learned.life()
        assert ACCEPT_LOSS in str(refused.value)
    life = learned.life(accept_loss=True)
    life.wait_until(learned.all_pushed)
    life.end()
    assert life.variant.name == "v2"


def test_a_learner_at_work_stops_when_another_redis_has_become_the_home(learned: Rig) -> None:
    life = learned.life()
    life.wait_until(lambda: len(life.sharing.loop.owned) == 2)
    journal = JournalWriter(learned.log, "clicks.journal")
    with JournalReader.open(learned.log, "clicks.journal") as reader:
        reader.read_to_end()
        known = reader.state.decisions["home v1"]
    journal.append(Decision(kind="home", variant="v1", who="other", why="", replaces=known.place))
    with pytest.raises(AnotherRedis):
        life.wait_until(lambda: False)


def test_one_redis_that_lost_everything_is_the_home_again_and_counts_are_exact(learned: Rig) -> None:
    named = home(learned)
    with at_work(learned) as life:
        life.wait_until(learned.all_pushed)
        assert isinstance(learned.shards, MemoryShards)
        learned.shards._shards.clear()
        send(learned, 200, 260)
        life.wait_until(learned.all_pushed)
        # The learner that was at work goes on, over a look at the journal.
        send(learned, 260, 320)
        life.wait_until(learned.all_pushed)
    assert home(learned) != named
    check_exact(learned)


def test_all_learners_of_a_redis_that_lost_everything_go_on_whoever_of_them_is_first(learned: Rig) -> None:
    lives = [learned.life() for _ in range(3)]
    lives[0].wait_until(learned.all_pushed)
    assert isinstance(learned.shards, MemoryShards)
    for number in range(2):
        learned.shards._shards.clear()
        send(learned, 200 + 60 * number, 260 + 60 * number)
        lives[0].wait_until(learned.all_pushed)
    for life in lives:
        life.end()
    check_exact(learned)


def test_one_shard_that_is_lost_does_not_change_the_home(learned: Rig) -> None:
    named = home(learned)
    assert isinstance(learned.shards, MemoryShards)
    del learned.shards._shards[1]
    learn(learned)
    assert home(learned) == named
    check_exact(learned)


def test_shards_that_the_learners_of_another_kafka_left_are_refused(learned: Rig, tmp_path: Path) -> None:
    other = Rig(tmp_path / "other", partitions=2, model_text=COUNTING)
    other.shards = learned.shards
    send(other, 0, 50)
    with pytest.raises(AnotherRedis, match=r"the journal knows nothing of rows of v1") as refused:
        other.life()
    assert "another Kafka" in str(refused.value)
    life = other.life(accept_loss=True)
    life.wait_until(other.all_pushed)
    life.end()
    assert life.variant.name == "v2"
    check_exact(other)


def test_of_many_that_begin_at_once_all_go_on_with_one_home(tmp_path: Path) -> None:
    rig = Rig(tmp_path)
    parties = [rig.parties(rig.layout) for _ in range(6)]
    journal = JournalWriter(rig.log, "clicks.journal")
    _, variant = SharedVariant.begun(parties[0], journal)

    def kept(number: int) -> str:
        each = KeptShards(parties[number], variant, rig.shards, journal, rig.settings(), SystemClock())
        while True:
            try:
                return {each.mender.look(shard).home for shard in range(SHARDS)}.pop()
            except RecoverableError:
                continue

    with ThreadPoolExecutor(6) as threads:
        assert set(threads.map(kept, range(6))) == {home(rig)}


def test_who_dies_before_the_shards_have_the_name_holds_nobody_up(tmp_path: Path) -> None:
    rig = Rig(tmp_path)
    parties = rig.parties(rig.layout)
    journal = JournalWriter(rig.log, "clicks.journal")
    _, variant = SharedVariant.begun(parties, journal)
    journal.append(Decision(kind="home", variant=variant.name, who="dies", why="first rows"))
    rig.send(event(number) for number in range(40))
    life = rig.life()
    life.wait_until(rig.all_pushed)
    life.end()
    assert not home(rig).endswith("@dies")


def test_a_shard_that_does_not_answer_is_waited_for_before_another_home_is_chosen(tmp_path: Path) -> None:
    rig = Rig(tmp_path)

    class Away(MemoryShards):
        def settle(self, shard: int, home: str) -> object:  # type: ignore[override]
            raise ShardUnavailable("away")

    parties, journal = rig.parties(rig.layout), JournalWriter(rig.log, "clicks.journal")
    _, variant = SharedVariant.begun(parties, journal)
    kept = KeptShards(parties, variant, Away(SHARDS), journal, rig.settings(), SystemClock())
    with pytest.raises(ShardUnavailable):
        kept.mender.look(0)
    # The next try finds its own name, which nobody speaks for.
    again = KeptShards(parties, variant, rig.shards, journal, rig.settings(), SystemClock())
    assert again.mender.look(0).kind == "fences"


def test_an_empty_server_that_may_evict_rows_is_waited_for_and_not_taken_for_another(learned: Rig) -> None:
    empty = another_redis()
    empty.evicts, learned.shards = True, empty
    life = learned.life()
    time.sleep(0.5)
    empty.evicts = False
    life.wait_until(learned.all_pushed)
    life.end()


def test_who_hears_a_learner_that_was_quicker_with_the_same_redis_goes_on_beside_it(tmp_path: Path) -> None:
    rig = Rig(tmp_path)
    parties, journal = rig.parties(rig.layout), JournalWriter(rig.log, "clicks.journal")
    _, variant = SharedVariant.begun(parties, journal)
    journal.append(Decision(kind="home", variant=variant.name, who="lost everything", why="first rows"))
    quick, slow = (
        KeptShards(each, variant, rig.shards, journal, rig.settings(), SystemClock()).homes
        for each in (parties, rig.parties(rig.layout))
    )
    chosen: list[str] = []

    def hears_the_quick_one() -> bool:
        chosen.append(quick.choose())
        return False

    slow._is_silent = hears_the_quick_one  # type: ignore[method-assign]
    assert [slow.choose()] == chosen
