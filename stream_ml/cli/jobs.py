"""`stream-ml jobs`: retrain jobs of a model: lists them, asks for one, cancels one."""

from __future__ import annotations

import getpass
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import click
import orjson
from rich.console import Console
from rich.table import Column, Table

from stream_ml.cli.cells import cell
from stream_ml.cli.deciding import SETTINGS, deciding
from stream_ml.errors import ConfigError, StreamMlError
from stream_ml.learning.parties import Parties
from stream_ml.retraining import asking
from stream_ml.retraining.jobs import Job, ensure_jobs, job_id
from stream_ml.retraining.queue import Queue
from stream_ml.retraining.queue_lines import JobState
from stream_ml.retraining.window import missing
from stream_ml.runtime.clock import SystemClock


@click.command()
@SETTINGS
@click.option("--ask", "events", type=click.IntRange(min=1), help="Ask for one over the last so many events.")
@click.option("--cancel", metavar="JOB", help="Cancel one, whoever works at it.")
@click.option("--why", default="stream-ml jobs", help="For its report, and for who reads the list.")
@click.option("--json", "as_json", is_flag=True, help="List them as one JSON object a line.")
def jobs(settings: Path, events: int | None, cancel: str | None, why: str, as_json: bool) -> None:
    """
    List the retrain jobs of a model; ask for one, or cancel one.

    SETTINGS is the learner's file. A retrainer (python -m services.retrainer) does the jobs.
    """
    if events is not None and cancel is not None:
        raise ConfigError("--ask and --cancel: one at a time")
    with deciding(settings) as (parties, _):
        if events is not None:
            job = ask(parties, events, why)
            click.echo(f"job {job.job}: {sum(b - a for a, b in (job.window.events or {}).values()):,} events")
            return
        with closing(Queue(parties.log, parties.who, SystemClock(), models=[parties.name])) as queue:
            queue.read()
            if cancel is not None:
                _cancel(queue, cancel, why)
                return
            if as_json:
                for job, state in _of(parties, queue):
                    click.echo(orjson.dumps(_described(job, state, parties)))
                return
            Console().print(_table(parties, queue))


def ask(parties: Parties, events: int, why: str) -> Job:
    """
    Ask for a retraining over the last *events* events.

    Raises:
        ConfigError: there are none.
    """
    ensure_jobs(parties.log)
    with parties.log.writer() as writer:
        return asking.ask(
            parties.log,
            writer,
            parties.name,
            parties.topics.events.name,
            events,
            job=job_id(parties.name, time.time_ns()),
            reason={"asked": why},
            asked_by=getpass.getuser(),
        )


def _cancel(queue: Queue, job: str, why: str) -> None:
    if job not in {known.job for known, _ in queue.jobs()}:
        raise ConfigError(f"there is no job {job}\n  hint: without --cancel they are listed")
    click.echo(f"job {job} is cancelled" if queue.cancel(job, why) else f"job {job} was over before")


def _table(parties: Parties, queue: Queue) -> Table:
    columns = (Column(name, overflow="fold") for name in ("state", "by", "what", "why"))
    table = Table(Column("job", no_wrap=True), *columns, title=f"Retrain jobs of {parties.name}")
    for job, state in _of(parties, queue):
        reason = job.reason.get("asked") or job.reason.get("statistic") or ""
        stands, by, what = _standing(state)
        if state.free:
            what = ", ".join(filter(None, (what, _awaited(job, parties))))
        table.add_row(*map(cell, (job.job, stands, by, what, str(reason))))
    return table


def _of(parties: Parties, queue: Queue) -> list[tuple[Job, JobState]]:
    return [(job, state) for job, state in queue.jobs() if job.model == parties.name]


def _described(job: Job, state: JobState, parties: Parties) -> dict[str, Any]:
    """Return what scripts read."""
    stands, by, what = _standing(state)
    return {
        "job": job.job,
        "state": stands,
        "by": by,
        "what": what,
        "awaits": _awaited(job, parties) if state.free else "",
        "failures": state.failures,
        "progress": None if state.alive is None else state.alive.progress,
        "reason": job.reason,
        "asked_by": job.asked_by,
        "outcome": None if state.end is None else state.end.outcome,
    }


def _awaited(job: Job, parties: Parties) -> str:
    """Return what *job* waits for, beside a retrainer."""
    try:
        count = missing(job.window, parties.log, parties.topics.events.name)
    except StreamMlError as error:
        return str(error).splitlines()[0]
    return f"{count:,} events have yet to come" if count else ""


def _standing(state: JobState) -> tuple[str, str, str]:
    if state.end is not None:
        found = (state.end.outcome or {}).get("why") or state.end.why
        return state.end.ended, state.end.who, str(found)
    if state.free or state.claim is None:
        return "waits", "", f"failed {state.failures} times" if state.failures else ""
    alive = state.alive
    return "at work", state.claim.who, "" if alive is None else f"{alive.progress:.0%}, {alive.doing}"
