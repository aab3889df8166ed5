"""
A retrainer's life: take a job, work at it, write its report, let its effect be there, say that it is done.

| killed | what happens |
|---|---|
| before its claim | nothing; somebody takes the job |
| while it works | silence: another takes it, and goes on from what the job's folder keeps, or begins again |
| after the report | the same report is written again: a job's result depends on the job and the log alone |
| after the effect | it is found by the job's id, and not made again |
| after the end | nothing: the job is over |

One that was taken for dead (frozen, cut off) does all of this at most up to the effect, where it finds its
lease lost or the effect there already; its end is void.
"""

from __future__ import annotations

import logging
import math
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from threading import Event, Lock, Thread
from types import TracebackType
from typing import Any, Protocol, Self

from stream_ml.errors import CannotContinue, ConfigError, InvalidRecord, RecoverableError, StreamMlError
from stream_ml.retraining.jobs import Job
from stream_ml.retraining.queue import JobCancelled, Lease, LeaseLost, Queue
from stream_ml.retraining.report import Report
from stream_ml.runtime.lifecycle import Stop
from stream_ml.streams.log import Undeliverable

log = logging.getLogger(__name__)

# Signs of life in a lease: one may be late and another lost.
_SIGNS = 4


class Moment(Enum):
    """The named points of a job's life: something was just done, and what follows it was not."""

    CLAIMED = "the job is this retrainer's"
    WORK_BEGUN = "the work has begun, nothing of it is kept"
    WORK_HALF_DONE = "at least half of the work is done"
    WORK_DONE = "the result is there, no report"
    PLOTS_WRITTEN = "the report's plots are there, its page is not"
    REPORT_WRITTEN = "the report is there, the effect is not"
    LEASE_CHECKED = "the lease holds, the effect is next"
    EFFECT_MADE = "the effect is there, nobody says that the job is done"
    END_SENT = "the job is over, its retrainer may not know"
    ENDED = "the retrainer knows that the job is over"


Reached = Callable[[Moment], None]
Tell = Callable[[float, str], None]


class Work(Protocol):
    """What is done for a job: replay, train, compare."""

    def __call__(self, job: Job, folder: Path, tell: Tell) -> Report:
        """
        Return the report, which depends on *job* and the log alone.

        Args:
            folder: of this job, on this machine: what an earlier try kept there may be gone on from. One that
                was taken for dead may still write there: files appear whole, and are the same each time.
            tell: to be called often with progress (0 to 1) and what is done now; raises `LeaseLost` or
                `Stopping` where the work is to end.

        Raises:
            RecoverableError: it may work later.
            ConfigError, InvalidRecord, CannotContinue: it never will.
        """


class Effect(Protocol):
    """What follows from a report: a challenger that is begun, or nothing."""

    def __call__(self, job: Job, report: Report, tell: Tell) -> None:
        """Make it, unless one of this job is there; any number of times. *tell* is as `Work` has it."""


class Stopping(StreamMlError):
    """The process is to end; the job is released."""


class Kept:
    """Keeps a lease by signs of life from a thread of its own, however long the work says nothing."""

    def __init__(self, lease: Lease, interval_seconds: float, stop: Stop) -> None:
        """Do nothing yet."""
        self._lease, self._interval, self._stop = lease, interval_seconds, stop
        self._now = (0.0, "begins")
        self._lock, self._over = Lock(), Event()
        self._error: StreamMlError | None = None
        self._thread = Thread(target=self._run, name="lease", daemon=True)

    def tell(self, progress: float, doing: str) -> None:
        """
        Say how far the work is; return at once.

        Raises:
            LeaseLost: the work is for nothing from here on.
            Stopping: the process is to end.
            CannotContinue: nothing can be said any more.
        """
        with self._lock:
            self._now = (progress, doing)
            error = self._error
        if error is not None:
            raise error
        if self._stop.requested():
            raise Stopping("the retrainer was asked to stop")

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._over.wait(self._interval):
            with self._lock:
                progress, doing = self._now
            try:
                self._lease.alive(progress, doing)
            except (LeaseLost, CannotContinue) as error:
                with self._lock:
                    self._error = error
                return
            except RecoverableError as error:
                log.warning("no sign of life came through", extra={"reason": str(error)})


