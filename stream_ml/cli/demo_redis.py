"""`stream-ml demo-redis`: several learners share a model in Redis, one of them is killed."""

from __future__ import annotations

import tempfile
from dataclasses import asdict
from pathlib import Path

import click
import orjson
from rich.console import Console
from rich.table import Table

from stream_ml.demo.run import ALL_EVENTS
from stream_ml.demo.sharing import SharingDemo, SharingReport
from stream_ml.errors import RecoverableError


@click.command()
@click.option(
    "--events",
    default=300_000,
    show_default=True,
    type=click.IntRange(10_000, ALL_EVENTS),
    help="How many to learn.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the report as one JSON object.")
def demo_redis(events: int, as_json: bool) -> None:
    """
    Let three learners share a model in Redis, and kill one of them.

    The shopping baskets of `stream-ml demo`, pushed to an embedded broker with six partitions; a Redis server
    of this run has the rows in four shards. Every event counts once in the end, also those that the killed
    learner had in its hands.
    """
    console = Console(stderr=as_json)
    with tempfile.TemporaryDirectory(prefix="stream-ml-demo-") as directory:
        report = SharingDemo(events, Path(directory), console.print).run()
    if as_json:
        click.echo(orjson.dumps(asdict(report) | {"exact": report.exact}, option=orjson.OPT_INDENT_2))
    else:
        console.print(_summary(report))
    if not report.exact:
        raise RecoverableError(f"{report.pushed} events were pushed, but others are counted: {report}")


def _summary(report: SharingReport) -> Table:
    table = Table(title="The run", show_header=False)
    table.add_row("pushed", f"{report.pushed:,} events in {report.seconds:.0f} s")
    table.add_row(
        "learned", f"{report.learned:,}, {report.duplicates} repeats, {report.dead_letters} dead letters"
    )
    table.add_row("progressive log loss", f"{report.logloss:.5f}")
    row_bytes = report.redis_bytes / max(report.rows, 1)
    table.add_row("rows served", f"{report.rows:,}; Redis keeps each in {row_bytes:.0f} bytes")
    table.add_row("a score", f"{report.prediction:.4f}, by a predictor that follows the shards")
    return table
