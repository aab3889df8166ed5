"""Asking for retrainings: for the variant that serves, of a model one at a time, and not too often."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing

from stream_ml.drift.alarms import Alarm, Stream
from stream_ml.errors import CannotContinue, ConfigError, RecoverableError
from stream_ml.retraining.asking import ask
from stream_ml.retraining.jobs import Job, job_id
from stream_ml.retraining.queue import Queue
from stream_ml.retraining.queue_lines import JobState
from stream_ml.runtime import metrics
from stream_ml.runtime.clock import Clock
from stream_ml.runtime.drift_settings import DriftMonitorSettings
from stream_ml.streams.log import Log, LogTruncated, Writer

log = logging.getLogger("drift_monitor")

ASKED_BY = "drift monitor"
Asked = Sequence[tuple[Job, JobState]]


class Asking:
    """
    Asks for the retraining that a drift wants, or says why not.

    One drift shows in many places: in every source partition, and in whoever learns beside the variant that
    serves. One retraining is the answer to all of them.
    """

    def __init__(
        self,
        settings: DriftMonitorSettings,
        log: Log,
        writer: Writer,
        clock: Clock,
        serving: Callable[[], str | None],
    ) -> None:
        """*serving*: returns the variant that serves now."""
        self._settings, self._log, self._writer, self._clock = settings, log, writer, clock
        self._serving = serving

    def drifted(self, stream: Stream, alarm: Alarm, evaluations: Mapping[str, int]) -> None:
        """
        Ask for a retraining because of *alarm*; told again after a restart, the job is the same.

        Args:
            evaluations: how many each variant has had by then, of all its source partitions.

        Raises:
            RecoverableError: brokers are away; safe to retry.
        """
        serving = self._serving()
        if stream.variant != serving:
            self._not_asked("not_serving", stream, alarm, serving=serving)
            return
        try:
            asked = self._asked()
        except CannotContinue as error:
            self._not_asked("unreadable", stream, alarm, reason=str(error))
            return
        job = job_id(
            stream.model, stream.variant, stream.partition, alarm.statistic, alarm.segment, alarm.index
        )
        if any(each.job == job for each, _ in asked):
            return
        cooldown = self._settings.retrain_cooldown_events / (alarm.learned_to / (alarm.index + 1))
        if stands := in_the_way(asked, stream.variant, evaluations, cooldown):
            why, earlier = stands
            self._not_asked(why, stream, alarm, job=earlier)
            return
        self._ask(job, stream, alarm, evaluations)

    def _asked(self) -> Asked:
        """Return the jobs of the model that drifts asked for."""
        try:
            with closing(Queue(self._log, ASKED_BY, self._clock)) as queue:
                queue.read()
                jobs = queue.jobs()
        except LogTruncated as error:
            raise RecoverableError(f"{error.topic} was trimmed while it was read") from error
        return [
            (job, state)
            for job, state in jobs
            if job.asked_by == ASKED_BY and job.model == self._settings.model
        ]

    def _ask(self, job: str, stream: Stream, alarm: Alarm, evaluations: Mapping[str, int]) -> None:
        whose = {"variant": stream.variant, "partition": stream.partition}
        try:
            ask(
                self._log,
                self._writer,
                stream.model,
                self._settings.events_topic,
                self._settings.retrain_events,
                job=job,
                reason={**whose, **alarm.said(), "evaluations": dict(evaluations)},
                asked_by=ASKED_BY,
                after=self._settings.retrain_after_events,
            )
        except ConfigError as error:
            self._not_asked("no_events", stream, alarm, reason=str(error))
            return
        # The next drift is to see it.
        self._writer.flush(self._settings.broker_timeout_seconds)
        log.info("a retraining is asked for", extra={"job": job, "stream": stream.key})

    def _not_asked(self, why: str, stream: Stream, alarm: Alarm, **known: str | None) -> None:
        metrics.DRIFT_NOT_ASKED.labels(stream.model, why).inc()
        level = logging.ERROR if why in ("no_events", "unreadable") else logging.INFO
        of = {"stream": stream.key, "statistic": alarm.statistic, "segment": alarm.segment}
        log.log(level, "no retraining is asked for", extra={"why": why, **of, "index": alarm.index, **known})


def in_the_way(
    asked: Asked, variant: str, evaluations: Mapping[str, int], cooldown: float
) -> tuple[str, str] | None:
    """
    Return why no further job is asked for on behalf of *variant*, and the job that stands in the way.

    Args:
        asked: all jobs that drifts of the model asked for.
        evaluations: how many each variant has had.
        cooldown: how many *variant* must have had since any of the jobs was asked for; of one that began
            later all are since.
    """
    for job, state in asked:
        if state.end is None:
            return "open", job.job
    for job, _ in reversed(asked):
        if evaluations.get(variant, 0) - _evaluations_at(job, variant) < cooldown:
            return "cooldown", job.job
    return None


def _evaluations_at(job: Job, variant: str) -> int:
    """Return how many evaluations *variant* had had when *job* was asked for."""
    counts, index = job.reason.get("evaluations"), job.reason.get("index")
    if not isinstance(counts, dict):
        # Of a release before there was a cooldown: its own index is known, of one source partition.
        counts = {job.reason.get("variant"): index + 1 if isinstance(index, int) else 0}
    count = counts.get(variant, 0)
    return count if isinstance(count, int) else 0
