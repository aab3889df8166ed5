"""`stream-ml retrain`: one retraining from files: challengers are trained, and compared with the champion."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any

import click
import orjson
from pydantic import TypeAdapter, ValidationError

from stream_ml.cli.progress import progress
from stream_ml.errors import ConfigError
from stream_ml.features import CompiledModel, compile_model
from stream_ml.retraining.challengers import challenger_of, champion_of
from stream_ml.retraining.gate import Rule, judge
from stream_ml.retraining.grid import default_grid
from stream_ml.retraining.jobs import CHAMPION, MOST_SETTINGS, Setting, explain, job_id
from stream_ml.retraining.report import Report
from stream_ml.retraining.training import Device, Part, train
from stream_ml.streams.events_from_files import event_bytes, read_events

_RULE = Rule()
_GRID: TypeAdapter[tuple[Setting, ...]] = TypeAdapter(tuple[Setting, ...])


@click.command()
@click.option("--events", "file", required=True, metavar="FILE", help="JSON lines, CSV or Parquet.")
@click.option(
    "--model",
    required=True,
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="The model file, as the champion learns.",
)
@click.option("--format", "file_format", type=click.Choice(["jsonl", "csv", "parquet"]), help="Of FILE.")
@click.option(
    "--grid",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="JSON: a list of settings as retrain jobs have them; default: a dozen around the champion's.",
)
@click.option(
    "--train-share",
    type=click.FloatRange(0, 1, min_open=True, max_open=True),
    default=0.5,
    show_default=True,
    help="Of the events; over the rest challengers and champion are compared.",
)
@click.option(
    "--device",
    type=click.Choice(["auto", "cpu", "cuda"]),
    default="auto",
    show_default=True,
    help="Where challengers learn; auto takes a GPU that is there.",
)
@click.option("--min-gain", type=float, default=_RULE.min_gain, show_default=True, help="Share of the loss.")
@click.option("--report", type=click.Path(file_okay=False, path_type=Path), help="Write the report there.")
@click.option("--json", "as_json", is_flag=True, help="Print one object for scripts.")
def retrain(
    file: str,
    model: Path,
    file_format: str | None,
    grid: Path | None,
    train_share: float,
    device: Device,
    min_gain: float,
    report: Path | None,
    as_json: bool,
) -> None:
    """
    Train challengers on the first events of a file, and say whether one beats the model on the rest.

    Champion and challengers learn every event after they scored it, also those they are compared over.
    """
    _check(file, train_share, min_gain)
    compiled = compile_model(model)
    events = partial(_events, file, file_format)
    count = sum(1 for _ in events())
    part = Part.of(count, train_share)
    # Of a file there are no rows to begin with.
    settings = tuple(replace(each, warm=False) for each in _settings(grid, compiled, part.training))
    if report is not None:
        _make(report)
    everyone = [champion_of(compiled), *(challenger_of(setting, compiled) for setting in settings)]
    with progress(quiet=as_json) as say:
        trained = train(
            compiled,
            events(),
            part,
            everyone,
            threads=os.cpu_count() or 1,
            device=device,
            tell=lambda done, doing: say(f"{done:.0%}: {doing}"),
        )
    rule = Rule(min_gain=min_gain)
    told = Report(
        job=job_id(compiled.fingerprint, file, count),
        model=compiled.model_file.name,
        reason={"asked": "stream-ml retrain", "events": file},
        champion=CHAMPION,
        rule=rule,
        blocks=trained.blocks,
        verdict=judge(trained.blocks, rule),
        settings={setting.name: setting.described() for setting in settings},
        histograms=trained.histograms,
        notes=[f"trained on {part.training:,} events, {_counted(trained.counts)}"],
    )
    if report is not None:
        told.write(report)
    click.echo(orjson.dumps(_said(told, report)) if as_json else _page(told, report))


def _check(file: str, train_share: float, min_gain: float) -> None:
    if file == "-":
        raise ConfigError("--events -: the events are read twice\n  hint: write them to a file first")
    # No number is within any bounds, and not outside of them either.
    if not 0 < train_share < 1:
        raise ConfigError(f"--train-share {train_share}: a share of the events is above 0 and below 1")
    if not 0 <= min_gain < 1:
        raise ConfigError(f"--min-gain {min_gain}: a share of the loss is at least 0 and below 1")


def _make(report: Path) -> None:
    """Make the folder before the training, which may take long."""
    try:
        report.mkdir(parents=True, exist_ok=True)
        with TemporaryFile(dir=report):
            pass
    except OSError as error:
        raise ConfigError(f"--report {report}: cannot be written: {error.strerror or error}") from error


def _events(file: str, file_format: str | None) -> Iterator[bytes]:
    return (event_bytes(each) for each in read_events(file, file_format))


def _settings(grid: Path | None, model: CompiledModel, training: int) -> tuple[Setting, ...]:
    if grid is None:
        return default_grid(model, training)
    try:
        settings = _GRID.validate_json(grid.read_bytes(), strict=True)
    except ValidationError as error:
        told = "; ".join(explain(each, "grid") for each in error.errors())
        raise ConfigError(f"{grid}: {told}\n  hint: schemas/topics.md, grid") from error
    names = [setting.name for setting in settings]
    if not 1 <= len(names) <= MOST_SETTINGS:
        raise ConfigError(f"{grid}: 1 to {MOST_SETTINGS} settings are wanted, there are {len(names)}")
    if repeated := next((name for name in names if names.count(name) > 1), None):
        raise ConfigError(f"{grid}: two settings are called {repeated!r}")
    if CHAMPION in names:
        raise ConfigError(f"{grid}: a setting is called {CHAMPION!r}, as what it is compared with")
    return settings


def _counted(counts: dict[str, int]) -> str:
    return ", ".join(f"{count:,} {name}" for name, count in counts.items() if count and name != "records")


def _said(report: Report, folder: Path | None) -> dict[str, Any]:
    """Return what scripts read; NaN is null."""
    said = report.described()
    figures = {"challengers", "champion", "winner", "difference", "interval", "promoted"}
    kept = {*figures, "says", "why", "events"}
    return {
        **{key: value for key, value in said.items() if key in kept},
        "report": None if folder is None else str(folder),
    }


def _page(report: Report, folder: Path | None) -> str:
    written = [] if folder is None else [f"report: {folder / 'report.md'}"]
    text = report.markdown().split("## Plots")[0].rstrip()
    return "\n".join([text, *written])
