"""Jobs for tests of the queue."""

from __future__ import annotations

from stream_ml.retraining.jobs import JOBS_TOPIC, Job, Setting, Window, encode_job, ensure_jobs
from stream_ml.streams.log import Log

LEASE_SECONDS = 30.0


def job(name: str, model: str = "bookings") -> Job:
    return Job(
        job=name,
        model=model,
        reason={"asked": "by a test"},
        base=None,
        window=Window(events={0: (0, 100)}),
        grid=(Setting(name="warm", alpha=0.2), Setting(name="cold", warm=False)),
        asked_by="test",
    )


def ask(log: Log, *jobs: Job) -> None:
    ensure_jobs(log)
    with log.writer() as writer:
        for each in jobs:
            writer.send(JOBS_TOPIC, encode_job(each), key=each.job.encode(), partition=0)
