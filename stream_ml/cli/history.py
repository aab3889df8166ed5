"""`stream-ml history`: who decided what about a model, when and why."""

from __future__ import annotations

from pathlib import Path

import click
import orjson
from rich.console import Console
from rich.table import Column, Table

from stream_ml.cli.cells import cell
from stream_ml.cli.deciding import SETTINGS, deciding
from stream_ml.retraining import history as told
from stream_ml.weights.journal import JournalReader


@click.command()
@SETTINGS
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
def history(settings: Path, as_json: bool) -> None:
    """
    Show which variants began, served, were stopped or resumed: when, by whom, why, with what figures.

    SETTINGS is the learner's file.
    """
    with deciding(settings) as (parties, _):
        topic = parties.topics.journal.name
        with JournalReader.open(parties.log, topic) as reader:
            reader.read_to_end()
            happened = told.history(parties.log, topic, reader.state.journal)
    if as_json:
        for each in happened:
            click.echo(orjson.dumps(each.described()))
        return
    Console().print(_table(parties.name, happened))


def _table(model: str, happened: list[told.Happening]) -> Table:
    columns = (Column(name, overflow="fold") for name in ("variant", "what", "who", "why"))
    table = Table(Column("at", no_wrap=True), *columns, title=f"History of {model}")
    for each in happened:
        table.add_row(*map(cell, each.described().values()))
    return table
