"""SIGKILL at every named point and at random moments: same bits, exact counts, nothing learned twice."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random

import pytest

from stream_ml.learning.points import Point
from tests.servers.kafka import KafkaServer
from tests.system.lives import Lives

# Reached once in a life, at its beginning.
ONCE = {
    Point.VARIANT_BEGUN,
    Point.CLAIM_SENT,
    Point.CLAIMED,
    Point.OUTPUTS_SENT_AGAIN,
}
# Reached only where a variant begins; those of a changed model file are in test_evolution.
BEGINNINGS = {
    Point.VARIANT_BEGUN,
    Point.CHANGED_VARIANT_BEGUN,
    Point.CHALLENGER_BEGUN,
    Point.SERVING_DECIDED,
    Point.BREAKER_OPENED,
}


@pytest.fixture(params=[1, 4], ids=["one partition", "four partitions"])
def lives(request: pytest.FixtureRequest, own_kafka: KafkaServer, tmp_path: Path) -> Iterator[Lives]:
    lives = Lives(own_kafka, tmp_path, partitions=request.param)
    yield lives
    lives.close()


@pytest.mark.timeout(600)
def test_killed_at_every_named_point_nothing_is_lost_or_doubled(
    lives: Lives, rounds: Callable[[int, int], int], record_property: Callable[[str, object], None]
) -> None:
    lives.killed_at(Point.VARIANT_BEGUN, 1)
    points = [point for point in Point if point not in BEGINNINGS]
    # With reduced counts each is killed at with one of the two numbers of partitions.
    points = points[rounds(int(lives.partitions > 1), 0) :: rounds(2, 1)]
    for times in range(1, 1 + rounds(1, 5)):
        for point in points:
            lives.killed_at(point, 1 if point in ONCE else times + 1)
    record_property("kills", 1 + times * len(points))
    lives.check(lives.last())


@pytest.mark.timeout(7200)
def test_killed_at_random_moments_nothing_is_lost_or_doubled(
    lives: Lives,
    rounds: Callable[[int, int], int],
    random: Random,
    record_property: Callable[[str, object], None],
) -> None:
    kills = rounds(12, 500)
    for _ in range(kills):
        lives.killed_after(random.uniform(0.5, 2.5))
    record_property("kills", kills)
    lives.check(lives.last())
