import pytest

from stream_ml.learning.margins import Retention, RetentionMargins, offsets_before, retentions
from stream_ml.learning.topics import ensure_topics
from stream_ml.streams.memory import MemoryLog
from stream_ml.weights.lines import Announced, place_of

THOUSAND_BYTES = {name: Retention(bytes=1000) for name in ("events", "feed", "journal")}
HUNDRED_SECONDS = {"events": Retention(seconds=100.0), "feed": Retention(), "journal": Retention()}
NOW = 1_000_000.0


def test_where_nothing_is_trimmed_nothing_is_due() -> None:
    margins = RetentionMargins({"journal": Retention()})
    margins.use("journal", 0, 10**9, NOW - 10**9)
    assert margins.by_log(NOW) == {}
    assert not margins.snapshot_due(1e9, 0.0)


def test_the_fullest_partition_of_a_log_counts() -> None:
    margins = RetentionMargins(THOUSAND_BYTES)
    margins.use("events", 0, 100, NOW)
    margins.use("events", 1, 300, NOW)
    margins.use("feed", 0, 200, NOW)
    assert margins.by_log(NOW) == {"events": pytest.approx(0.7), "feed": pytest.approx(0.8)}


def test_the_partition_with_the_oldest_record_counts() -> None:
    margins = RetentionMargins(HUNDRED_SECONDS)
    margins.use("events", 0, 100, NOW - 10)
    margins.use("events", 1, 100, NOW - 30)
    margins.use("events", 1, 100, NOW - 20)
    margins.use("journal", 0, 100, NOW - 30)
    assert margins.by_log(NOW) == {"events": pytest.approx(0.7)}
    assert margins.by_log(NOW + 60) == {"events": pytest.approx(0.1)}


def test_of_two_limits_the_nearer_counts() -> None:
    margins = RetentionMargins({"events": Retention(bytes=1000, seconds=100.0)})
    margins.use("events", 0, 100, NOW - 30)
    assert margins.by_log(NOW) == {"events": pytest.approx(0.7)}
    margins.use("events", 0, 400, NOW)
    assert margins.by_log(NOW) == {"events": pytest.approx(0.5)}


def test_beyond_half_a_snapshot_is_due_but_never_one_after_the_other() -> None:
    margins = RetentionMargins(THOUSAND_BYTES)
    margins.use("journal", 0, 499, NOW)
    assert not margins.snapshot_due(10.0, 0.1)
    margins.use("journal", 0, 2, NOW)
    assert margins.snapshot_due(10.0, 0.1)
    assert not margins.snapshot_due(0.2, 0.01)
    assert not margins.snapshot_due(10.0, 4.0)


def test_of_a_retention_by_time_only_what_passed_since_the_last_snapshot_makes_one_due() -> None:
    margins = RetentionMargins(HUNDRED_SECONDS)
    margins.use("events", 0, 100, NOW - 99)  # a backlog that is old
    assert not margins.snapshot_due(49.0, 0.1)
    assert margins.snapshot_due(51.0, 0.1)


def test_a_snapshot_frees_what_was_used_before_it_began() -> None:
    margins = RetentionMargins({"journal": Retention(bytes=1000, seconds=100.0)})
    margins.use("journal", 0, 600, NOW - 60)
    margins.begin_snapshot()
    margins.use("journal", 0, 150, NOW - 5)
    assert margins.by_log(NOW)["journal"] == pytest.approx(0.25)
    margins.end_snapshot()
    assert margins.by_log(NOW)["journal"] == pytest.approx(0.85)
    assert margins.by_log(NOW + 45)["journal"] == pytest.approx(0.5)


def test_what_the_logs_keep_is_read_of_the_topics_and_of_a_broker_that_drops_in_silence() -> None:
    log = MemoryLog()
    log.ensure_topic("events", 1, retention_seconds=50.0)
    found = retentions(log, ensure_topics(log, "clicks", "events", 2, 30.0))
    assert (found["events"].seconds, found["feed"].seconds, found["journal"].seconds) == (50.0, 30.0, None)


def test_how_much_there_is_before_a_snapshot_is_counted_of_the_partition_with_fewest() -> None:
    log = MemoryLog()
    log.ensure_topic("events", 2)
    topics = ensure_topics(log, "clicks", "events", 1, 30.0)
    with log.writer() as writer:
        for _ in range(10):
            writer.send("events", b"{}", partition=0)
            writer.send("events", b"{}", partition=1)
    log.delete_records("events", 0, 4)
    log.delete_records("events", 1, 7)
    snapshot = Announced(
        epoch=0, step=1, name="s", checksum="", events={0: 6, 1: 6}, feed={0: 0}, as_of=place_of(1, 3)
    )
    assert offsets_before(log, topics, snapshot) == {"events": -1, "feed": 0, "journal": 3}
