"""Events that are gone are a stop that names the skip; the skip moves every fence, and is counted."""

from __future__ import annotations

import pytest

from stream_ml._native import Plan
from stream_ml.cli.offsets import known_stands
from stream_ml.errors import CannotContinue, ConfigError
from stream_ml.learning.skipping import skip
from stream_ml.learning.ways_on import skip_to
from stream_ml.sharing.homes import AnotherRedis
from stream_ml.sharing.standing import standing
from stream_ml.weights.journal import JournalReader
from stream_ml.weights.shards import Identity
from tests.clicks import event
from tests.unit.sharing.rig import SHARDS, Rig


def test_events_that_retention_took_are_skipped_as_the_stop_says(rig: Rig) -> None:
    rig.send(event(number) for number in range(100))
    life = rig.life()
    life.wait_until(rig.all_pushed)
    life.end()
    rig.send(event(number) for number in range(100, 300))
    rig.log.delete_records("events", 0, 150)
    with pytest.raises(CannotContinue) as stopped:
        rig.life()
    assert skip_to({0: 150}) in str(stopped.value)
    stands = standing(rig.shards, Plan(rig.model.plan_bytes))
    (decision,) = skip(rig.parties(rig.layout), {0: 150}, {0: stands.next(0)})
    assert (decision.next, decision.lost) == (150, 50)
    life = rig.life()
    life.wait_until(rig.all_pushed)
    life.end()
    assert rig.fences() == [{0: 300}] * SHARDS
    totals = standing(rig.shards, Plan(rig.model.plan_bytes)).totals
    assert totals["records"] == 250
    # Once taken, it moves nothing any more.
    rig.send(event(number) for number in range(300, 320))
    life = rig.life()
    life.wait_until(rig.all_pushed)
    life.end()
    assert standing(rig.shards, Plan(rig.model.plan_bytes)).totals["records"] == 270


@pytest.fixture
def learned(rig: Rig) -> Rig:
    """100 events are learned, 200 more have come, and no learner is at work."""
    rig.send(event(number) for number in range(100))
    life = rig.life()
    life.wait_until(rig.all_pushed)
    life.end()
    rig.send(event(number) for number in range(100, 300))
    return rig


def stands(rig: Rig) -> dict[int, int]:
    told = standing(rig.shards, Plan(rig.model.plan_bytes))
    with JournalReader.open(rig.log, "clicks.journal") as reader:
        reader.read_to_end()
        return known_stands(told, "v1", reader.state, 1)


def test_what_is_lost_is_counted_from_what_a_redis_that_was_started_again_has(learned: Rig) -> None:
    learned.shards.identity = Identity("started", "again")  # type: ignore[attr-defined]
    (decision,) = skip(learned.parties(learned.layout), {0: 150}, stands(learned))
    assert decision.lost == 50
    with pytest.raises(ConfigError, match="is not between them"):
        skip(learned.parties(learned.layout), {0: 50}, stands(learned))


def test_nothing_is_skipped_while_a_shard_does_not_say_how_far_it_has_learned(learned: Rig) -> None:
    learned.shards.close(1)
    with pytest.raises(CannotContinue, match=r"shard 1 of v1 in Redis answers 'empty'(.|\n)*start a learner"):
        stands(learned)


def test_nothing_is_skipped_by_what_another_redis_says(learned: Rig) -> None:
    learned.shards._shards[2].home = "7@others"  # type: ignore[attr-defined]
    with pytest.raises(AnotherRedis, match="belongs to 7@others"):
        stands(learned)
