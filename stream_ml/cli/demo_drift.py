"""`stream-ml demo-drift`: what sells changes, and the services help themselves."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click
from rich.console import Console
from rich.live import Live
from rich.table import Table

from stream_ml.demo.drift_panel import panel
from stream_ml.demo.drifting import DriftDemo, DriftReport, StageMissing, said


@click.command()
@click.option(
    "--reports",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path(".stream-ml/demo-drift"),
    show_default=True,
    help="Folder for the retrainer's report.",
)
@click.option("--bootstrap", help="A Kafka, instead of an embedded broker.")
@click.option("--json", "as_json", is_flag=True, help="Print the report as one JSON object.")
def demo_drift(reports: Path, bootstrap: str | None, as_json: bool) -> None:
    """
    Let what visitors buy change, and watch drift monitor, retrainer and watch deal with it.

    A made-up shop: visits are scored, then learned. After a while the pages that sold well sell badly. Nobody
    tells the services. Exit code 1: a stage did not come.
    """
    console = Console(stderr=as_json)
    with tempfile.TemporaryDirectory(prefix="stream-ml-demo-") as directory, _live(console) as live:
        demo = DriftDemo(
            Path(directory),
            reports,
            say=lambda line: console.print(line, soft_wrap=True, highlight=False),
            show=lambda at: live.update(panel(at), refresh=True),
            bootstrap=bootstrap,
        )
        try:
            demo.run()
        except StageMissing:
            if as_json:
                click.echo(said(demo.report))
            raise
    if as_json:
        click.echo(said(demo.report))
    else:
        console.print(_summary(demo.report))


@contextmanager
def _live(console: Console) -> Iterator[Live]:
    live = Live(console=console, auto_refresh=False, transient=True)
    # Into a file or a pipe only the lines go.
    if not console.is_terminal:
        live.update = lambda *_, **__: None  # type: ignore[method-assign]
        yield live
        return
    with live:
        yield live


def _summary(report: DriftReport) -> Table:
    table = Table(title="The run", show_header=False)
    table.add_row("changed", f"after {report.changed_at:,} of {report.events:,} events")
    table.add_row("alarm", f"{report.alarm_after_events:,} events later: {report.statistic}")
    table.add_row("retrained", f"in {report.seconds_retraining:.1f} s; {report.winner} wins")
    table.add_row("it saves", f"{report.difference:.4f} of log loss an event")
    table.add_row("serves", f"{report.promoted}{' (kept by the watch)' if report.kept else ' (rolled back)'}")
    table.add_row(
        "log loss of what was served",
        f"{report.loss_calm:.4f} before the change, {report.loss_before:.4f} after it, "
        f"{report.loss_after:.4f} since the promotion",
    )
    table.add_row("calls for scores that failed", f"{report.unanswered}")
    table.add_row("report", f"{report.report}/report.md")
    return table
