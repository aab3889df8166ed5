"""The hotel bookings learned from a table of the past: labels at their own times, and all at once."""

from __future__ import annotations

from datetime import UTC, date, datetime, time
from pathlib import Path

import orjson
import pytest

from stream_ml._native import Learner, Plan
from stream_ml.features import compile_model
from stream_ml.hotels.bookings import bookings

ROOT = Path(__file__).parents[2]
DATA = ROOT.parent / "shared" / "data" / "hotel_bookings" / "hotel_bookings.csv.zip"
MODEL = (ROOT / "stream_ml" / "hotels" / "hotels.toml").read_text()
PLAN = Plan(
    compile_model(
        MODEL.replace('timestamp = "known_at"', 'timestamp = "booked_at"\nlabel_time = "known_at"')
    ).plan_bytes
)


def at_hour(day: date, hour: int) -> str:
    return datetime.combine(day, time(hour), UTC).isoformat()


@pytest.fixture(scope="module")
def records() -> list[bytes]:
    """In the order in which they were made; outcomes are known in the evening."""
    return [
        orjson.dumps(
            booking.event
            | {
                "id": booking.id,
                "cancelled": booking.cancelled,
                "booked_at": at_hour(booking.booked_on, 12),
                "known_at": at_hour(booking.known_on, 20),
            }
        )
        for booking in bookings(str(DATA))
    ]


def figures(records: list[bytes], waiting: int | None) -> dict[str, float]:
    learner = Learner(PLAN, waiting_labels=waiting)
    learner.learn([(0, records, [-1] * len(records))])
    learner.learn_waiting()
    found = learner.metrics()
    assert found["learned"] == len(records) == 110_612
    return found


@pytest.fixture(scope="module")
def honest(records: list[bytes]) -> dict[str, float]:
    return figures(records, 100_000)


def test_learned_when_they_are_known_labels_give_the_figure_that_was_served(honest: dict[str, float]) -> None:
    assert 0.79 <= honest["auc"] <= 0.82
    assert honest["labels_early"] == 0


def test_learned_at_once_they_flatter(records: list[bytes]) -> None:
    assert figures(records, None)["auc"] >= 0.87


def test_without_room_to_wait_they_are_learned_early_and_that_is_counted(
    records: list[bytes], honest: dict[str, float]
) -> None:
    cramped = figures(records, 100)
    assert cramped["labels_early"] > 100_000
    assert cramped["auc"] > honest["auc"] + 0.03
