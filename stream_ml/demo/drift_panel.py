"""What the demo of drift shows while it runs."""

from __future__ import annotations

from rich.panel import Panel
from rich.progress_bar import ProgressBar
from rich.table import Table

from stream_ml.demo.drifting import Moment
from stream_ml.demo.panel import WIDTH, curve


def panel(moment: Moment) -> Panel:
    """Draw *moment*."""
    table = Table.grid(padding=(0, 2))
    table.add_column(justify="right", style="bold")
    table.add_row("visits", f"{moment.sent:,}")
    table.add_row("served by", moment.variant)
    table.add_row("log loss", curve(moment.losses))
    table.add_row("now", moment.doing)
    if moment.progress is not None:
        table.add_row("", ProgressBar(total=1.0, completed=min(moment.progress, 1.0), width=WIDTH))
    return Panel(table, title="stream-ml: will this visitor buy?", expand=False)
