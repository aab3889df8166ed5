"""A predictor follows rows in shards as it follows those of a learner's memory."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from stream_ml._native import Front, Plan, Replica
from stream_ml.runtime.lifecycle import Stop
from stream_ml.serving.client import PredictorClient
from stream_ml.serving.follower import Follower
from stream_ml.weights.shards import Identity
from stream_ml.weights.shards_memory import MemoryShards
from tests.clicks import event, is_broken
from tests.servers.processes import wait_until
from tests.unit.sharing.rig import Rig
from tests.unit.sharing.test_learning import alone

EVENTS = [event(number) for number in range(900)]
ASKED = [event(number) for number in range(40) if not is_broken(number)]


class Following:
    """A front, its follower in a thread, and a client."""

    def __init__(self, rig: Rig) -> None:
        self.front = Front("127.0.0.1", 0)
        self.follower = Follower("clicks", rig.log, rig.store, self.front)
        self.client = PredictorClient([f"127.0.0.1:{self.front.port}"], timeout_seconds=2)
        self._stop = Stop()
        self._thread = threading.Thread(target=self.follower.run, args=(self._stop,), daemon=True)
        self._thread.start()

    def predictions(self) -> list[float]:
        return [score.prediction for score in self.client.score(ASKED).scores]

    def close(self) -> None:
        self._stop.request()
        self._thread.join(10)
        self.client.close()
        self.front.drain(1.0)


@pytest.fixture
def rig(tmp_path: Path) -> Rig:
    return Rig(tmp_path, overrides={"heartbeat_interval_seconds": 0.02, "batch_max_records": 100})


@pytest.fixture
def following(rig: Rig) -> Iterator[Following]:
    following = Following(rig)
    yield following
    following.close()


def expected(rig: Rig, events: list[bytes]) -> list[float]:
    """Return what a replica of one learner's memory says."""
    cut = alone(rig, events).cut()
    replica = Replica(Plan(rig.model.plan_bytes))
    replica.apply(cut.rows, cut.removed, cut.score_state, 1, 0.0)
    return [score["prediction"] for score in replica.score(ASKED)]


def agrees(following: Following, wanted: list[float]) -> bool:
    return following.follower.ready and following.predictions() == pytest.approx(wanted, abs=1e-4)


def test_scores_follow_what_is_pushed(rig: Rig, following: Following) -> None:
    life = rig.life()
    for at in range(0, len(EVENTS), 300):
        rig.send(EVENTS[at : at + 300])
        life.wait_until(rig.all_pushed)
        wanted = expected(rig, EVENTS[: at + 300])
        life.wait_until(lambda wanted=wanted: agrees(following, wanted))  # type: ignore[misc]
    life.end()


def test_a_predictor_that_starts_late_begins_with_the_newest_snapshot(rig: Rig) -> None:
    rig.send(EVENTS)
    life = rig.life()
    life.wait_until(rig.all_pushed)
    following = Following(rig)
    wanted = expected(rig, EVENTS)
    life.wait_until(lambda: agrees(following, wanted))
    life.end()
    following.close()


def test_another_server_begins_an_incarnation_and_scores_go_on(rig: Rig, following: Following) -> None:
    rig.send(EVENTS[:500])
    life = rig.life()
    life.wait_until(rig.all_pushed)
    life.wait_until(lambda: following.follower.ready)
    assert isinstance(rig.shards, MemoryShards)
    rig.shards.identity = Identity("process-2", "reign-2")
    rig.send(EVENTS[500:])
    life.wait_until(rig.all_pushed)
    wanted = expected(rig, EVENTS)
    life.wait_until(lambda: agrees(following, wanted))
    life.end()


def test_a_shard_that_comes_back_empty_is_restored_and_what_it_lacks_is_learned_again(
    rig: Rig, following: Following
) -> None:
    rig.overrides["snapshot_interval_seconds"] = 0.5
    rig.send(EVENTS[:500])
    life = rig.life()
    life.wait_until(rig.all_pushed)
    wait_until(lambda: len(list(rig.folder.rglob("*.safetensors"))) >= 2, 20)
    rig.send(EVENTS[500:600])
    life.wait_until(rig.all_pushed)
    rig.shards.close(1)
    rig.send(EVENTS[600:])
    life.wait_until(rig.all_pushed)
    life.wait_until(lambda: following.follower.ready and len(following.predictions()) == len(ASKED))
    life.end()
