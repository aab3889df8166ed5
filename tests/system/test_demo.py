"""The demo, shortened: the same services, broker, producer and client as in its whole run."""

import subprocess
import sys

import orjson
import pytest

EVENTS = 60_000


@pytest.fixture(scope="module")
def report() -> dict[str, float]:
    done = subprocess.run(
        [sys.executable, "-m", "stream_ml", "demo", "--json", "--events", str(EVENTS)],
        capture_output=True,
        timeout=180,
    )
    assert done.returncode == 0, done.stderr.decode()
    parsed: dict[str, float] = orjson.loads(done.stdout)
    return parsed


def test_every_event_is_learned_and_none_refused(report):
    assert EVENTS <= report["events"] < EVENTS + 200  # whole baskets
    assert report["dead_letters"] == report["duplicates"] == 0


def test_scores_are_answered_while_it_learns(report):
    assert report["scores"] > 100
    assert report["freshness_p99_ms"] > 0


def test_it_ranks_well_and_learning_on_is_better_than_stopping(report):
    # The whole stream reaches more (README); its first month has seen few coupons.
    assert report["auc"] > 0.8
    assert report["auc_online_last80"] > report["auc_frozen_last80"] + 0.01


def test_the_strongest_features_have_names(report):
    assert report["top_features"]
    assert all(feature["slot"] and feature["value"] for feature in report["top_features"])
