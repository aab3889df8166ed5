"""Who operates learners hears at once of shards that are away, and a learner that is to end ends."""

from __future__ import annotations

from typing import cast

from stream_ml.runtime.lifecycle import Stop
from stream_ml.runtime.metrics import REGISTRY
from stream_ml.sharing.lagging import Lag
from stream_ml.sharing.watching import Watch
from stream_ml.weights.shards import Answer, ShardUnavailable
from tests.clicks import event
from tests.unit.sharing.faulty import FaultyShards
from tests.unit.sharing.rig import Rig

SHARDS = 8


def unavailable() -> float | None:
    return REGISTRY.get_sample_value("stream_ml_learner_shards_unavailable", {"model": "watched"})


class Away(FaultyShards):
    """Nobody reaches them; *seen* is what the metric said before each look."""

    def __init__(self, stop: Stop | None = None) -> None:
        super().__init__(SHARDS)
        self.seen: list[float | None] = []
        self._stop = stop

    def probe(self, shard: int) -> Answer:
        self.seen.append(unavailable())
        if self._stop is not None and len(self.seen) == 3:
            self._stop.request()
        raise ShardUnavailable("away")


def watch(shards: FaultyShards) -> Watch:
    return Watch("watched", shards, cast(Lag, None), 1.0)


def test_the_metric_rises_with_each_shard_and_not_once_all_were_waited_for() -> None:
    shards = Away()
    watch(FaultyShards(0)).look(Stop())
    watch(shards).look(Stop())
    assert (shards.seen, unavailable()) == ([float(number) for number in range(SHARDS)], SHARDS)


def test_a_look_ends_between_two_shards_when_it_is_asked_to() -> None:
    stop = Stop()
    shards = Away(stop)
    watch(shards).look(stop)
    assert len(shards.seen) == 3


def test_a_server_that_may_evict_rows_counts_as_unavailable() -> None:
    shards = FaultyShards(2)
    shards.evicts = True
    watch(shards).look(Stop())
    assert unavailable() == 2
    shards.evicts = False
    watch(shards).look(Stop())
    assert unavailable() == 0


def test_a_learner_waits_while_its_server_may_evict_rows_and_goes_on_by_itself(rig: Rig) -> None:
    life = rig.life()
    rig.send(event(number) for number in range(50))
    life.wait_until(rig.all_pushed)
    rig.shards.evicts = True  # type: ignore[attr-defined]
    rig.send(event(number) for number in range(50, 100))
    life.wait_until(lambda: not life.sharing.loop.owned)
    rig.shards.evicts = False  # type: ignore[attr-defined]
    life.wait_until(rig.all_pushed)
    life.end()
