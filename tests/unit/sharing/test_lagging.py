"""The lag of the partitions that a learner owns, in records and seconds; none of those that it gave away."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from stream_ml.runtime.clock import ManualClock
from stream_ml.runtime.metrics import REGISTRY
from stream_ml.sharing.lagging import Lag
from tests.clicks import event
from tests.unit.sharing.rig import Rig


def lag_of(partition: int) -> float | None:
    return REGISTRY.get_sample_value(
        "stream_ml_learner_lag_records", {"model": "lagging", "partition": str(partition)}
    )


def seconds() -> float | None:
    return REGISTRY.get_sample_value("stream_ml_learner_lag_seconds", {"model": "lagging"})


def test_lag_is_shown_of_what_is_owned_and_only_of_that(rig: Rig) -> None:
    rig.send(event(number) for number in range(100))
    clock = ManualClock(5_000.0)
    owned: dict[int, Any] = {0: SimpleNamespace(next=60, newest_at=4_990.0)}
    lag = Lag("lagging", rig.log, "events", lambda: owned, clock)
    lag.turn()
    assert (lag_of(0), seconds()) == (40, 10)
    owned[0] = SimpleNamespace(next=100, newest_at=4_990.0)
    lag.turn()
    assert (lag_of(0), seconds()) == (0, 0)
    owned.clear()
    lag.turn()
    assert (lag_of(0), seconds()) == (None, 0)


def test_a_wait_counts_from_when_nothing_was_left_or_the_partition_came(rig: Rig) -> None:
    rig.send(event(number) for number in range(100))
    clock = ManualClock(5_000.0)
    owned: dict[int, Any] = {0: SimpleNamespace(next=60, newest_at=0.0)}
    lag = Lag("lagging", rig.log, "events", lambda: owned, clock)
    lag.turn()
    clock.advance(7)
    lag.turn()
    assert seconds() == 7, "nothing was learned since it came"
    owned[0] = SimpleNamespace(next=100, newest_at=4_000.0)
    lag.turn()
    assert seconds() == 0
    rig.send([event(100)])
    clock.advance(3)
    lag.turn()
    assert seconds() == 3, "the pause before it is no wait"
    owned[0] = SimpleNamespace(next=50, newest_at=4_000.0)
    lag = Lag("lagging", rig.log, "events", lambda: owned, clock)
    lag.turn()
    assert seconds() == 1_010, "a backlog that is older than the process"
