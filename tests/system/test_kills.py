"""SIGKILL at every named point and at random moments: same bits, exact counts, nothing learned twice."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from random import Random
from typing import Any

import pytest

from stream_ml.learning.points import Point
from tests.clicks import EVALUATE_EVERY, expected_counts
from tests.servers.kafka import KafkaServer
from tests.system.lives import Lives

# Reached once in a life, at its beginning.
ONCE = {
    Point.VARIANT_BEGUN,
    Point.CLAIM_SENT,
    Point.CLAIMED,
    Point.OUTPUTS_SENT_AGAIN,
}
SEED = 20261123


@pytest.fixture(params=[1, 4], ids=["one partition", "four partitions"])
def lives(request: pytest.FixtureRequest, own_kafka: KafkaServer, tmp_path: Path) -> Iterator[Lives]:
    lives = Lives(own_kafka, tmp_path, partitions=request.param)
    yield lives
    lives.close()


@pytest.mark.timeout(600)
def test_killed_at_every_named_point_nothing_is_lost_or_doubled(
    lives: Lives, rounds: Callable[[int, int], int]
) -> None:
    lives.killed_at(Point.VARIANT_BEGUN, 1)
    for times in range(1, 1 + rounds(1, 5)):
        for point in [point for point in Point if point is not Point.VARIANT_BEGUN]:
            lives.killed_at(point, 1 if point in ONCE else times + 1)
    check(lives, lives.last())


@pytest.mark.timeout(7200)
def test_killed_at_random_moments_nothing_is_lost_or_doubled(
    lives: Lives, rounds: Callable[[int, int], int]
) -> None:
    random = Random(SEED + lives.partitions)
    for _ in range(rounds(12, 500)):
        lives.killed_after(random.uniform(0.5, 2.5))
    check(lives, lives.last())


def check(lives: Lives, last: dict[str, Any]) -> None:
    """The bits are those of a replay (of an uninterrupted run, with one partition), the counts exact."""
    replayed = lives.replayed()
    assert digest(replayed) == digest(last)
    for partition, ranges in lives.ranges().items():
        assert ranges[0][0] == 0
        assert ranges[-1][1] == lives.log.bounds("events", partition).next
        assert all(before[1] == after[0] for before, after in pairwise(ranges)), "a gap, or a range twice"
    assert replayed["learned"] + replayed["duplicates"] + replayed["refused"] == lives.produced
    assert len(set(lives.keys("clicks.dead-letters"))) == replayed["refused"]
    assert len(set(lives.keys("clicks.evaluations"))) == replayed["learned"] // EVALUATE_EVERY
    assert lives.followed()["rows_hash"] == last["rows_hash"], "the feed says something else"
    if lives.partitions == 1:
        assert digest(lives.learned_at_once().digest()) == digest(last)
        counts = expected_counts(lives.produced)
        assert (replayed["learned"], replayed["duplicates"], replayed["refused"]) == counts


def digest(said: dict[str, Any]) -> tuple[int, int, int]:
    return said["rows"], said["rows_hash"], said["state_hash"]
