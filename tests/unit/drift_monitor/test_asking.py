from __future__ import annotations

from contextlib import closing
from dataclasses import replace
from typing import Any

import pytest

from services.drift_monitor.asking import ASKED_BY, Asking, in_the_way
from stream_ml.drift.alarms import Alarm, Stream
from stream_ml.errors import RecoverableError
from stream_ml.retraining.jobs import JOBS_TOPIC, Job
from stream_ml.retraining.queue import Queue
from stream_ml.retraining.queue_lines import WORK_TOPIC, JobState
from stream_ml.runtime import metrics
from stream_ml.runtime.clock import ManualClock
from stream_ml.runtime.drift_settings import DriftMonitorSettings
from stream_ml.streams.log import LogTruncated
from stream_ml.streams.memory import MemoryLog
from tests.unit.retraining.queues import ask, job

DRIFT = Alarm("drift", "loss", None, 41, 42_000, 40_000, 0.1, 9.0, 0.3, 0.4)
WHY = ("not_serving", "open", "cooldown", "no_events", "unreadable")


class Model:
    """A model of which *serving* serves, and whose drifts ask for retrainings."""

    def __init__(self, *, events: int = 100, **settings: Any) -> None:
        self.log, self.serving, self.evaluations = MemoryLog(), "v1", {"v1": 42}
        self.log.ensure_topic("events", 2)
        writer = self.log.writer()
        for number in range(events):
            writer.send("events", b"{}", partition=number % 2)
        self.settings = DriftMonitorSettings(
            model="m",
            kafka={"bootstrap.servers": "h:1"},
            retrain_events=60,
            retrain_after_events=20,
            retrain_cooldown_events=10_000,
            **settings,
        )
        self._begun = {why: self._counted(why) for why in WHY}

    def drifts(self, variant: str = "v1", partition: int | None = None, **other: Any) -> None:
        """A process that was just started meets a drift."""
        asking = Asking(self.settings, self.log, self.log.writer(), ManualClock(), lambda: self.serving)
        asking.drifted(Stream("m", variant, partition), replace(DRIFT, **other), self.evaluations)

    @property
    def jobs(self) -> list[Job]:
        with closing(Queue(self.log, "me", ManualClock())) as queue:
            queue.read()
            return [each for each, _ in queue.jobs()]

    def end(self) -> None:
        """All jobs are over."""
        with closing(Queue(self.log, "me", ManualClock())) as queue:
            queue.read()
            for each, _ in queue.jobs():
                queue.cancel(each.job, "test")

    @staticmethod
    def _counted(why: str) -> float:
        return float(metrics.DRIFT_NOT_ASKED.labels("m", why)._value.get())

    @property
    def not_asked(self) -> dict[str, float]:
        counts = {why: self._counted(why) - self._begun[why] for why in WHY}
        return {why: count for why, count in counts.items() if count}


def test_a_drift_of_what_serves_asks_for_one_job_that_says_whose_it_is() -> None:
    model = Model()
    model.drifts(partition=1)
    (asked,) = model.jobs
    assert asked.asked_by == ASKED_BY
    assert asked.window.events == {0: (20, 60), 1: (20, 60)}
    assert (asked.reason["variant"], asked.reason["partition"]) == ("v1", 1)
    assert asked.reason["evaluations"] == {"v1": 42}
    assert asked.reason["statistic"] == "loss"


def test_told_again_after_a_restart_it_is_the_same_job_and_nothing_stands_in_its_way() -> None:
    model = Model()
    model.drifts()
    model.drifts()
    model.end()
    model.drifts()
    assert len(model.jobs) == 1
    assert model.log.bounds(JOBS_TOPIC, 0).next == 1
    assert model.not_asked == {}


@pytest.mark.parametrize("serving", ["v2", None])
def test_a_drift_of_another_variant_than_serves_asks_for_none(serving: str | None) -> None:
    model = Model()
    model.serving = serving  # type: ignore[assignment]
    model.drifts()
    assert model.jobs == []
    assert model.not_asked == {"not_serving": 1}


