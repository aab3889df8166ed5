"""The hotels example on its data: what was served is judged later, and the leak is seen as one."""

import subprocess
import sys
from pathlib import Path

import orjson
import pytest

DATA = Path(__file__).parents[3] / "shared" / "data" / "hotel_bookings" / "hotel_bookings.csv.zip"


@pytest.fixture(scope="module")
def report() -> dict[str, float]:
    command = [sys.executable, "-m", "stream_ml", "hotels", str(DATA), "--label-days", "7", "--json"]
    done = subprocess.run(command, capture_output=True, timeout=280)
    assert done.returncode == 0, done.stderr.decode()
    parsed: dict[str, float] = orjson.loads(done.stdout)
    return parsed


def test_every_booking_is_scored_when_made_and_learned_when_its_outcome_is_known(report):
    assert report["bookings"] == 110_612
    assert report["dead_letters"] == 0


def test_what_was_served_is_honest(report):
    assert 0.79 <= report["served_auc"] <= 0.82


def test_labels_that_are_known_at_once_flatter_the_same_model(report):
    assert report["leak_auc"] >= 0.87
