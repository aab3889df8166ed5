"""Learners that share weights are killed, frozen and fenced, and Redis with them: every count stays exact."""

from __future__ import annotations

import signal
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random

import pytest

from tests.clicks import MODEL
from tests.servers.kafka import KafkaServer, require_kafka
from tests.servers.processes import wait_until
from tests.servers.proxy import Proxy
from tests.servers.redis import RedisServer, require_redis
from tests.system.shared_lives import SESSION_SECONDS, Learner, SharedLives, quick_groups

Record = Callable[[str, object], None]
Rounds = Callable[[int, int], int]
PARTITIONS = 12


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[KafkaServer]:
    require_kafka()
    server = quick_groups(tmp_path / "kafka")
    try:
        yield server.start()
    finally:
        server.stop()


@pytest.fixture
def redis(tmp_path: Path) -> Iterator[RedisServer]:
    """A Redis of this test's own, whose data do not survive it."""
    require_redis()
    server = RedisServer(tmp_path / "redis")
    try:
        yield server.start()
    finally:
        server.stop()


@pytest.fixture
def lives(broker: KafkaServer, redis: RedisServer, tmp_path: Path) -> Iterator[SharedLives]:
    lives = SharedLives(broker, redis.url, tmp_path / "model", PARTITIONS)
    yield lives
    lives.close()


class Storm:
    """Four learners, each of which may be killed, frozen or ended at any time; another takes its place."""

    def __init__(self, lives: SharedLives, random: Random, each_tick: int = 20) -> None:
        self.lives, self.random, self.each_tick = lives, random, each_tick
        self.members = [lives.start() for _ in range(4)]
        wait_until(lambda: all(member.metrics() for member in self.members), 30)
        self.acts: Counter[str] = Counter()
        self.ended: Counter[str] = Counter()

    def blow(self) -> None:
        """Do the next act; events come all the while."""
        member = self.members.pop(0)
        act = self.random.choice(("kill", "kill", "freeze", "end"))
        self.acts[act] += 1
        if act == "freeze":
            self._freeze(member)
            return
        self.ended += member.ended()
        if act == "kill":
            member.process.kill()
        else:
            # One that has hardly begun knows no signals yet.
            assert member.process.terminate() in (0, -signal.SIGTERM), member.process.tail()
        self.members.append(self.lives.start())
        self._go_on(self.random.uniform(0.3, 1.5))

    def _freeze(self, member: Learner) -> None:
        """Long enough to be missed, or not."""
        # So that it is likely to have something on its way.
        self.lives.produce(600)
        self._go_on(0.05)
        member.process.freeze()
        self._go_on(SESSION_SECONDS * self.random.choice((0.3, 1.7)))
        member.process.thaw()
        self.members.append(member)
        self._go_on(0.3)

    def _go_on(self, seconds: float) -> None:
        self.lives.produce_until(lambda: False, seconds, self.each_tick)

    def fenced(self) -> int:
        """Return how many ownerships ended as fenced, until now."""
        return self.ended["fenced"] + sum(member.ended()["fenced"] for member in self.members)

    def over(self) -> None:
        """Let the learners that are left learn the rest."""
        self.lives.wait_until_pushed()
        for member in self.members:
            assert member.process.running, member.process.tail()
            self.ended += member.ended()


@pytest.mark.timeout(7200)
def test_four_learners_are_killed_frozen_and_ended_and_every_count_is_exact(
    lives: SharedLives, rounds: Rounds, random: Random, record_property: Record
) -> None:
    storm = Storm(lives, random)
    lives.produce(2000)
    generations = rounds(20, 100)
    # Of those frozen some sleep through nothing that they would push: it goes on until one is fenced.
    while lives.generation() < generations or not storm.fenced():
        assert storm.acts.total() < 5 * generations, dict(storm.acts)
        storm.blow()
    storm.over()
    record_property("generations", lives.generation())
    record_property("acts", dict(storm.acts))
    record_property("ownerships_ended", dict(storm.ended))
    record_property("events", lives.produced)
    assert storm.ended["fenced"] > 0, dict(storm.ended)
    lives.check()


def model_of(name: str) -> str:
    """
    Return a model that learns the clicks in small steps.

    They have some 1,500 features: each batch has most of them, and what learners add up at the same time, all
    from the same old rows, is a step as much too large as there are learners.
    """
    return MODEL.replace("clicks", name).replace("alpha = 0.3", "alpha = 0.03")


@pytest.mark.timeout(7200)
def test_a_storm_costs_less_than_a_thousandth_of_the_log_loss(
    broker: KafkaServer,
    redis: RedisServer,
    tmp_path: Path,
    rounds: Rounds,
    random: Random,
    record_property: Record,
) -> None:
    """With FTRL, where the order of learners matters; as many learn the same events undisturbed."""
    calm, stormy = (
        SharedLives(broker, redis.url, tmp_path / name, PARTITIONS, model=model_of(name), small_batches=True)
        for name in ("calm", "stormy")
    )
    try:
        calm.records = stormy.records
        for _ in range(4):
            calm.start()
        storm = Storm(stormy, random, each_tick=80)
        # What the order of the first batches changes is little among so many events (0.0011 of 15,000).
        while stormy.generation() < rounds(5, 100) or stormy.produced < 40_000:
            storm.blow()
        storm.over()
        calm.wait_until_pushed()
        losses = {lives.name: lives.log_loss() for lives in (calm, stormy)}
        record_property("log_losses", {name: round(loss, 6) for name, loss in losses.items()})
        record_property("generations", stormy.generation())
        record_property("events", stormy.produced)
        for lives in (calm, stormy):
            lives.check_totals()
        assert abs(losses["stormy"] / losses["calm"] - 1) <= 0.001
    finally:
        calm.close()
        stormy.close()


@pytest.mark.parametrize("caught", [True, False], ids=["with a push in its socket", "anywhere"])
def test_a_learner_that_slept_through_a_takeover_is_fenced_and_learns_again(
    lives: SharedLives, redis: RedisServer, caught: bool
) -> None:
    proxy = Proxy(redis.port)
    sleeper = lives.start(f"redis://127.0.0.1:{proxy.port}")
    lives.start()
    lives.produce_until(lambda: shared_by(lives, 2), 40)
    if caught:
        proxy.hold_at(b"_push")
        lives.produce_until(proxy.held.is_set, 20)
    sleeper.process.freeze()
    lives.produce_until(lambda: shared_by(lives, 1), 20)
    lives.wait_until_pushed()
    proxy.release()
    if caught:
        wait_until(lambda: b"fenced" in proxy.heard, 10)
        assert b"applied" not in proxy.heard
        assert lives.all_pushed(), "a push that was refused has touched something"
    sleeper.process.thaw()
    before = sleeper.pushed_events()
    lives.produce_until(lambda: shared_by(lives, 2) and sleeper.pushed_events() > before, 40)
    assert sleeper.process.running, sleeper.process.tail()
    assert sleeper.pushed_events() > before
    assert sleeper.ended()["fenced"] >= caught
    lives.wait_until_pushed()
    lives.check()
    proxy.close()


def shared_by(lives: SharedLives, learners: int) -> bool:
    """Whether so many own partitions, each of all shards."""
    looks = [lives.shards.look(shard) for shard in range(lives.shards.count)]
    owners = {fence.owner for look in looks for fence in look.fences.values()}
    return len(owners) == learners and all(len(look.fences) == PARTITIONS for look in looks)
