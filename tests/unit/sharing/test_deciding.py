"""Decisions in the journal are followed by all that share a variant: stop, resume, and the end of it."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path

import pytest

from stream_ml.learning.deciding import decide, decision
from stream_ml.learning.skipping import skip
from stream_ml.weights import shards_memory
from stream_ml.weights.journal import JournalReader, JournalWriter
from stream_ml.weights.shards import Identity
from tests.clicks import event
from tests.unit.sharing.exact import COUNTING, check_exact
from tests.unit.sharing.rig import SHARDS, Rig


@pytest.fixture
def rig(tmp_path: Path) -> Rig:
    return Rig(tmp_path, partitions=2, model_text=COUNTING, overrides={"snapshot_interval_seconds": 0.3})


def send(rig: Rig, first: int, end: int) -> None:
    for number in range(first, end):
        told = event(number)
        rig.send([told], sum(told) % rig.partitions)


def say(rig: Rig, kind: str, variant: str = "v1") -> None:
    parties = rig.parties(rig.layout)
    decide(parties, lambda state: [decision(state, kind, variant, "me", "test")])  # type: ignore[arg-type]


def test_all_learners_of_a_variant_pause_while_it_is_stopped_and_go_on_with_every_event(rig: Rig) -> None:
    send(rig, 0, 100)
    lives = [rig.life(), rig.life()]
    lives[0].wait_until(rig.all_pushed)
    say(rig, "stop")
    # The loops, too, not only who reads the journal: a turn that has begun ends.
    lives[0].wait_until(lambda: not any(life.sharing.loop._learned for life in lives))
    before = rig.fences()
    send(rig, 100, 200)
    heartbeats = [rig.log.bounds("clicks.weights", p).next for p in range(2)]
    time.sleep(1)
    assert rig.fences() == before
    # Serving goes on: who listens still hears of them.
    assert [rig.log.bounds("clicks.weights", p).next for p in range(2)] > heartbeats
    # One that starts meanwhile learns nothing either.
    lives.append(rig.life())
    time.sleep(1)
    assert rig.fences() == before
    say(rig, "resume")
    lives[0].wait_until(rig.all_pushed)
    for life in lives:
        life.end()
    check_exact(rig)


def test_learning_goes_on_behind_what_was_skipped_while_it_was_stopped(rig: Rig) -> None:
    send(rig, 0, 100)
    life = rig.life()
    life.wait_until(rig.all_pushed)
    say(rig, "stop")
    life.wait_until(lambda: not life.sharing._chores.learns)
    stands = rig.fences()[0]
    send(rig, 100, 200)
    ends = {p: rig.log.bounds("events", p).next for p in range(2)}
    skip(rig.parties(rig.layout), {0: ends[0] - 5}, stands)
    pushed = life.sharing.loop.learned
    say(rig, "resume")
    life.wait_until(rig.all_pushed)
    life.end()
    assert life.sharing.loop.learned - pushed <= 5 + ends[1] - stands[1]


def test_a_variant_that_is_stopped_while_another_serves_is_over_and_its_learners_end_in_peace(
    rig: Rig,
) -> None:
    send(rig, 0, 50)
    life = rig.life()
    life.wait_until(rig.all_pushed)
    say(rig, "stop")
    with JournalReader.open(rig.log, "clicks.journal") as reader:
        reader.read_to_end()
        line = reader.state.variants["v1"].line
    assert line is not None
    JournalWriter(rig.log, "clicks.journal").append(replace(line, variant="v2"))
    say(rig, "serve", "v2")
    life._thread.join(10)
    assert not life._thread.is_alive()
    assert life.error is None


def test_of_several_learners_the_one_of_partition_0_takes_the_snapshots(rig: Rig) -> None:
    rig.overrides["snapshot_interval_seconds"] = 1000
    send(rig, 0, 100)
    lives = [rig.life(), rig.life()]
    lives[0].wait_until(lambda: rig.all_pushed() and all(len(life.sharing.loop.owned) == 1 for life in lives))
    taken: list[bool] = []
    for life in lives:
        snapshots = life.sharing._kept.snapshots

        def take(*args, real=snapshots.take, life=life):  # type: ignore[no-untyped-def]
            taken.append(0 in life.sharing.loop.owned)
            return real(*args)

        snapshots.take = take  # type: ignore[method-assign]
    for number in range(3):
        before = len(taken)
        rig.shards.identity = Identity(f"again-{number}", "reign")  # type: ignore[attr-defined]
        lives[0].wait_until(lambda before=before: len(taken) > before)  # type: ignore[misc]
        time.sleep(0.5)
    assert all(taken)
    for life in lives:
        life.end()


def test_a_publisher_goes_on_with_a_shard_from_the_newest_snapshot_of_others(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shards_memory, "LOG_VERSIONS", 20)
    first = rig.life()
    send(rig, 0, 100)
    first.wait_until(lambda: rig.all_pushed() and first.sharing._chores._known is not None)
    rig.overrides["snapshot_interval_seconds"] = 1000
    second = rig.life()
    second.wait_until(lambda: len(second.sharing.loop.owned) == 1 and bool(second.sharing._chores._mine))
    assert 0 in first.sharing.loop.owned
    # Further than the shards remember what changed.
    for at in range(100, 1100, 20):
        send(rig, at, at + 20)
        second.wait_until(rig.all_pushed)
    versions = [rig.shards.look(shard).version for shard in range(SHARDS)]
    newest = first.sharing._chores._newest
    second.wait_until(lambda: [each.version for each in newest.streams() or ()] == versions)
    taken: list[None] = []
    monkeypatch.setattr(second.sharing._kept.snapshots, "take", lambda *_: taken.append(None))
    first.end()
    second.wait_until(lambda: len(second.sharing.loop.owned) == 2)
    second.wait_until(lambda: len(second.sharing._chores._publisher._published) == SHARDS)
    time.sleep(0.5)
    assert not second.sharing._chores._publisher.snapshot_wanted
    assert not taken
    second.end()
