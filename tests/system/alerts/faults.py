"""Faults, each produced for real, and the one alert that tells of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from tests.system.alerts.plant import ALONE, Plant

Act = Callable[[Plant], None]


@dataclass(frozen=True)
class Fault:
    """
    What goes wrong, and how it is mended.

    Attributes:
        alert: the one that rings, and no other.
        beside: what may tell of it, too, as information.
        stays_seconds: how long the fault stays once it rings, so that what might ring later would.
    """

    name: str
    alert: str
    produce: Act
    mend: Act
    stays_seconds: float = 1.0
    beside: frozenset[str] = frozenset()


def poison(plant: Plant) -> None:
    """One event of twenty is no JSON."""
    plant.producers[ALONE].broken = 0.05


def drop_labels(plant: Plant) -> None:
    plant.producers[ALONE].rates = None


def mend_events(plant: Plant) -> None:
    for producer in plant.producers.values():
        producer.mend()


def stop_kafka(plant: Plant) -> None:
    plant.kafka.kill()


def start_kafka(plant: Plant) -> None:
    plant.kafka.start()


def kill_shards(plant: Plant) -> None:
    plant.redis.kill()


def start_shards(plant: Plant) -> None:
    plant.redis.start()


def stall_feed(plant: Plant) -> None:
    """Whatever predictors ask of the brokers is held."""
    plant.proxy.hold_at(b"")


def let_feed_flow(plant: Plant) -> None:
    plant.proxy.release()


def corrupt_snapshot(plant: Plant) -> None:
    """Flip a byte of the newest snapshot; a learner that takes over reads it for the first time."""

    def flip() -> None:
        folder = plant.directory / "snapshots" / ALONE
        newest = max(folder.rglob("*.safetensors"), key=lambda path: path.stat().st_mtime_ns)
        with newest.open("r+b") as file:
            file.seek(newest.stat().st_size // 2)
            byte = file.read(1)
            file.seek(-1, 1)
            file.write(bytes([byte[0] ^ 1]))

    plant.replace("learner", flip)


def nothing(plant: Plant) -> None:
    """It mends itself: a damaged snapshot goes when it is older than those that are kept."""


SIX = [
    Fault("a snapshot has a wrong byte", "SnapshotDamaged", corrupt_snapshot, nothing, 0),
    Fault("labels stay away", "LearnerSilence", drop_labels, mend_events),
    Fault("a shard is killed", "LearnerShardUnavailable", kill_shards, start_shards, 5),
    Fault("predictors hear nothing of the feed", "PredictorWeightsStale", stall_feed, let_feed_flow, 1),
    Fault("the broker is killed", "PredictorWeightsStale", stop_kafka, start_kafka, 0.5),
    Fault("one event of twenty is broken", "LearnerDeadLetters", poison, mend_events),
]
