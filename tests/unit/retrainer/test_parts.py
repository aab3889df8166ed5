"""The retrainer's wiring: whose jobs it takes, and when it ends by itself."""

from __future__ import annotations

from pathlib import Path

import pytest

from services.retrainer.parts import RetrainerService
from stream_ml.retraining.jobs import Job
from stream_ml.retraining.report import Report
from stream_ml.retraining.working import Tell
from stream_ml.runtime.lifecycle import Stop
from stream_ml.runtime.retrainer_settings import RetrainerSettings
from stream_ml.streams.memory import MemoryLog
from tests.unit.retraining.queues import ask, job
from tests.unit.retraining.test_report import report


class Counting:
    """Work and effect that say what was done."""

    def __init__(self) -> None:
        self.jobs: list[str] = []

    def work(self, job: Job, folder: Path, tell: Tell) -> Report:
        self.jobs.append(job.job)
        return report(warm=0.02)

    def effect(self, job: Job, report: Report, tell: Tell) -> None:
        pass


def service(folder: Path, done: Counting, *, takes_jobs: bool = True) -> RetrainerService:
    settings = RetrainerSettings(
        kafka={"bootstrap.servers": "memory"},
        learner_settings=[folder / "learner.toml"],
        reports=folder / "reports",
        scratch=folder / "scratch",
        look_interval_seconds=0.01,
        takes_jobs=takes_jobs,
    )
    return RetrainerService(settings, (job("x").model,), done.work, done.effect, until_idle=True)


@pytest.mark.parametrize(("takes_jobs", "done"), [(True, ["x", "y"]), (False, [])])
def test_one_that_runs_until_it_is_idle_does_the_jobs_that_it_takes_and_ends(
    tmp_path: Path, takes_jobs: bool, done: list[str]
) -> None:
    log, counting = MemoryLog(), Counting()
    for name in ("x", "y"):
        ask(log, job(name))
    service(tmp_path, counting, takes_jobs=takes_jobs)._run(log, Stop())
    assert counting.jobs == done
