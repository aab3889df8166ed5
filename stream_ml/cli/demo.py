"""`stream-ml demo`: the main job on real data, to watch."""

from __future__ import annotations

import tempfile
from dataclasses import asdict
from pathlib import Path

import click
import orjson
from rich.console import Console
from rich.live import Live
from rich.table import Table

from stream_ml.demo.panel import panel
from stream_ml.demo.run import ALL_EVENTS, Demo, Report

NEXT = """\
[bold]Next[/]: your own data, in four commands
  stream-ml init FILE.csv --output model.toml    a commented model file from a sample of your events
  stream-ml up model.toml                        learner and predictor
  stream-ml send FILE.csv                        push the events
  stream-ml score FILE.csv --contributions       ask for scores, and why"""


@click.command()
@click.option(
    "--events",
    default=ALL_EVENTS,
    show_default=True,
    type=click.IntRange(1_000, ALL_EVENTS),
    help="How many to learn.",
)
@click.option("--fast", is_flag=True, help="Flat out instead of a minute to watch.")
@click.option(
    "--json", "as_json", is_flag=True, help="Print the report as one JSON object, nothing to watch."
)
def demo(events: int, fast: bool, as_json: bool) -> None:
    """
    Learn a year of shopping baskets and score them live.

    Coupon responses of 2,469 households (Complete Journey): a producer pushes baskets to an embedded broker,
    a learner learns every line after its whole basket was predicted, a client asks for scores over Thrift.
    """
    with tempfile.TemporaryDirectory(prefix="stream-ml-demo-") as directory:
        if as_json:
            report = Demo(events, fast=fast, directory=Path(directory), show=lambda _: None).run()
            click.echo(orjson.dumps(asdict(report), option=orjson.OPT_INDENT_2))
            return
        console = Console()
        with Live(console=console, auto_refresh=False) as live:
            report = Demo(
                events,
                fast=fast,
                directory=Path(directory),
                show=lambda at: live.update(panel(at), refresh=True),
            ).run()
    _print(console, report)


def _print(console: Console, report: Report) -> None:
    console.print(_summary(report), _features(report), NEXT, sep="\n")


def _summary(report: Report) -> Table:
    table = Table(title="The run", show_header=False)
    table.add_row(
        "events", f"{report.events:,} in {report.seconds:.0f} s, {report.dead_letters} dead letters"
    )
    table.add_row("progressive AUC", f"{report.auc:.4f}, every basket predicted before it was learned")
    table.add_row("progressive log loss", f"{report.logloss:.5f}, calibration {report.calibration:.3f}")
    table.add_row("AUC, last 80 %, online", f"{report.auc_online_last80:.4f}")
    table.add_row(
        "AUC, last 80 %, frozen", f"{report.auc_frozen_last80:.4f}  (the same model, had it stopped learning)"
    )
    table.add_row(
        "scores answered",
        f"{report.scores:,}, p50 {report.score_p50_ms:.2f} ms, p99 {report.score_p99_ms:.2f} ms",
    )
    table.add_row(
        "freshness", f"p99 {report.freshness_p99_ms:.0f} ms from push to the first score that knows it"
    )
    return table


def _features(report: Report) -> Table:
    table = Table("weight", "feature", "value", title="The strongest features")
    for feature in report.top_features:
        table.add_row(f"{feature['weight']:+.3f}", feature["slot"], feature["value"])
    return table
