"""The work of a job: challengers are trained on the first part of its window, and judged on the rest."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from stream_ml._native import Learner, Plan
from stream_ml.errors import CannotContinue, ConfigError, RecoverableError
from stream_ml.features import CompiledModel
from stream_ml.learning.loading import Loader
from stream_ml.learning.parties import Parties, with_model_of
from stream_ml.retraining import gate
from stream_ml.retraining.asking import DEFAULT_GRID
from stream_ml.retraining.challengers import challenger_of, champion_of
from stream_ml.retraining.grid import default_grid
from stream_ml.retraining.jobs import Job, Setting, Window
from stream_ml.retraining.report import Report
from stream_ml.retraining.training import Device, Part, Trained, train
from stream_ml.retraining.window import Ranges, count_of, events_of, missing
from stream_ml.weights.artefact import CorruptSnapshot
from stream_ml.weights.journal import JournalReader
from stream_ml.weights.lines import Announced
from stream_ml.weights.state import JournalState

log = logging.getLogger(__name__)

_ROWS_A_PIECE = 1 << 18


@dataclass(frozen=True, slots=True)
class LearnedBase:
    """What warm challengers begin with: a learner as of a snapshot."""

    plan: Plan
    score_state: bytes
    pieces: list[bytes]

    def rows(self) -> Iterator[bytes]:
        """Yield all rows."""
        return iter(self.pieces)

    @classmethod
    def of(cls, learner: Learner, model: CompiledModel) -> LearnedBase:
        """Take everything out of *learner*."""
        learner.begin_image()
        pieces = list(iter(lambda: learner.take_image(_ROWS_A_PIECE), b""))
        return cls(Plan(model.plan_bytes), learner.seal_image().score_state, pieces)


@dataclass(frozen=True, slots=True)
class Retraining:
    """
    Does the jobs of one model.

    Attributes:
        train_share: of the window; over the rest champion and challengers are compared.
        most_awaited: events that a job may wait for; one that wants more fails.
    """

    parties: Parties
    new_learner: Callable[[CompiledModel], Learner]
    rule: gate.Rule
    train_share: float
    threads: int
    device: Device
    most_awaited: int

    def is_ready(self, job: Job) -> bool:
        """Whether all events of *job* have come; also where they never will, which its work then says."""
        try:
            return self._missing(job) == 0
        except RecoverableError as error:
            log.warning("a job's events cannot be looked for", extra={"job": job.job, "reason": str(error)})
            return False
        except (ConfigError, CannotContinue):
            return True

    def __call__(self, job: Job, folder: Path, tell: Callable[[float, str], None]) -> Report:
        """
        Return the report of *job*, as `Work` describes it; a try after a kill begins again, nothing is kept.

        Raises:
            ConfigError, CannotContinue: the job can never be done.
        """
        if (count := self._missing(job)) > 0:
            raise RecoverableError(f"{count:,} events of the job's window have yet to come")
        with JournalReader.open(self.parties.log, self.parties.topics.journal.name) as journal:
            journal.read_to_end()
            state = journal.state
        if state.serving is None:
            raise CannotContinue(f"no variant of {job.model} serves: there is nothing to challenge")
        own = with_model_of(state.serving, state, self.parties)
        window, base = self._base(job, own, state)
        trained, part, grid = self._trained(job, own.model, window, base, tell)
        return Report(
            job=job.job,
            model=job.model,
            reason=job.reason,
            champion=state.serving,
            rule=self.rule,
            blocks=trained.blocks,
            verdict=gate.judge(trained.blocks, self.rule),
            settings={setting.name: setting.described() for setting in grid},
            histograms=trained.histograms_of(state.serving),
            notes=[
                f"trained on {part.training:,} of {part.events:,} events, "
                f"{'cold' if base is None else 'warm where a setting does not say otherwise'}",
                ", ".join(f"{count:,} {name}" for name, count in trained.counts.items()),
            ],
        )

    def _missing(self, job: Job) -> int:
        return missing(job.window, self.parties.log, self.parties.topics.events.name, self.most_awaited)

    def _trained(
        self,
        job: Job,
        model: CompiledModel,
        window: Window,
        base: LearnedBase | None,
        tell: Callable[[float, str], None],
    ) -> tuple[Trained, Part, tuple[Setting, ...]]:
        topic = self.parties.topics.events.name
        count = self._count(window)
        part = Part.of(count, self.train_share)
        grid = grid_of(job, model, part, shared=self.parties.layout is not None)
        everyone = [champion_of(model), *(challenger_of(setting, model) for setting in grid)]
        trained = train(
            model,
            events_of(window, self.parties.log, topic),
            part,
            everyone,
            base=base,
            threads=self.threads,
            device=self.device,
            tell=tell,
        )
        return trained, part, grid

    def _count(self, window: Window) -> int:
        if window.events is not None:
            return count_of(window.events)
        return sum(1 for _ in events_of(window, self.parties.log, self.parties.topics.events.name))

    def _base(self, job: Job, own: Parties, state: JournalState) -> tuple[Window, LearnedBase | None]:
        """Return what to replay, and what warm challengers begin with: the window begins where that ends."""
        loader = Loader(own, lambda: self.new_learner(own.model))
        for snapshot in _candidates(job, state):
            try:
                learner = loader.begun_with(snapshot.name)
            except CorruptSnapshot as error:
                # Old ones are removed, and the journal still knows them.
                log.info("no base", extra={"reason": str(error)})
                continue
            base, window = LearnedBase.of(learner, own.model), job.window
            if window.events is not None:
                ranges = window.events.items()
                _check_suits(snapshot, window.events)
                events = {p: (snapshot.events.get(p, first), end) for p, (first, end) in ranges}
                window = replace(window, events=events)
            return window, base
        if job.base is not None:
            raise CannotContinue(f"the base of the job, {job.base}, is not there any more")
        return job.window, None


def grid_of(job: Job, model: CompiledModel, part: Part, *, shared: bool) -> tuple[Setting, ...]:
    """
    Return the job's settings, or those around the champion's where it leaves them to the retrainer.

    Args:
        shared: its learners share rows in Redis, which cannot decay.
    """
    if job.grid != DEFAULT_GRID:
        return job.grid
    return tuple(each for each in default_grid(model, part.training) if not (shared and each.decay))


def _check_suits(base: Announced, ranges: Ranges) -> None:
    for partition, (_, end) in ranges.items():
        if (begins := base.events.get(partition, 0)) > end:
            raise CannotContinue(
                f"the base of the job, {base.name}, has learned up to {begins} of partition {partition}, the "
                f"job's window ends at {end}\n  hint: a base from before the window, or null"
            )


def _candidates(job: Job, state: JournalState) -> list[Announced]:
    """Return the base that the job names or, newest first, those that end before its window."""
    assert state.serving is not None, "it was looked at"
    known = state.variants[state.serving].snapshots
    if job.base is not None:
        return [each for each in known if each.name == job.base]
    ranges = (job.window.events or {}).items()
    return [
        each
        for each in reversed(known)
        if ranges and all(each.events.get(p, 0) <= first for p, (first, _) in ranges)
    ]
