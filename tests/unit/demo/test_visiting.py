"""What the visits of `stream-ml demo-drift` were worth."""

from __future__ import annotations

import math

import pytest

from stream_ml.demo.visiting import Served, Visiting
from stream_ml.streams.memory import MemoryLog


@pytest.fixture
def visiting() -> Visiting:
    """A thousand events: those before 200 were not served, v2 serves from 600 on."""
    visiting = Visiting(MemoryLog(), "visits", "learner", "127.0.0.1:1")
    visiting.sent = 1_000
    visiting.served = [
        Served(first, "v1" if first < 600 else "v2", 100, 50.0 if first < 600 else 10.0)
        for first in range(200, 1_000, 100)
    ]
    return visiting


def test_the_curve_has_a_point_for_so_many_events(visiting: Visiting) -> None:
    points = visiting.losses(200)
    assert math.isnan(points[0])
    assert points[1:] == [0.5, 0.5, 0.1, 0.1]
    assert visiting.losses(400)[1:] == [0.3, 0.1]


def test_a_loss_is_of_a_stretch_and_of_who_served(visiting: Visiting) -> None:
    assert visiting.loss(200, 600) == 0.5
    assert visiting.loss(0, 1_000, "v2") == 0.1
    assert math.isnan(visiting.loss(0, 200))
