"""``stream-ml init``: a model file from a sample of one's own events."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from shlex import quote
from typing import Any

import click
import orjson
from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn

from stream_ml.errors import ConfigError
from stream_ml.features import CompiledModel, compile_model
from stream_ml.features.proposals.inference import Proposal, propose
from stream_ml.features.proposals.text import model_name, proposal_json, proposal_text
from stream_ml.streams.events_from_files import Event, read_events


@click.command()
@click.argument("sample")
@click.option("--label", metavar="FIELD", help="What is to be learned; looked for where not given.")
@click.option("--name", help="Of the model; the sample's file name where not given.")
@click.option("--output", default="model.toml", show_default=True, help="Where to write; - prints.")
@click.option("--format", "file_format", type=click.Choice(["jsonl", "csv", "parquet"]), help="Of SAMPLE.")
@click.option("--force", is_flag=True, help="Write over a file that is there.")
@click.option("--json", "as_json", is_flag=True, help="Print one object for scripts.")
def init(
    sample: str,
    label: str | None,
    name: str | None,
    output: str,
    file_format: str | None,
    force: bool,
    as_json: bool,
) -> None:
    """
    Write a commented model file that suits the events in SAMPLE.

    SAMPLE is a file of JSON lines, CSV (the first line names the columns) or Parquet, compressed or not;
    - is standard input.
    """
    if output != "-" and Path(output).exists() and not force:
        raise ConfigError(
            f"{output} is there already\n  hint: --output another.toml, or --force to write over it"
        )
    events = _watched(read_events(sample, file_format))
    proposal = propose(name or model_name(sample), events, now=datetime.now(UTC), label=label)
    text = proposal_text(proposal, Path(sample).name)
    compiled = compile_model(text)
    if output != "-":
        _write(Path(output), text)
    if as_json:
        report = {"output": output, "fingerprint": compiled.fingerprint, **proposal_json(proposal)}
        click.echo(orjson.dumps(report))
    elif output == "-":
        click.echo(text, nl=False)
    else:
        _tell(proposal, compiled, sample, output)


def _write(path: Path, text: str) -> None:
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"{path}: cannot be written: {error}\n  hint: --output names another") from error


def objects(events: Iterator[Event]) -> Iterator[dict[str, Any]]:
    """Yield the events as objects; refuses a line that is none, by its number."""
    for number, event in enumerate(events, start=1):
        value = event
        if isinstance(event, bytes):
            try:
                value = orjson.loads(event)
            except orjson.JSONDecodeError as error:
                raise ConfigError(f"event {number} is not JSON: {error}") from None
        if not isinstance(value, dict):
            raise ConfigError(f"event {number} is not an object but {type(value).__name__}")
        yield value


def _watched(events: Iterator[Event]) -> Iterator[dict[str, Any]]:
    """Yield the events as objects, and count them on the terminal."""
    columns = (SpinnerColumn(), TextColumn("{task.completed:,} events read"))
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("", total=None)
        for event in objects(events):
            progress.advance(task)
            yield event


def _tell(proposal: Proposal, compiled: CompiledModel, sample: str, output: str) -> None:
    label, comment = proposal.keys["label"]
    click.echo(
        f"{output}: {len(compiled.slots)} features, from {proposal.events:,} of {proposal.seen:,} events"
    )
    click.echo(f"label: {label} ({comment})")
    if "event_id" not in proposal.keys:
        click.echo("event id: none found; without one a repeated event is learned twice")
    for field, reason in proposal.left_out:
        click.echo(f"left out: {field}: {reason}")
    click.echo(f"next: stream-ml check {quote(output)} --events {quote(sample)}")
