import math
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import pytest

from stream_ml._native import Learner, Plan
from stream_ml.features import compile_model
from stream_ml.learning.reporting import Report
from stream_ml.learning.topics import ensure_topics
from stream_ml.runtime import metrics
from stream_ml.runtime.clock import ManualClock
from stream_ml.runtime.metrics import REGISTRY
from stream_ml.streams.log import Bounds, LogUnavailable
from stream_ml.streams.memory import MemoryLog
from tests.clicks import events, expected_counts
from tests.servers.processes import wait_until
from tests.unit.learning.rig import Rig


@pytest.fixture
def rig(tmp_path: Path) -> Rig:
    return Rig(tmp_path)


def shown(name: str) -> float:
    """Return a learner's metric as Prometheus reads it, summed over its labels but the model."""
    samples = [
        sample
        for family in REGISTRY.collect()
        for sample in family.samples
        if sample.name == f"stream_ml_learner_{name}" and sample.labels.get("model") == "clicks"
    ]
    return sum(sample.value for sample in samples)


def lag_of_partition(partition: int) -> float | None:
    labels = {"model": "clicks", "partition": str(partition)}
    return REGISTRY.get_sample_value("stream_ml_learner_lag_records", labels)


def learned_are(expected: int) -> bool:
    return shown("learned_total") == expected


def test_the_operator_sees_counts_position_and_lag(rig: Rig) -> None:
    rig.send(events(400))
    life = rig.in_background()
    life.wait_until_learned()
    learned, duplicates, refused = expected_counts(400)
    wait_until(lambda: shown("learned_total") == learned)
    assert (shown("duplicates_total"), shown("dead_letters_total")) == (duplicates, refused)
    assert shown("writer") == 1
    wait_until(lambda: life.loop is not None and shown("step") == life.loop.step)
    # Other tests of this process may have left partitions behind that this model does not have here.
    wait_until(lambda: lag_of_partition(0) == 0)
    assert shown("rows") == life.digest["rows"]
    life.end()
    assert shown("writer") == 0


def test_totals_go_on_where_the_life_before_left_them(rig: Rig) -> None:
    for lives in (1, 2):
        rig.send(events(200, first=200 * (lives - 1)))
        life = rig.in_background()
        life.wait_until_learned()
        wait_until(partial(learned_are, expected_counts(200 * lives)[0]))
        life.end()


def test_a_life_that_takes_no_snapshot_shows_how_old_the_one_is_that_it_began_with(rig: Rig) -> None:
    rig.send(events(200))
    rig.run_to_the_end()
    (newest, *_) = rig.store.names("clicks")
    with rig.store.open(newest) as snapshot:
        taken_at = snapshot.manifest.created_at
    metrics.LEARNER_SNAPSHOT_AT.remove("clicks")
    rig.overrides["snapshot_interval_seconds"] = 1000
    life = rig.in_background()
    life.wait_until_learned()
    wait_until(lambda: shown("snapshot_timestamp_seconds") == taken_at)
    life.end()


SERVED = """
name = "served"
label = "label"
served = "served"
[features]
user = "user"
"""


TIMED = SERVED.replace("[features]", 'timestamp = "at"\n[features]')


def value_of(name: str, model: str) -> float | None:
    return REGISTRY.get_sample_value(f"stream_ml_learner_{name}", {"model": model})


def reported(model: str, events: list[bytes], text: str = SERVED) -> None:
    """Learn *events* and show their totals as those of *model*."""
    learner = Learner(Plan(compile_model(text).plan_bytes))
    learner.learn([(0, events, [-1] * len(events))])
    log = MemoryLog()
    log.ensure_topic("events", 1)
    topics = ensure_topics(log, model, "events", 1, 30.0)
    with ThreadPoolExecutor(1) as threads:
        Report(model, log, topics, ManualClock(5.0), threads).turn(learner, {0: 0}, {}, {}, {}, None)


def test_what_was_served_is_summed_over_the_events_that_bring_it_back() -> None:
    reported(
        "sums",
        [
            b'{"label": 1, "served": 0.8, "user": "a"}',
            b'{"label": 0, "served": 0.4, "user": "a"}',
            b'{"label": 1, "user": "b"}',
        ],
    )
    assert value_of("served_examples_total", "sums") == 2
    assert value_of("served_labels_total", "sums") == 1
    assert value_of("served_importance_total", "sums") == 2
    assert value_of("served_predictions_total", "sums") == pytest.approx(1.2)
    assert value_of("served_loss_total", "sums") == pytest.approx(-math.log(0.8) - math.log(0.6))
    assert value_of("importance_total", "sums") == 3
    assert value_of("rows_refused_total", "sums") == 0


def test_without_a_watermark_there_is_no_gauge_rather_than_the_year_1970() -> None:
    reported("timeless", [b'{"label": 1, "user": "a"}'])
    assert value_of("learned_total", "timeless") == 1
    assert value_of("watermark_timestamp_seconds", "timeless") is None
    reported("timeless", [b'{"label": 1, "user": "a", "at": 1700000000}'], TIMED)
    assert value_of("watermark_timestamp_seconds", "timeless") == 1_700_000_000


