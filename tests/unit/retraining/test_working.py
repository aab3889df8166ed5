from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from threading import Event

import pytest

from stream_ml.errors import CannotContinue, RecoverableError
from stream_ml.retraining.jobs import Job
from stream_ml.retraining.queue import LeaseLost, Queue
from stream_ml.retraining.queue_lines import End, JobState
from stream_ml.retraining.report import Report
from stream_ml.retraining.working import Kept, Moment, Reached, Retrainer, Stopping, Tell, Work
from stream_ml.runtime.clock import ManualClock, SystemClock
from stream_ml.runtime.lifecycle import Stop
from stream_ml.streams.log import Undeliverable
from stream_ml.streams.memory import MemoryLog
from tests.unit.retraining.queues import LEASE_SECONDS, ask, job
from tests.unit.retraining.test_report import report


class Rig:
    """One retrainer over a log in memory, whose work and effect are functions of the test."""

    def __init__(self, folder: Path, log: MemoryLog, who: str = "a") -> None:
        self.log, self.folder, self.clock, self.stop = log, folder, ManualClock(), Stop()
        self.queue = Queue(log, who, self.clock, lease_seconds=LEASE_SECONDS)
        self.effects: list[str] = []
        self.ends: list[tuple[str, str]] = []
        self.lease_seconds = LEASE_SECONDS
        self.abandoned: list[tuple[str, str]] = []
        self.looked: Callable[[], None] = lambda: None
        self.moments: list[Moment] = []
        self.reached: Reached = self.moments.append

    def run(
        self,
        work: Work | None = None,
        jobs: int = 1,
        *,
        max_failures: int = 3,
        max_age_seconds: float = math.inf,
        ready: Callable[[Job], bool] = lambda job: True,
    ) -> None:
        """Run until as many jobs were ended, released or lost."""

        def ended(job: Job, how: str) -> None:
            self.ends.append((job.job, how))
            if len(self.ends) >= jobs:
                self.stop.request()

        Retrainer(
            self.queue,
            work or self.work,
            self.effect,
            self.folder / "reports",
            self.folder / "scratch",
            self.lease_seconds,
            retry_seconds=0.01,
            max_failures=max_failures,
            max_age_seconds=max_age_seconds,
            ready=ready,
            looked=lambda: self.looked(),
            abandoned=lambda job, why: self.abandoned.append((job.job, why)),
            reached=lambda moment: self.reached(moment),
            ended=ended,
        ).run(self.stop)

    def work(self, job: Job, folder: Path, tell: Tell) -> Report:
        tell(0.3, "replays")
        tell(0.7, "trains")
        tell(0.9, "compares")
        return report(warm=0.02)

    def effect(self, job: Job, report: Report, tell: Tell) -> None:
        self.effects.append(job.job)

    def state(self, name: str = "x") -> JobState:
        self.queue.read()
        return self.queue.state(name)

    def end(self, name: str = "x") -> End:
        end = self.state(name).end
        assert end is not None
        return end


@pytest.fixture
def log() -> MemoryLog:
    log = MemoryLog()
    ask(log, job("x"))
    return log


@pytest.fixture
def rig(tmp_path: Path, log: MemoryLog) -> Rig:
    return Rig(tmp_path, log)


def failing(error: Exception) -> Work:
    def work(job: Job, folder: Path, tell: Tell) -> Report:
        raise error

    return work


def test_a_job_gets_its_report_its_effect_and_its_end_in_this_order(rig: Rig) -> None:
    rig.run()
    assert rig.moments == list(Moment)
    assert (rig.ends, rig.effects) == ([("x", "done")], ["x"])
    assert {path.name for path in (rig.folder / "reports" / "x").iterdir()} >= {"report.md", "report.json"}
    outcome = rig.end().outcome
    assert outcome is not None
    assert (outcome["winner"], outcome["promoted"], outcome["events"]) == ("warm", True, 100_000)
    assert outcome["report"] == str(rig.folder / "reports" / "x")


def test_what_a_job_kept_to_go_on_from_goes_with_its_end(rig: Rig) -> None:
    seen = []

    def work(job: Job, folder: Path, tell: Tell) -> Report:
        seen.append(sorted(path.name for path in folder.iterdir()))
        (folder / "half").write_bytes(b"rows")
        if len(seen) == 1:
            raise RecoverableError("the store is away")
        return report(warm=0.02)

    rig.run(work, jobs=2)
    assert seen == [[], ["half"]]
    assert rig.ends == [("x", "released"), ("x", "done")]
    assert not (rig.folder / "scratch" / "x").exists()


def test_what_may_pass_is_tried_again_and_given_up_after_some_times(rig: Rig) -> None:
    rig.run(failing(RecoverableError("the store is away")), jobs=4, max_failures=3)
    assert rig.ends == [("x", "released")] * 3 + [("x", "failed")]
    assert rig.end().why == "it was tried 3 times, and went wrong each time"
    assert rig.effects == []


