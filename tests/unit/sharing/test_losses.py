"""Events that are not those that the shards have learned are a stop; `--accept-loss` goes on, and counts."""

from __future__ import annotations

from pathlib import Path

import pytest

from stream_ml._native import Plan
from stream_ml.errors import CannotContinue
from stream_ml.learning.ways_on import ACCEPT_LOSS
from stream_ml.sharing import events as comparing
from stream_ml.sharing.events import EventsGone
from stream_ml.sharing.standing import standing
from stream_ml.weights.journal import JournalReader
from stream_ml.weights.lines import Variant
from stream_ml.weights.shards import Answer
from tests.clicks import MODEL, event
from tests.unit.sharing.rig import SHARDS, Rig
from tests.unit.sharing.test_learning import rows_of

COUNTING = MODEL.replace("[learner]", '[learner]\noptimizer = "counting"')


@pytest.fixture
def learned(tmp_path: Path) -> Rig:
    """A model that has learned 100 events of one partition."""
    rig = Rig(tmp_path, model_text=COUNTING)
    rig.send(event(number) for number in range(100))
    life = rig.life()
    life.wait_until(rig.all_pushed)
    life.end()
    return rig


def make_topic_anew(rig: Rig) -> None:
    rig.log.delete_topic("events")
    rig.log.ensure_topic("events", 1)


def variant_line(rig: Rig, name: str) -> Variant:
    with JournalReader.open(rig.log, "clicks.journal") as reader:
        reader.read_to_end()
        line = reader.state.variants[name].line
    assert line is not None
    return line


def records(rig: Rig) -> float:
    return standing(rig.shards, Plan(rig.model.plan_bytes)).totals["records"]


@pytest.mark.parametrize("count", [150, 60])
def test_a_topic_that_was_made_anew_is_a_stop_and_accept_loss_learns_all_of_it(
    learned: Rig, count: int
) -> None:
    rows = rows_of(learned)
    make_topic_anew(learned)
    learned.send(event(number) for number in range(1000, 1000 + count))
    with pytest.raises(EventsGone, match="was made anew") as stopped:
        learned.life()
    assert ACCEPT_LOSS in str(stopped.value)
    assert records(learned) == 100
    life = learned.life(accept_loss=True)
    life.wait_until(learned.all_pushed)
    life.end()
    assert (life.variant.name, records(learned)) == ("v2", count)
    assert learned.fences() == [{0: count}] * SHARDS
    assert set(rows) <= set(rows_of(learned))
    line = variant_line(learned, "v2")
    assert (line.lost, line.events, line.seed and line.seed.variant) == (None, {0: 0}, "v1")
    # What was begun is gone on with by whoever comes next.
    assert learned.life().variant.name == "v2"


def test_a_learner_at_work_notices_that_the_topic_was_made_anew(learned: Rig) -> None:
    life = learned.life()
    life.wait_until(learned.all_pushed)
    make_topic_anew(learned)
    with pytest.raises(CannotContinue, match=r"made anew|is gone"):
        life.wait_until(lambda: False)


def test_events_that_only_some_shards_have_are_counted_as_lost_with_their_topic(learned: Rig) -> None:
    held = learned.shards._shards[1]  # type: ignore[attr-defined]
    held.fences[0] = held.fences[0]._replace(next=93)
    make_topic_anew(learned)
    learned.life(accept_loss=True).end()
    assert variant_line(learned, "v2").lost == {0: 7}


def test_what_only_some_shards_have_is_given_up_not_learned_twice(learned: Rig) -> None:
    held = learned.shards._shards[1]  # type: ignore[attr-defined]
    held.fences[0] = held.fences[0]._replace(next=93)
    learned.log.lose_the_tail("events", 0, 90)
    learned.send(event(number) for number in range(2000, 2008))
    learned.life(accept_loss=True).end()
    line = variant_line(learned, "v2")
    assert (line.lost, line.events) == ({0: 7}, {0: 98})


def test_a_partition_that_ends_before_what_was_learned_is_a_stop_and_ends_by_itself_when_asked(
    learned: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    learned.log.lose_the_tail("events", 0, 90)
    learned.send(event(number) for number in range(2000, 2005))
    life = learned.life()
    life.end()
    monkeypatch.setattr(comparing, "_PATIENCE_SECONDS", 0.3)
    life = learned.life()
    with pytest.raises(EventsGone, match=r"events\[0\] ends at 95, but v1 has learned up to 100") as stopped:
        life.wait_until(lambda: False)
    assert ACCEPT_LOSS in str(stopped.value)
    life = learned.life(accept_loss=True)
    learned.send(event(number) for number in range(3000, 3010))
    life.wait_until(learned.all_pushed)
    life.end()
    # What the topic still has was learned before.
    assert (variant_line(learned, "v2").events, records(learned)) == ({0: 95}, 10)


def test_records_that_retention_took_unlearned_are_counted_in_a_new_variant_if_that_is_accepted(
    learned: Rig,
) -> None:
    learned.send(event(number) for number in range(100, 300))
    learned.log.delete_records("events", 0, 150)
    with pytest.raises(EventsGone, match=r"skip SETTINGS --to 0:150 .*learn SETTINGS --accept-loss"):
        learned.life()
    life = learned.life(accept_loss=True)
    life.wait_until(learned.all_pushed)
    life.end()
    line = variant_line(learned, "v2")
    assert (line.lost, line.events, records(learned)) == ({0: 50}, {0: 150}, 150)


def test_what_others_learn_and_retention_takes_while_a_learner_starts_is_no_loss(learned: Rig) -> None:
    shards, looks = learned.shards, 0
    look = shards.look

    def while_others_learn(shard: int) -> Answer:
        nonlocal looks
        answer, looks = look(shard), looks + 1
        if looks == SHARDS:
            learned.send(event(number) for number in range(100, 200))
            for held in shards._shards.values():  # type: ignore[attr-defined]
                held.fences[0] = held.fences[0]._replace(next=200)
            learned.log.delete_records("events", 0, 150)
        return answer

    shards.look = while_others_learn  # type: ignore[method-assign]
    life = learned.life(accept_loss=True)
    life.wait_until(lambda: bool(life.sharing.loop.owned))
    life.end()
    assert life.variant.name == "v1"