def test_a_watermark_before_1970_is_shown_as_it_is() -> None:
    reported("old", [b'{"label": 1, "user": "a", "at": -86400}'], TIMED)
    assert value_of("watermark_timestamp_seconds", "old") == -86_400


def test_lag_in_seconds_counts_from_what_was_learned_or_from_when_nothing_was_left() -> None:
    learner = Learner(Plan(compile_model(SERVED).plan_bytes))
    log, clock = MemoryLog(), ManualClock(5_000.0)
    log.ensure_topic("events", 1)
    topics = ensure_topics(log, "waits", "events", 1, 30.0)

    def shown_after(seconds: float, learned_to: int, newest_at: float) -> float | None:
        clock.advance(seconds)
        for _ in range(2):  # brokers answer in a thread, and are asked once a second
            clock.advance(0.5)
            report.turn(learner, {0: learned_to}, {0: newest_at}, {}, {}, None)
            threads.submit(int).result()
        return value_of("lag_seconds", "waits")

    with ThreadPoolExecutor(1) as threads:
        report = Report("waits", log, topics, clock, threads)
        with log.writer() as writer:
            writer.send("events", b"1", partition=0)
        shown_after(0, 0, 0.0)
        assert shown_after(9, 0, 0.0) == 10.5, "nothing was learned since it was first looked at"
        assert shown_after(9, 0, 4_000.0) == 1_021, "a backlog that is older than the process"
        shown_after(0, 1, 4_000.0)
        assert shown_after(0, 1, 4_000.0) == 0
        shown_after(3_600, 1, 4_000.0)
        with log.writer() as writer:
            writer.send("events", b"2", partition=0)
        shown_after(0, 1, 4_000.0)
        assert shown_after(0, 1, 4_000.0) == pytest.approx(2, abs=1), "the pause before it is no wait"


class Shy(MemoryLog):
    """One whose brokers are away at times."""

    away = False

    def bounds(self, topic: str, partition: int) -> Bounds:
        if self.away:
            raise LogUnavailable("away")
        return super().bounds(topic, partition)


def test_lag_in_seconds_is_that_of_the_partition_that_waits_longest_and_stays_while_brokers_are_away() -> (
    None
):
    learner = Learner(Plan(compile_model(SERVED).plan_bytes))
    log, clock = Shy(), ManualClock(5_000.0)
    log.ensure_topic("events", 2)
    topics = ensure_topics(log, "left", "events", 2, 30.0)

    def turn() -> float | None:
        for _ in range(2):
            clock.advance(0.5)
            report.turn(learner, {0: 1, 1: 0}, {0: clock.now()}, {}, {}, None)
            threads.submit(int).result()
        return value_of("lag_seconds", "left")

    with ThreadPoolExecutor(1) as threads:
        report = Report("left", log, topics, clock, threads)
        with log.writer() as writer:
            for partition in (0, 1):
                writer.send("events", b"1", partition=partition)
        turn()
        clock.advance(600)
        waited = turn()
        assert waited is not None
        assert waited > 600, "of one partition nothing was read, though the other is learned all the time"
        log.away = True
        clock.advance(60)
        turn()
        turn()
        assert value_of("lag_seconds", "left") >= waited, (
            "brokers that say nothing do not say that nothing waits"
        )


def test_every_metric_of_a_learner_is_set_by_a_life_with_all_that_can_happen(rig: Rig) -> None:
    rig.send(events(400))
    rig.run_to_the_end()
    families = [f for f in REGISTRY.collect() if f.name.startswith("stream_ml_learner_")]
    # The clicks do not say when they were.
    families = [f for f in families if f.name != "stream_ml_learner_watermark_timestamp_seconds"]
    silent = {f.name for f in families if not any(sample.labels["model"] == "clicks" for sample in f.samples)}
    # A store that fails is not part of this life, and its rows are not in Redis.
    shared = {
        "ownerships_ended",
        "pushed_events",
        "shards_unavailable",
        "stage_seconds",
        "waiting_bytes",
        "waiting_limit_bytes",
    }
    assert silent <= {f"stream_ml_learner_{name}" for name in {"snapshot_failures", *shared}}


def test_the_operator_is_told_once_that_the_oldest_snapshot_cannot_be_followed_any_more(
    rig: Rig, caplog: pytest.LogCaptureFixture
) -> None:
    def margin() -> float:
        labels = {"model": "clicks", "log": "events"}
        return REGISTRY.get_sample_value("stream_ml_learner_oldest_snapshot_margin_records", labels) or 0

    rig.send(events(400))
    life = rig.in_background()
    life.wait_until_learned()
    wait_until(lambda: margin() >= 0)
    assert "cannot be followed" not in caplog.text
    rig.log.delete_records("events", 0, rig.log.bounds("events", 0).next)
    wait_until(lambda: "cannot be followed" in caplog.text)
    wait_until(lambda: margin() < 0)
    assert caplog.text.count("cannot be followed") == 1
    life.end()
