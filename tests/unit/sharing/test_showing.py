"""What learners that share show of snapshots, feed and logs, as one with its rows in memory does."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from stream_ml.runtime import metrics
from stream_ml.runtime.clock import ManualClock
from stream_ml.runtime.metrics import REGISTRY
from stream_ml.sharing.showing import SnapshotFigures
from stream_ml.sharing.snapshotting import SharedSnapshots
from stream_ml.streams.log import LogUnavailable
from stream_ml.weights.artefact import Stream
from stream_ml.weights.shards import Answer, Owner, Push
from stream_ml.weights.shards_memory import MemoryShards
from stream_ml.weights.snapshots import SnapshotStore, StoreUnavailable
from tests.unit.sharing.rig import Rig

MODEL = """
name = "telling"
event_id = "id"
timestamp = "at"
label = "label"
[features]
user = "user"
"""
LATEST = 1_700_000_000.0


def shown(name: str, **labels: str) -> float | None:
    return REGISTRY.get_sample_value(f"stream_ml_learner_{name}", {"model": "telling", **labels})


@pytest.fixture
def rig(tmp_path: Path) -> Rig:
    """A model of which nothing is shown yet: gauges and histograms are the process's."""
    for made in vars(metrics).values():
        for labels in list(getattr(made, "_metrics", ())):
            if labels[0] == "telling":
                made.remove(*labels)
    return Rig(tmp_path, model_text=MODEL, overrides={"snapshot_interval_seconds": 0.1})


def events(count: int) -> list[bytes]:
    return [
        b'{"id": %d, "at": %d, "label": %d, "user": "u%d"}' % (n, LATEST - count + 1 + n, n % 2, n % 7)
        for n in range(count)
    ]


def test_a_snapshot_shows_its_size_how_long_it_took_and_where_the_logs_begin(rig: Rig) -> None:
    rig.send(events(60))
    life = rig.life()
    life.wait_until(
        lambda: rig.all_pushed() and shown("rows") == 7 and shown("watermark_timestamp_seconds") == LATEST
    )
    life.wait_until(lambda: shown("oldest_snapshot_margin_records", log="events") is not None)
    life.end()
    assert shown("snapshot_bytes") == 16 * 7
    assert (shown("snapshot_seconds") or 0) > 0
    assert (shown("snapshot_step") or 0) > 0
    assert shown("snapshots_bad") == 0
    assert shown("snapshot_store_fails") == 0
    for log in ("events", "feed", "journal"):
        margin = shown("oldest_snapshot_margin_records", log=log)
        assert margin is not None
        assert margin >= 0


def test_who_takes_snapshots_no_more_shows_none_of_it(rig: Rig) -> None:
    clock = ManualClock()
    asked = iter([{"events": -3}, {"events": 5}])
    figures = SnapshotFigures("telling", lambda: next(asked), clock)
    figures.turn(takes=False)
    assert shown("oldest_snapshot_margin_records", log="events") is None
    figures.turn(takes=True)
    figures.turn(takes=True)  # so soon nobody looks again
    assert shown("oldest_snapshot_margin_records", log="events") == -3
    metrics.LEARNER_STORE_FAILS.labels("telling").set(1)
    metrics.LEARNER_ROWS.labels("telling").set(9)
    figures.turn(takes=False)
    assert shown("oldest_snapshot_margin_records", log="events") is None, "its alert would ring for ever"
    assert shown("snapshot_store_fails") == 0
    assert shown("rows") is None
    figures.taken()
    figures.turn(takes=True)
    assert shown("oldest_snapshot_margin_records", log="events") == 5


def test_the_delay_from_event_to_feed_is_observed_once_for_what_came(rig: Rig) -> None:
    rig.send(events(20))
    life = rig.life()
    life.wait_until(lambda: rig.all_pushed() and bool(shown("publish_delay_seconds_count")))
    life.end()
    counted = shown("publish_delay_seconds_count")
    # A batch's rows, in each of the shards that this process publishes; heartbeats bring nothing new.
    assert counted is not None
    assert 1 <= counted <= 2 * 8


class SlowShards(MemoryShards):
    """Takes its time for a push."""

    def push(self, owner: Owner, pushes: Sequence[Push]) -> list[Answer]:
        time.sleep(0.05)
        return super().push(owner, pushes)


def test_what_waits_for_redis_is_shown_with_what_may(rig: Rig) -> None:
    settings = rig.settings()
    rig.shards = SlowShards(rig.layout.shards)
    rig.send(events(200))
    life = rig.life()
    life.wait_until(lambda: (shown("waiting_bytes") or 0) > 0)
    life.wait_until(lambda: rig.all_pushed() and shown("waiting_bytes") == 0)
    life.end()
    most = settings.redis_batches_in_flight * settings.redis_batches_joined * settings.batch_max_bytes
    assert shown("waiting_limit_bytes") == most


def test_a_store_that_is_away_is_told_until_a_snapshot_is_there(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(*_: object) -> None:
        raise StoreUnavailable("the disk is full")

    rig.send(events(20))
    with monkeypatch.context() as patched:
        patched.setattr(SnapshotStore, "writer", away)
        life = rig.life()
        life.wait_until(lambda: shown("snapshot_store_fails") == 1)
    life.wait_until(lambda: shown("snapshot_store_fails") == 0)
    life.end()
    assert (shown("snapshot_failures_total") or 0) >= 1


def test_a_snapshot_that_waits_for_the_brokers_has_not_failed(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    tried, take = list[bool](), SharedSnapshots.take

    def away_twice(snapshots: SharedSnapshots, stopping: Callable[[], bool]) -> tuple[Stream, ...]:
        tried.append(True)
        if len(tried) <= 2:
            raise LogUnavailable("no broker answers")
        return take(snapshots, stopping)

    failed = shown("snapshot_failures_total") or 0
    monkeypatch.setattr(SharedSnapshots, "take", away_twice)
    rig.send(events(20))
    life = rig.life()
    life.wait_until(lambda: shown("snapshot_timestamp_seconds") is not None and len(tried) > 2)
    life.end()
    assert (shown("snapshot_failures_total") or 0) == failed
