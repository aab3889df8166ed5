import pytest

from stream_ml.learning.margins import RetentionMargins


def test_where_only_time_trims_nothing_is_due() -> None:
    margins = RetentionMargins(None)
    margins.use("journal", 0, 10**9)
    assert margins.by_log() == {}
    assert not margins.snapshot_due(1000.0, 0.0)


def test_the_fullest_partition_of_a_log_counts() -> None:
    margins = RetentionMargins(1000)
    margins.use("events", 0, 100)
    margins.use("events", 1, 300)
    margins.use("feed", 0, 200)
    assert margins.by_log() == {"events": pytest.approx(0.7), "feed": pytest.approx(0.8)}


def test_beyond_half_a_snapshot_is_due_but_never_one_after_the_other() -> None:
    margins = RetentionMargins(1000)
    margins.use("journal", 0, 499)
    assert not margins.snapshot_due(10.0, 0.1)
    margins.use("journal", 0, 2)
    assert margins.snapshot_due(10.0, 0.1)
    assert not margins.snapshot_due(0.2, 0.01)
    assert not margins.snapshot_due(10.0, 4.0)


def test_a_snapshot_frees_what_was_used_before_it_began() -> None:
    margins = RetentionMargins(1000)
    margins.use("journal", 0, 600)
    margins.begin_snapshot()
    margins.use("journal", 0, 150)
    assert margins.by_log()["journal"] == pytest.approx(0.25)
    margins.end_snapshot()
    assert margins.by_log()["journal"] == pytest.approx(0.85)
