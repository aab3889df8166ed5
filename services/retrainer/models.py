"""The models that a retrainer looks after: of each its learners' settings, work, effect and steward."""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from services.learner.parts import kafka_log, native_learner, parties_of
from services.retrainer.parts import rule_of
from stream_ml.errors import ConfigError
from stream_ml.learning.parties import Parties
from stream_ml.learning.ways_on import naming
from stream_ml.retraining.asking import Schedule
from stream_ml.retraining.children import Children
from stream_ml.retraining.effect import BeginChallenger
from stream_ml.retraining.jobs import Job
from stream_ml.retraining.report import Report
from stream_ml.retraining.steward import Steward
from stream_ml.retraining.watching import Watch
from stream_ml.retraining.work import Retraining
from stream_ml.retraining.working import Stopping, Tell
from stream_ml.runtime.clock import SystemClock
from stream_ml.runtime.lifecycle import Stop
from stream_ml.runtime.retrainer_settings import RetrainerSettings
from stream_ml.runtime.settings import LearnerSettings, load


@dataclass(frozen=True, slots=True)
class RetrainedModel:
    """One model's parts."""

    work: Retraining
    effect: BeginChallenger
    steward: Steward


class Models:
    """
    All models of a retrainer; the work and the effect of a job are those of its model.

    A context: within it challengers learn, are promoted and watched.
    """

    def __init__(self, settings: RetrainerSettings, stop: Stop) -> None:
        """
        Read the learners' settings and connect.

        Raises:
            ConfigError: a file is wrong, or two are of one model.
        """
        self._stop = stop
        self._resources = ExitStack()
        self._stewards: list[Future[None]] = []
        self._models: dict[str, RetrainedModel] = {}
        for path in settings.learner_settings:
            parties, learner = self._parties(path)
            if parties.name in self._models:
                raise ConfigError(f"learner_settings: {path} is of {parties.name}, and another file is too")
            self._models[parties.name] = _model(parties, learner, path, settings, self._wait)

    @property
    def names(self) -> tuple[str, ...]:
        """Of the models."""
        return tuple(self._models)

    def ready(self, job: Job) -> bool:
        """Whether the events of *job* have come."""
        return self._models[job.model].work.is_ready(job)

    def work(self, job: Job, folder: Path, tell: Tell) -> Report:
        """Do the work of *job*."""
        return self._models[job.model].work(job, folder, tell)

    def effect(self, job: Job, report: Report, tell: Tell) -> None:
        """Let follow what follows from *report*."""
        self._models[job.model].effect(job, report, tell)

    def abandon(self, job: Job, why: str) -> None:
        """End what was begun for *job*."""
        self._models[job.model].effect.abandon(job, why)

    def __enter__(self) -> Models:
        threads = self._resources.enter_context(ThreadPoolExecutor(len(self._models), "steward"))
        for model in self._models.values():
            running = threads.submit(model.steward.run, self._stop)
            # One that fails ends the process: a supervisor starts it again.
            running.add_done_callback(lambda _: self._stop.request())
            self._stewards.append(running)
        return self

    def __exit__(self, *error: object) -> None:
        self._stop.request()
        self._resources.close()
        for steward in self._stewards:
            steward.result()

    def _parties(self, path: Path) -> tuple[Parties, LearnerSettings]:
        with naming(path):
            learner = load(LearnerSettings, path, os.environ)
            log = kafka_log(learner, self._stop.requested)
            self._resources.callback(log.close)
            parties = parties_of(learner, log, make_topics=True)
        # A retrainer gives nothing up.
        return replace(parties, who=f"retrainer {parties.who}", accept_loss=False), learner

    def _wait(self, seconds: float) -> None:
        if self._stop.wait(seconds):
            raise Stopping("the retrainer was asked to stop")


def _model(
    parties: Parties,
    learner: LearnerSettings,
    path: Path,
    settings: RetrainerSettings,
    wait: Callable[[float], object],
) -> RetrainedModel:
    new_learner, clock, rule = partial(native_learner, settings=learner), SystemClock(), rule_of(settings)
    children = Children(parties, path, settings.challengers_folder / parties.name, clock)
    return RetrainedModel(
        Retraining(
            parties,
            new_learner,
            rule,
            settings.train_share,
            settings.threads,
            settings.device,
            settings.max_awaited_events,
        ),
        BeginChallenger(parties, children, clock, wait),
        Steward(
            parties,
            children,
            Watch(parties, new_learner, rule, settings.watch_events),
            promotes=settings.promotion == "auto",
            schedule=Schedule(
                parties.log,
                parties.name,
                parties.topics.events.name,
                settings.schedule_seconds,
                settings.schedule_events,
                clock,
            ),
        ),
    )
