"""`stream-ml demo-redis`: three learners, one killed on the way, exact counts."""

from __future__ import annotations

import subprocess
import sys

import orjson

from tests.servers.redis import require_redis

EVENTS = 40_000


def test_every_event_counts_once_though_a_learner_is_killed() -> None:
    require_redis()
    done = subprocess.run(
        [sys.executable, "-m", "stream_ml", "demo-redis", "--json", "--events", str(EVENTS)],
        capture_output=True,
        text=True,
        timeout=180,
    )
    assert done.returncode == 0, done.stderr
    report = orjson.loads(done.stdout)
    assert report["exact"]
    assert report["pushed"] == report["learned"] >= EVENTS
    assert (report["duplicates"], report["dead_letters"]) == (0, 0)
    assert report["logloss"] < 0.2
    assert report["rows"] > 10_000
    assert 0 < report["prediction"] < 1
    assert "learner 2 is killed" in done.stderr
    assert "learner 2 is started again" in done.stderr