def test_what_cannot_pass_ends_the_job_with_its_reason_and_the_next_one_is_taken(rig: Rig) -> None:
    ask(rig.log, job("y"))

    def work(job: Job, folder: Path, tell: Tell) -> Report:
        if job.job == "x":
            raise CannotContinue("events of the window are gone")
        return report(warm=0.02)

    rig.run(work, jobs=2)
    assert rig.ends == [("x", "failed"), ("y", "done")]
    assert (rig.end().ended, rig.end().why) == ("failed", "events of the window are gone")


def test_a_job_whose_events_have_yet_to_come_holds_up_no_other(rig: Rig) -> None:
    ask(rig.log, job("y"))
    came = [False]

    def work(job: Job, folder: Path, tell: Tell) -> Report:
        came[0] = True
        return report(warm=0.02)

    rig.run(work, jobs=2, ready=lambda job: job.job == "y" or came[0])
    assert rig.ends == [("y", "done"), ("x", "done")]
    assert rig.state().failures == 0


def test_a_job_that_waits_for_too_long_fails_and_says_so(tmp_path: Path) -> None:
    log = MemoryLog(now=lambda: ManualClock().now())
    ask(log, job("x"))
    rig = Rig(tmp_path, log)
    rig.clock.advance(99)
    ask(log, job("y"))
    rig.run(ready=lambda job: job.job == "y", max_age_seconds=100)
    assert rig.ends == [("y", "done")]
    rig.stop = Stop()
    rig.clock.advance(2)
    rig.run(jobs=2, ready=lambda job: False, max_age_seconds=100)
    assert (rig.end().ended, rig.end().why) == ("failed", "it was asked for more than 100 s ago")


def test_a_job_that_was_over_for_long_is_forgotten_when_there_is_nothing_to_do(tmp_path: Path) -> None:
    log = MemoryLog(now=lambda: ManualClock().now())
    ask(log, job("x"))
    rig = Rig(tmp_path, log)
    rig.run(max_age_seconds=100)
    rig.clock.advance(101)
    rig.stop, rig.ends = Stop(), []
    rig.looked = rig.stop.request
    rig.run(max_age_seconds=100)
    rig.queue.read()
    assert (rig.ends, rig.queue.jobs()) == ([], [])


