"""Events that are gone are a stop that names the skip; the skip moves every fence, and is counted."""

from __future__ import annotations

import pytest

from stream_ml._native import Plan
from stream_ml.errors import CannotContinue
from stream_ml.learning.skipping import skip
from stream_ml.learning.ways_on import skip_to
from stream_ml.sharing.standing import standing
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
