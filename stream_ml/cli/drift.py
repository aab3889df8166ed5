"""`stream-ml drift`: what the drift monitor would have said of a file of events."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from itertools import islice
from math import isfinite
from pathlib import Path
from typing import Any

import click
import orjson

from stream_ml._native import Learner, Plan
from stream_ml.drift.alarms import Alarm
from stream_ml.drift.cell import LATEST, LEAST
from stream_ml.drift.evaluation import read
from stream_ml.drift.ignoring import ignored
from stream_ml.drift.monitor import Monitor, Rules
from stream_ml.errors import ConfigError
from stream_ml.features import compile_model
from stream_ml.streams.events_from_files import event_bytes, read_events

_EVENTS_A_BLOCK = 2_000
_UNKNOWN_TIME = -1
_DEFAULTS = Rules()


class Finite(click.FloatRange):
    """A number within bounds; click lets NaN, which is neither below nor above anything, pass."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Return the number that *value* says, or fail as click does."""
        number = float(super().convert(value, param, ctx))
        if not isfinite(number):
            self.fail(f"{value} is no number", param, ctx)
        return number


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
    type=Finite(min=10),
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
    rules = Rules(false_alarm_every=false_alarm_every, cooldown=cooldown, ignore=ignored(ignore))
    plan = Plan(compile_model(model).plan_bytes)
    watched = Watched(plan, rules)
    watched.learn(event_bytes(each) for each in read_events(file, file_format))
    if not watched.events:
        raise ConfigError(f"{file}: no event of it was learned: {_left_out(watched)}")
    if as_json:
        click.echo(orjson.dumps(_result(watched)))
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
        left_out: events that were not learned, by reason.
    """

    def __init__(self, plan: Plan, rules: Rules) -> None:
        self._learner, self._monitor, self.rules = Learner(plan), Monitor(rules), rules
        self.left_out: Counter[str] = Counter()
        self.alarms: list[Alarm] = []
        self.warnings: list[Alarm] = []

    def learn(self, events: Iterable[bytes]) -> None:
        """Score and learn *events* in their order."""
        for block in _blocks(events):
            learned = self._learner.learn([(0, block, [_UNKNOWN_TIME] * len(block))])
            self.left_out.update(refusal.reason for refusal in learned.refused)
            self.left_out.update({"unlabelled": learned.skipped, "duplicate": learned.duplicates})
            for evaluation in learned.evaluations:
                for alarm in self._monitor.observe(read(evaluation)):
                    (self.alarms if alarm.kind == "drift" else self.warnings).append(alarm)

    @property
    def events(self) -> int:
        """How many were learned."""
        return int(self._learner.metrics()["learned"])

    @property
    def enough(self) -> bool:
        """Whether a drift could have been told: what was before has to be known first."""
        return self.evaluations > self.least_evaluations

    @property
    def least_evaluations(self) -> int:
        """With so many nothing is told yet."""
        return self.rules.warm_up + LEAST + LATEST

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


def _result(watched: Watched) -> dict[str, Any]:
    return {
        "events": watched.events,
        "left_out": dict(+watched.left_out),
        "evaluations": watched.evaluations,
        "enough": watched.enough,
        "alarms": [said(alarm) for alarm in watched.alarms],
        "rules": _plain(watched.rules),
    }


def _left_out(watched: Watched) -> str:
    counted = +watched.left_out
    return ", ".join(f"{count:,} {reason}" for reason, count in counted.most_common()) or "it has none"


def _plain(rules: Rules) -> dict[str, Any]:
    return {**asdict(rules), "ignore": sorted(rules.ignore)}


def lines(watched: Watched) -> Iterator[str]:
    """Yield what a person is told."""
    yield f"{watched.events:,} events learned, {watched.evaluations:,} evaluations watched"
    if +watched.left_out:
        yield f"not learned: {_left_out(watched)}"
    if not watched.enough:
        least = watched.least_evaluations
        yield f"too few to say anything: drifts are told after {least} evaluations (evaluate_every)"
    elif not watched.alarms:
        yield f"no drift ({len(watched.warnings)} warnings)"
    for alarm in watched.alarms:
        where = "" if alarm.segment is None else f" of {alarm.segment}"
        yield (
            f"at {alarm.learned_to:,}: {alarm.statistic}{where} went from {alarm.before:.4g} to "
            f"{alarm.after:.4g}, since {alarm.since_learned:,} ({alarm.strength:+.1f} standard errors)"
        )
