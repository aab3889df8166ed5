"""`stream-ml drift`: what the drift monitor would have said of a file of events."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import asdict
from itertools import islice
from pathlib import Path
from typing import Any

import click
import orjson

from stream_ml._native import Learner, Plan
from stream_ml.drift.alarms import Alarm
from stream_ml.drift.evaluation import read
from stream_ml.drift.monitor import Monitor, Rules
from stream_ml.features import compile_model
from stream_ml.streams.events_from_files import event_bytes, read_events

_EVENTS_A_BLOCK = 2_000
_UNKNOWN_TIME = -1
_DEFAULTS = Rules()


@click.command()
@click.argument("file")
@click.option(
    "--model",
    required=True,
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="The model file.",
)
@click.option("--format", "file_format", type=click.Choice(["jsonl", "csv", "parquet"]), help="Of FILE.")
@click.option(
    "--false-alarm-every",
    default=_DEFAULTS.false_alarm_every,
    show_default=True,
    type=click.FloatRange(min=10),
    help="Evaluations in which one false drift is allowed.",
)
@click.option(
    "--cooldown",
    default=_DEFAULTS.cooldown,
    show_default=True,
    type=click.IntRange(min=1),
    help="Evaluations after a drift without another.",
)
@click.option(
    "--ignore", multiple=True, metavar="STATISTIC", help="One that is not watched; may be repeated."
)
@click.option("--json", "as_json", is_flag=True, help="Print one object for scripts.")
def drift(
    file: str,
    model: Path,
    file_format: str | None,
    false_alarm_every: float,
    cooldown: int,
    ignore: tuple[str, ...],
    as_json: bool,
) -> None:
    """
    Learn the events of FILE (JSON lines, CSV, Parquet) with MODEL, and say where they drift.

    Each event is scored, then learned, and the evaluations are watched as the service watches them: to choose
    a budget by one's own history.
    """
    rules = Rules(false_alarm_every=false_alarm_every, cooldown=cooldown, ignore=frozenset(ignore))
    plan = Plan(compile_model(model).plan_bytes)
    watched = Watched(plan, rules)
    watched.learn(event_bytes(each) for each in read_events(file, file_format))
    if as_json:
        told = [said(alarm) for alarm in watched.alarms]
        click.echo(orjson.dumps({"events": watched.events, "alarms": told, "rules": _plain(rules)}))
        return
    for line in lines(watched):
        click.echo(line)


class Watched:
    """
    A learner whose evaluations are watched.

    Attributes:
        events: learned.
        evaluations: that closed.
        alarms: drifts only; `warnings` are those that were told before, or beside, one.
    """

    def __init__(self, plan: Plan, rules: Rules) -> None:
        self._learner, self._monitor = Learner(plan), Monitor(rules)
        self.alarms: list[Alarm] = []
        self.warnings: list[Alarm] = []

    def learn(self, events: Iterable[bytes]) -> None:
        """Score and learn *events* in their order."""
        for block in _blocks(events):
            learned = self._learner.learn([(0, block, [_UNKNOWN_TIME] * len(block))])
            for evaluation in learned.evaluations:
                for alarm in self._monitor.observe(read(evaluation)):
                    (self.alarms if alarm.kind == "drift" else self.warnings).append(alarm)

    @property
    def events(self) -> int:
        """How many were learned."""
        return int(self._learner.metrics()["learned"])

    @property
    def evaluations(self) -> int:
        """How many closed."""
        return self._monitor.index


def _blocks(events: Iterable[bytes]) -> Iterator[list[bytes]]:
    rest = iter(events)
    while block := list(islice(rest, _EVENTS_A_BLOCK)):
        yield block


def said(alarm: Alarm) -> dict[str, Any]:
    """Return an alarm for scripts; *at* are the events learned when it was told."""
    return {"at": alarm.learned_to, **alarm.said()}


def _plain(rules: Rules) -> dict[str, Any]:
    return {**asdict(rules), "ignore": sorted(rules.ignore)}


def lines(watched: Watched) -> Iterator[str]:
    """Yield what a person is told."""
    yield f"{watched.events:,} events learned, {watched.evaluations:,} evaluations watched"
    if not watched.alarms:
        yield f"no drift ({len(watched.warnings)} warnings)"
    for alarm in watched.alarms:
        where = "" if alarm.segment is None else f" of {alarm.segment}"
        yield (
            f"at {alarm.learned_to:,}: {alarm.statistic}{where} went from {alarm.before:.4g} to "
            f"{alarm.after:.4g}, since {alarm.since_learned:,} ({alarm.strength:+.1f} standard errors)"
        )
