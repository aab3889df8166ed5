"""What the demo shows while it runs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rich.panel import Panel
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

BARS = "▁▂▃▄▅▆▇█"
WIDTH = 48


@dataclass(frozen=True, slots=True)
class Moment:
    """
    One look at the running demo.

    Attributes:
        pushed, events: pushed so far, and in all.
        events_per_second: learned, over the last look.
        log_losses, aucs, calibrations: of each closed evaluation, in order.
        latency_p50_ms, latency_p99_ms: of recent calls.
        scores: answered so far.
    """

    pushed: int
    events: int
    events_per_second: float
    log_losses: Sequence[float]
    aucs: Sequence[float]
    calibrations: Sequence[float]
    freshness_p99_ms: float
    latency_p50_ms: float
    latency_p99_ms: float
    scores: int


def panel(moment: Moment) -> Panel:
    """Draw *moment*."""
    table = Table.grid(padding=(0, 2))
    table.add_column(justify="right", style="bold")
    table.add_row("pushed", _progress(moment))
    table.add_row("learning", f"{moment.events_per_second:10,.0f} events/s")
    table.add_row("log loss", curve(moment.log_losses))
    table.add_row("AUC", curve(moment.aucs))
    table.add_row("calibration", curve(moment.calibrations))
    table.add_row(
        "freshness", f"p99 {moment.freshness_p99_ms:7.1f} ms from push to the first score that knows it"
    )
    latency = f"p50 {moment.latency_p50_ms:7.2f} ms, p99 {moment.latency_p99_ms:.2f} ms a basket"
    table.add_row("scores", f"{latency}; {moment.scores:,} answered")
    return Panel(table, title="stream-ml: will this line of the basket be paid with a coupon?", expand=False)


def _progress(moment: Moment) -> Table:
    row = Table.grid(padding=(0, 1))
    row.add_row(
        ProgressBar(total=moment.events, completed=moment.pushed, width=WIDTH),
        f"{moment.pushed:,} of {moment.events:,} events",
    )
    return row


def curve(values: Sequence[float]) -> Text:
    """Draw a curve over the whole run, with the newest value as a number beside it."""
    known = [value for value in values if value == value]
    if not known:
        return Text("…")
    step = max(1, -(-len(known) // WIDTH))
    points = [sum(known[at : at + step]) / len(known[at : at + step]) for at in range(0, len(known), step)]
    low, high = min(points), max(points)
    scale = (len(BARS) - 1) / (high - low) if high > low else 0.0
    return Text("".join(BARS[round((point - low) * scale)] for point in points) + f"  {known[-1]:.4f}")
