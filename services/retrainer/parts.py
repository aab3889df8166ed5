"""The parts that the settings of a retrainer name."""

from __future__ import annotations

import os
import socket
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial

from stream_ml.retraining import gate, plots
from stream_ml.retraining.jobs import Job
from stream_ml.retraining.queue import Queue
from stream_ml.retraining.working import Effect, Moment, Reached, Retrainer, Work
from stream_ml.runtime import lifecycle, metrics
from stream_ml.runtime.clock import SystemClock
from stream_ml.runtime.http import OperatorServer
from stream_ml.runtime.retrainer_settings import RetrainerSettings
from stream_ml.runtime.settings import log_effective
from stream_ml.streams.kafka import KafkaLog
from stream_ml.streams.log import Log


def go_on(moment: Moment) -> None:
    """Do nothing: what a real service does at every named point."""


def rule_of(settings: RetrainerSettings) -> gate.Rule:
    """Return what a promotion asks for."""
    return gate.Rule(
        min_gain=settings.min_gain,
        miss=settings.miss,
        min_events=settings.min_compared_events,
        max_events=settings.max_compared_events,
        calibration=settings.calibration,
        slice_loss=settings.slice_loss,
        slice_events=settings.slice_events,
    )


def queue_of(settings: RetrainerSettings, log: Log, models: tuple[str, ...]) -> Queue:
    """Return the queue of the jobs of *models*, for one life of this process."""
    who = f"{socket.gethostname()}-{os.getpid()}-{uuid.uuid4().hex[:8]}"
    return Queue(log, who, SystemClock(), lease_seconds=settings.lease_seconds, models=models)


@dataclass
class RetrainerService:
    """
    The service: jobs of the models that it has parts for, one after the other.

    Attributes:
        models: whose jobs are taken.
        work, effect: what is done for a job.
        reached: called at every named point; tests end the process there.
        ready, abandoned: as a `Retrainer` has them.
        until_idle: end when no job waits that can be worked at.
    """

    settings: RetrainerSettings
    models: tuple[str, ...]
    work: Work
    effect: Effect
    reached: Reached = go_on
    ready: Callable[[Job], bool] = lambda job: True
    abandoned: Callable[[Job, str], None] = lambda job, why: None
    until_idle: bool = False
    not_ready: str | None = field(default="starting", init=False)

    def run(self, stop: lifecycle.Stop) -> None:
        """Work at jobs until *stop*."""
        settings = self.settings
        log_effective(settings)
        metrics.begin("retrainer", self.models)
        plots.check_installed()
        http = OperatorServer(settings.http_host, settings.http_port, ready=lambda: self.not_ready)
        log = KafkaLog(
            {name: str(value) for name, value in settings.kafka.items()},
            unavailable_after_seconds=settings.broker_timeout_seconds,
            stopping=stop.requested,
        )
        try:
            if log.connect():
                self._run(log, stop)
        finally:
            log.close()
            http.close()

    def _run(self, log: Log, stop: lifecycle.Stop) -> None:
        queue = queue_of(self.settings, log, self.models)
        self.not_ready = None
        retrainer = Retrainer(
            queue,
            self.work,
            self.effect,
            self.settings.reports,
            self.settings.jobs_folder,
            self.settings.lease_seconds,
            retry_seconds=self.settings.look_interval_seconds,
            max_failures=self.settings.max_failures,
            max_age_seconds=self.settings.max_job_age_seconds,
            reached=self.reached,
            ready=self._takes,
            abandoned=self.abandoned,
            taken=_count_taken,
            ended=partial(_count_ended, queue),
            looked=partial(self._looked, queue, stop),
        )
        try:
            retrainer.run(stop)
        finally:
            queue.close()

    def _takes(self, job: Job) -> bool:
        return self.settings.takes_jobs and self.ready(job)

    def _looked(self, queue: Queue, stop: lifecycle.Stop) -> None:
        _show_jobs(queue)
        if self.until_idle:
            stop.request()


def _count_taken(job: Job) -> None:
    metrics.RETRAINER_TAKEN.labels(job.model).inc()


def _count_ended(queue: Queue, job: Job, how: str) -> None:
    metrics.RETRAINER_ENDED.labels(job.model, how).inc()
    _show_jobs(queue)


def _show_jobs(queue: Queue) -> None:
    for model, count in queue.waiting().items():
        metrics.RETRAINER_WAITING.labels(model).set(count)
    for model, seconds in queue.oldest_seconds().items():
        metrics.RETRAINER_OLDEST_JOB.labels(model).set(seconds)
    for model, count in queue.failed().items():
        metrics.RETRAINER_FAILED.labels(model).set(count)