@pytest.mark.parametrize("error", [ValueError("partition 0 ends at 3"), KeyError("b"), AssertionError()])
def test_an_error_of_this_program_fails_the_job_and_the_next_one_is_taken(
    rig: Rig, error: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    ask(rig.log, job("y"))

    def work(job: Job, folder: Path, tell: Tell) -> Report:
        (folder / "half").write_bytes(b"rows")
        if job.job == "x":
            raise error
        return report(warm=0.02)

    rig.run(work, jobs=2)
    assert rig.ends == [("x", "failed"), ("y", "done")]
    assert rig.end().why == f"an error of the retrainer, see its log: {error!r}"
    (told,) = [record for record in caplog.records if record.exc_info]
    assert told.exc_info is not None
    assert told.exc_info[1] is error
    assert list((rig.folder / "scratch").iterdir()) == []


def test_where_memory_is_short_a_job_is_tried_again(rig: Rig) -> None:
    rig.run(failing(MemoryError()))
    assert (rig.ends, rig.state().failures) == ([("x", "released")], 1)


def test_where_nothing_can_be_written_the_process_ends_and_the_job_does_not(rig: Rig) -> None:
    with pytest.raises(Undeliverable):
        rig.run(failing(Undeliverable("refused for good")))
    assert rig.state().end is None


def test_asked_to_stop_it_lets_go_of_its_job_at_once(rig: Rig) -> None:
    def work(job: Job, folder: Path, tell: Tell) -> Report:
        rig.stop.request()
        tell(0.1, "replays")
        raise AssertionError("told to stop")

    rig.run(work)
    assert rig.ends == [("x", "stopped")]
    state = rig.state()
    assert (state.free, state.failures) == (True, 0)


def test_one_that_slept_through_its_lease_makes_no_effect(rig: Rig, tmp_path: Path, log: MemoryLog) -> None:
    """It wakes with its report written; meanwhile another has done the job."""
    other = Rig(tmp_path, log, "b")

    def sleep(moment: Moment) -> None:
        if moment is Moment.REPORT_WRITTEN:
            assert other.queue.take() is None
            other.clock.advance(LEASE_SECONDS + 1)
            other.run()

    rig.reached = sleep
    rig.run()
    assert (rig.ends, rig.effects) == ([("x", "lost")], [])
    assert rig.abandoned == [], "it is the other's now"
    assert (other.ends, other.effects) == ([("x", "done")], ["x"])
    assert rig.end().who == "b"


def test_one_that_slept_before_its_end_does_not_end_the_job_again(
    rig: Rig, tmp_path: Path, log: MemoryLog
) -> None:
    other = Rig(tmp_path, log, "b")

    def sleep(moment: Moment) -> None:
        if moment is Moment.EFFECT_MADE:
            assert other.queue.take() is None
            other.clock.advance(LEASE_SECONDS + 1)
            other.run()

    rig.reached = sleep
    rig.run()
    assert rig.ends == [("x", "lost")]
    assert (rig.end().who, rig.state().failures) == ("b", 1)


def test_one_that_slept_finds_its_folder_gone_and_works_on(rig: Rig, tmp_path: Path, log: MemoryLog) -> None:
    other, later = Rig(tmp_path, log, "b"), job("y")

    def work(job: Job, folder: Path, tell: Tell) -> Report:
        if job.job == "x":
            assert other.queue.take() is None
            other.clock.advance(LEASE_SECONDS + 1)
            other.run()
            ask(log, later)
        (folder / "half").write_bytes(b"rows")
        return report(warm=0.02)

    rig.run(work, jobs=2)
    assert rig.ends == [("x", "lost"), ("y", "done")]


def test_a_disk_that_is_full_is_tried_again(rig: Rig) -> None:
    rig.run(failing(OSError(28, "No space left on device")), jobs=1)
    assert rig.ends == [("x", "released")]
    assert rig.state().failures == 1


def test_a_cancelled_job_ends_the_work(rig: Rig, log: MemoryLog) -> None:
    operator = Queue(log, "operator", rig.clock)
    operator.read()
    rig.reached = lambda moment: (
        operator.cancel("x", "too dear") and None if moment is Moment.WORK_DONE else None
    )
    rig.run()
    assert (rig.ends, rig.effects) == ([("x", "lost")], [])
    assert rig.end().ended == "cancelled"


def test_a_job_that_is_cancelled_while_its_effect_is_made_ends_and_what_was_begun_too(
    rig: Rig, log: MemoryLog
) -> None:
    operator = Queue(log, "operator", rig.clock)
    operator.read()

    def effect(job: Job, report: Report, tell: Tell) -> None:
        operator.cancel("x", "too dear")
        until(lambda: tell(1.0, "begins"))  # type: ignore[arg-type,return-value]

    rig.effect = effect  # type: ignore[method-assign]
    rig.lease_seconds = 0.02
    rig.run()
    assert rig.ends == [("x", "lost")]
    assert rig.abandoned == [("x", "job x was cancelled by operator: too dear")]


def test_what_a_job_has_begun_that_fails_is_ended_and_of_one_that_is_lost_or_released_it_is_not(
    rig: Rig,
) -> None:
    rig.run(failing(CannotContinue("gone")))
    assert rig.abandoned == [("x", "gone")]
    ask(rig.log, job("y"))
    rig.stop, rig.ends = Stop(), []
    rig.run(failing(RecoverableError("away")))
    assert rig.ends == [("y", "released")]
    assert rig.abandoned == [("x", "gone")]


def test_where_what_was_begun_cannot_be_ended_the_retrainer_works_on(rig: Rig) -> None:
    ask(rig.log, job("y"))
    rig.abandoned = Refusing()
    rig.run(failing(CannotContinue("gone")), jobs=2)
    assert rig.ends == [("x", "failed"), ("y", "failed")]


class Refusing(list[tuple[str, str]]):
    def append(self, _: tuple[str, str]) -> None:
        raise RecoverableError("the journal is away")


def kept(log: MemoryLog, stop: Stop) -> tuple[Kept, Queue]:
    queue = Queue(log, "a", SystemClock(), lease_seconds=LEASE_SECONDS)
    lease = queue.take()
    assert lease is not None
    return Kept(lease, 0.005, stop), queue


def until(said: Callable[[], bool]) -> None:
    for _ in range(2000):
        if said():
            return
        Event().wait(0.005)
    raise AssertionError("not so after 10 s")


def test_signs_of_life_come_while_the_work_says_nothing(log: MemoryLog) -> None:
    keeping, queue = kept(log, Stop())
    watcher = Queue(log, "watcher", SystemClock())

    def progress() -> float | None:
        watcher.read()
        alive = watcher.state("x").alive
        return alive.progress if alive else None

    with keeping:
        keeping.tell(0.25, "trains")
        until(lambda: progress() == 0.25)
        assert queue.state("x").alive is not None


def test_a_lost_lease_ends_the_work_the_next_time_it_says_something(log: MemoryLog) -> None:
    keeping, _ = kept(log, Stop())
    operator = Queue(log, "operator", SystemClock())

    def told() -> bool:
        try:
            keeping.tell(0.5, "trains")
        except LeaseLost as error:
            return "cancelled by operator" in str(error)
        return False

    with keeping:
        assert not told()
        operator.cancel("x", "too dear")
        until(told)


def test_a_stop_ends_the_work_the_next_time_it_says_something(log: MemoryLog) -> None:
    stop = Stop()
    keeping, _ = kept(log, stop)
    with keeping:
        keeping.tell(0.5, "trains")
        stop.request()
        with pytest.raises(Stopping):
            keeping.tell(0.6, "trains")
