"""With shards too a challenger begins beside, with rows of its own; its champion's learners go over to it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from stream_ml._native import Learner, Plan, reserved_rows
from stream_ml.learning.loading import Loader
from stream_ml.learning.orders import Order
from stream_ml.retraining.comparing import Comparing
from stream_ml.retraining.promoting import caught_up, end_watch, promote, rollback
from stream_ml.weights.journal import JournalReader
from stream_ml.weights.shards_memory import MemoryShards
from stream_ml.weights.state import JournalState
from tests.clicks import MODEL, event
from tests.unit.learning.rig import new_learner
from tests.unit.sharing.rig import SHARDS, Life, Rig

BETTER = MODEL.replace("alpha = 0.3", "alpha = 0.1")
QUICK = {"snapshot_interval_seconds": 0.1}


@pytest.fixture
def rig(tmp_path: Path) -> Rig:
    rig = Rig(tmp_path, overrides=QUICK)
    rig.send(event(number) for number in range(300))
    return rig


def challenger(rig: Rig, **order: object) -> Rig:
    given = Order(**{"job": "job-1", "why": "test", "warm": True, "proof": "saves 2 %", **order})  # type: ignore[arg-type]
    other = replace(rig, model_text=BETTER, order=given)
    other.log, other.names, other.store, other.shards = rig.log, rig.names, rig.store, MemoryShards(SHARDS)
    return other


def state(rig: Rig) -> JournalState:
    with JournalReader.open(rig.log, "clicks.journal") as reader:
        reader.read_to_end()
        return reader.state


def both(rig: Rig) -> tuple[Rig, Life, Life]:
    """A champion that has learned and has a snapshot, and its challenger, which has caught up."""
    champion = rig.life()
    champion.wait_until(lambda: rig.all_pushed() and bool(state(rig).variants["v1"].snapshots))
    other = challenger(rig)
    life = other.life()
    life.wait_until(lambda: other.all_pushed() and caught_up(state(rig), "v2"))
    return other, champion, life


def test_it_begins_with_each_weight_of_the_champion_and_learns_under_its_own_name(rig: Rig) -> None:
    other, champion, life = both(rig)
    line = life.variant.line
    assert line is not None
    assert line.seed is not None
    loader = Loader(
        replace(rig.parties(None), model=other.model), lambda: Learner(Plan(other.model.plan_bytes))
    )
    adapted = loader.begun_with(line.seed.name)
    adapted.begin_image()
    while adapted.take_image(1000):
        pass
    bias = np.frombuffer(reserved_rows(adapted.seal_image().score_state), "<f4")[0]
    assert bias != 0
    rig.send(event(number) for number in range(300, 400))
    life.wait_until(lambda: other.all_pushed() and rig.all_pushed())
    assert state(rig).serving == "v1"
    for each in (champion, life):
        each.end()


def test_promoted_its_champions_learners_go_over_once_the_watch_is_over(rig: Rig) -> None:
    other, champion, life = both(rig)
    promote(rig.parties(rig.layout), "v2", "saves 2 %")
    rig.send(event(number) for number in range(300, 400))
    champion.wait_until(rig.all_pushed)
    end_watch(rig.parties(rig.layout), "better")
    champion.wait_ended()
    again = replace(rig)
    again.log, again.names, again.store, again.shards = rig.log, rig.names, rig.store, other.shards
    follower = again.life()
    assert follower.variant.name == "v2"
    rig.send(event(number) for number in range(400, 500))
    life.wait_until(other.all_pushed)
    life.end()
    rig.send(event(number) for number in range(500, 600))
    follower.wait_until(other.all_pushed)
    follower.end()


def test_rolled_back_it_ends_and_the_champion_has_lost_nothing(rig: Rig) -> None:
    _, champion, life = both(rig)
    promote(rig.parties(rig.layout), "v2", "saves 2 %")
    rollback(rig.parties(rig.layout), "worse")
    life.wait_ended()
    rig.send(event(number) for number in range(300, 400))
    champion.wait_until(rig.all_pushed)
    champion.end()
    assert state(rig).serving == "v1"


def test_a_cold_one_begins_where_it_is_ordered_to(rig: Rig) -> None:
    champion = rig.life()
    champion.wait_until(rig.all_pushed)
    other = challenger(rig, warm=False, events={0: 200})
    life = other.life()
    life.wait_until(other.all_pushed)
    assert life.variant.line is not None
    assert life.variant.line.events == {0: 200}
    for each in (champion, life):
        each.end()


def test_both_are_compared_from_snapshots_of_shards(rig: Rig) -> None:
    _, champion, life = both(rig)
    comparing = Comparing(rig.parties(rig.layout), state(rig), "v1", "v2", new_learner, block_records=50)
    rig.send(event(number) for number in range(300, 600))
    while comparing.turn(0.0):
        pass
    assert comparing.events_compared > 200
    comparing.close()
    for each in (champion, life):
        each.end()
