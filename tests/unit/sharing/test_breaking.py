"""With shards too learning stops where labels break, whichever learner sees it first, until resumed."""

from __future__ import annotations

from pathlib import Path

import pytest

from stream_ml.learning.resuming import learn_backlog
from stream_ml.retraining.promoting import caught_up, end_watch, promote
from stream_ml.weights.lines import Decision
from tests.unit.learning.test_breaking import MODEL, RATE, stream
from tests.unit.sharing.rig import Rig
from tests.unit.sharing.test_challenging import challenger, state


@pytest.fixture
def rig(tmp_path: Path) -> Rig:
    return Rig(tmp_path, partitions=2, model_text=MODEL)


def send(rig: Rig, count: int, first: int, rate: float) -> None:
    for number, event in enumerate(stream(count, first, rate)):
        rig.send([event], number % 2)


def test_a_challenger_that_was_promoted_is_looked_at_too(tmp_path: Path) -> None:
    rig = Rig(tmp_path, partitions=2, model_text=MODEL, overrides={"snapshot_interval_seconds": 0.1})
    send(rig, 1_000, 0, RATE)
    champion = rig.life()
    champion.wait_until(lambda: rig.all_pushed() and bool(state(rig).variants["v1"].snapshots), 60)
    other = challenger(rig)
    other.model_text = MODEL.replace("50", "60")
    life = other.life()
    life.wait_until(lambda: other.all_pushed() and caught_up(state(rig), "v2"), 60)
    promote(rig.parties(rig.layout), "v2", "better")
    end_watch(rig.parties(rig.layout), "better")
    send(other, 8_000, 1_000, RATE)
    life.wait_until(other.all_pushed, 60)
    send(other, 3_000, 9_000, 1.0)
    life.wait_until(lambda: not state(rig).learns("v2"), 30)
    for each in (champion, life):
        each.end()


def test_a_flood_stops_all_learners_and_the_backlog_is_learned_when_resumed(rig: Rig) -> None:
    send(rig, 8_000, 0, RATE)
    lives = [rig.life(), rig.life()]
    lives[0].wait_until(rig.all_pushed, 60)
    send(rig, 3_000, 8_000, 1.0)
    lives[0].wait_until(lambda: not state(rig).learns("v1"), 30)
    lives[0].wait_until(lambda: not any(life.sharing.loop._learned for life in lives))
    learned = sum(life.sharing.loop.learned for life in lives)
    assert 8_000 < learned < 9_500
    said = [e.decision for e in state(rig).decisions.values() if e.decision.kind == "stop"]
    assert [isinstance(each, Decision) and "labels broke" in each.why for each in said] == [True]
    learn_backlog(rig.parties(rig.layout), "a campaign")
    lives[0].wait_until(rig.all_pushed, 60)
    for life in lives:
        life.end()
    assert state(rig).learns("v1")