@dataclass(frozen=True, slots=True)
class Retrainer:
    """
    Works at the jobs of a queue, one at a time.

    Attributes:
        folder: where reports are, in a folder a job.
        scratch: where jobs keep what they can go on from, in a folder a job.
        lease_seconds: of the queue's claims.
        retry_seconds: between two tries of what went wrong, and between two looks for a job.
        max_failures: of one job, after which it is given up.
        max_age_seconds: since a job was asked for, after which it is given up, or forgotten if it is over.
        reached: called at every named point; tests end the process there.
        ready: whether a job can be worked at now: one whose events have yet to come holds up no other.
        abandoned: called with a job that was cancelled under our hands, or failed, and why: what its effect
            has begun is to end.
        taken, ended: called with the job; and with how it went.
        looked: called whenever the queue was read and had no job.
    """

    queue: Queue
    work: Work
    effect: Effect
    folder: Path
    scratch: Path
    lease_seconds: float
    retry_seconds: float = 5.0
    max_failures: int = 5
    max_age_seconds: float = math.inf
    reached: Reached = lambda moment: None
    ready: Callable[[Job], bool] = lambda job: True
    abandoned: Callable[[Job, str], None] = lambda job, why: None
    taken: Callable[[Job], None] = lambda job: None
    ended: Callable[[Job, str], None] = lambda job, how: None
    looked: Callable[[], None] = lambda: None

    def run(self, stop: Stop) -> None:
        """
        Work until *stop*.

        Raises:
            CannotContinue: nothing can be written, or a later release writes here.
        """
        while not stop.requested():
            if (lease := self._next()) is None:
                stop.wait(self.retry_seconds)
                continue
            self.taken(lease.job)
            how = self._do(lease, stop)
            self.ended(lease.job, how)
            if how == "released":
                stop.wait(self.retry_seconds)

    def _next(self) -> Lease | None:
        try:
            if (lease := self.queue.take(self._ready)) is None:
                self.queue.forget(self.max_age_seconds)
                self.looked()
            return lease
        except RecoverableError as error:
            log.warning("the queue cannot be read", extra={"reason": str(error)})
            return None

    def _ready(self, job: Job) -> bool:
        return self._too_old(job.job) or self.ready(job)

    def _too_old(self, job: str) -> bool:
        return self.queue.age_seconds(job) > self.max_age_seconds

    def _do(self, lease: Lease, stop: Stop) -> str:
        """Return how it went: done, failed, released, stopped or lost."""
        job = lease.job
        self.reached(Moment.CLAIMED)
        try:
            if lease.failures >= self.max_failures:
                return self._give_up(lease, f"it was tried {lease.failures} times, and went wrong each time")
            if self._too_old(job.job):
                return self._give_up(lease, f"it was asked for more than {self.max_age_seconds:g} s ago")
            return self._work_at(lease, stop)
        except LeaseLost as error:
            log.warning("a job is lost", extra={"job": job.job, "reason": str(error)})
            if isinstance(error, JobCancelled):
                self._abandon(job, str(error))
            return "lost"

    def _work_at(self, lease: Lease, stop: Stop) -> str:
        job = lease.job
        try:
            with Kept(lease, self.lease_seconds / _SIGNS, stop) as kept:
                self._finish(lease, self._report(job, kept), kept)
        except Stopping as error:
            lease.release(str(error), failed=False)
            return "stopped"
        except LeaseLost:
            raise
        except (RecoverableError, OSError, MemoryError) as error:
            # A full disk; or whoever took over has ended the job, and its folder is gone: then this is void.
            log.warning("a job waits", extra={"job": job.job, "reason": str(error)})
            lease.release(str(error), failed=True)
            return "released"
        except Undeliverable:
            raise  # of this process, not of the job
        except (ConfigError, InvalidRecord, CannotContinue) as error:
            log.error("a job failed", extra={"job": job.job, "reason": str(error)})
            return self._give_up(lease, str(error))
        except Exception as error:  # the outermost loop of jobs: the next one may well work
            log.exception("a job failed, by an error of this program", extra={"job": job.job})
            return self._give_up(lease, f"an error of the retrainer, see its log: {error!r}")
        return "done"

    def _give_up(self, lease: Lease, why: str) -> str:
        lease.failed(why)
        self._abandon(lease.job, why)
        return "failed"

    def _abandon(self, job: Job, why: str) -> None:
        self._forget(job)
        try:
            self.abandoned(job, why)
        except RecoverableError as error:
            log.warning("what a job has begun goes on", extra={"job": job.job, "reason": str(error)})

    def _forget(self, job: Job) -> None:
        shutil.rmtree(self.scratch / job.job, ignore_errors=True)

    def _report(self, job: Job, kept: Kept) -> Report:
        folder, half = self.scratch / job.job, False
        folder.mkdir(parents=True, exist_ok=True)

        def tell(progress: float, doing: str) -> None:
            nonlocal half
            kept.tell(progress, doing)
            if progress >= 0.5 and not half:
                half = True
                self.reached(Moment.WORK_HALF_DONE)

        tell(0.0, "begins")
        self.reached(Moment.WORK_BEGUN)
        report = self.work(job, folder, tell)
        self.reached(Moment.WORK_DONE)
        report.write(self.folder / job.job, lambda: self.reached(Moment.PLOTS_WRITTEN))
        self.reached(Moment.REPORT_WRITTEN)
        return report

    def _finish(self, lease: Lease, report: Report, kept: Kept) -> None:
        # Not what the thread knows, which may be old: one that slept until here must not go on.
        lease.alive(1.0, "its report is there")
        kept.tell(1.0, "its report is there")
        self.reached(Moment.LEASE_CHECKED)
        self.effect(lease.job, report, kept.tell)
        self.reached(Moment.EFFECT_MADE)
        outcome = outcome_of(report, self.folder / lease.job.job)
        lease.done(outcome, lambda: self.reached(Moment.END_SENT))
        self.reached(Moment.ENDED)
        self._forget(lease.job)


def outcome_of(report: Report, folder: Path) -> dict[str, Any]:
    """Return what the end of a job says of its report."""
    said = report.described()
    kept = ("champion", "winner", "difference", "interval", "promoted", "says", "why", "events")
    return {**{key: said[key] for key in kept}, "report": str(folder)}