@pytest.mark.parametrize(
    "other",
    [{"partition": 1}, {"statistic": "auc"}, {"segment": "de"}, {"index": 90}],
    ids=lambda other: next(iter(other)),
)
def test_while_a_job_of_the_model_is_open_no_other_drift_asks(
    other: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    model = Model()
    model.drifts(partition=0)
    (first,) = model.jobs
    model.evaluations = {"v1": 10_000}
    with caplog.at_level("INFO", "drift_monitor"):
        model.drifts(**other)
    assert model.jobs == [first]
    assert model.not_asked == {"open": 1}
    (said,) = [each for each in caplog.records if each.message == "no retraining is asked for"]
    assert said.__dict__["job"] == first.job


def test_when_it_is_over_the_next_may_ask_once_the_cooldown_is(caplog: pytest.LogCaptureFixture) -> None:
    """10,000 events are ten evaluations of 1,000, of all partitions together."""
    model = Model()
    model.drifts(partition=0)
    (first,) = model.jobs
    model.end()
    model.evaluations = {"v1": 51}
    with caplog.at_level("INFO", "drift_monitor"):
        model.drifts(partition=1)
    assert caplog.records[-1].__dict__["job"] == first.job
    assert model.not_asked == {"cooldown": 1}
    model.evaluations = {"v1": 52}
    model.drifts(partition=1)
    assert len(model.jobs) == 2


def test_what_took_the_place_waits_as_long_since_then() -> None:
    model = Model()
    model.evaluations = {"v1": 42, "v2": 5}
    model.drifts()
    model.end()
    model.serving = "v2"
    for now, jobs in ((14, 1), (15, 2)):
        model.evaluations = {"v1": 100, "v2": now}
        model.drifts("v2")
        assert len(model.jobs) == jobs
    model.end()
    # Begun later than both: since its beginning.
    model.serving = "v3"
    for now, jobs in ((9, 2), (10, 3)):
        model.evaluations = {"v2": 100, "v3": now}
        model.drifts("v3")
        assert len(model.jobs) == jobs


def test_jobs_of_people_and_of_other_models_stand_in_nobodys_way() -> None:
    model = Model()
    ask(model.log, job("mine", "m"), replace(job("theirs", "other"), asked_by=ASKED_BY))
    model.drifts()
    assert len(model.jobs) == 3


def test_where_there_is_nothing_to_train_on_it_is_said_and_watched_on() -> None:
    model = Model(events=0)
    model.drifts()
    assert model.not_asked == {"no_events": 1}


def test_topics_of_a_later_release_stop_no_watching() -> None:
    model = Model()
    model.log.ensure_topic(WORK_TOPIC, 1)
    model.log.writer().send(WORK_TOPIC, b'{"format": 99}', key=b"j/claim/x", partition=0)
    model.drifts()
    assert model.not_asked == {"unreadable": 1}
    assert model.log.bounds(JOBS_TOPIC, 0).next == 0


def test_topics_that_are_trimmed_meanwhile_are_read_again(monkeypatch: pytest.MonkeyPatch) -> None:
    def trimmed(_queue: Queue) -> None:
        raise LogTruncated(JOBS_TOPIC, 0, 1, 2, 3)

    monkeypatch.setattr(Queue, "read", trimmed)
    with pytest.raises(RecoverableError, match="trimmed while it was read"):
        Model().drifts()


def test_a_job_of_an_earlier_release_counts_by_its_own_index() -> None:
    old = replace(job("old"), asked_by=ASKED_BY, reason={"variant": "v1", "index": 41})
    over = JobState(end=object())  # type: ignore[arg-type]
    assert in_the_way([(old, over)], "v1", {"v1": 51}, 10) == ("cooldown", "old")
    assert in_the_way([(old, over)], "v1", {"v1": 52}, 10) is None


@pytest.mark.parametrize("reason", [{}, {"evaluations": 3}, {"evaluations": {"v1": "x"}}, {"index": None}])
def test_a_job_that_somebody_wrote_by_hand_breaks_nothing(reason: dict[str, Any]) -> None:
    odd = replace(job("odd"), asked_by=ASKED_BY, reason=reason)
    assert in_the_way([(odd, JobState())], "v1", {}, 10) == ("open", "odd")
    assert in_the_way([(odd, JobState(end=object()))], "v1", {"v1": 10}, 10) is None  # type: ignore[arg-type]
