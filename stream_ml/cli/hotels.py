"""`stream-ml hotels`: what a score was worth when it was served, against what is so easily believed."""

from __future__ import annotations

import tempfile
from dataclasses import asdict
from pathlib import Path

import click
import orjson

from stream_ml.cli.progress import progress
from stream_ml.hotels.bookings import bookings
from stream_ml.hotels.run import Report, run

EXPLAINED = """\
{bookings:,} bookings, {cancelled:.1%} of them cancelled in the end

  {served_auc:.4f}  AUC of what was served when the bookings were made: the honest figure
  {leak_auc:.4f}  AUC of the same model, had every outcome been known at once: a lie
  {auc_when_known:.4f}  AUC of what the model says just before it learns an outcome: about another question

Why the second is a lie: most outcomes are known months after the booking. A model that is told them at once
has learned, when it scores a booking, how the rest of its group and last week's bookings end, which nobody
can know yet; of the many bookings that are alike it gets one right after the other. Served, it would be worth
the first.

The third judges each booking by the weights of the day on which its outcome was known, not of the day on
which somebody had to decide. What was served is judged only if it comes back with the label: served = "said"
in the model file. docs/hotels.md says more."""


@click.command()
@click.argument("file")
@click.option(
    "--label-days",
    default=1,
    show_default=True,
    type=click.IntRange(min=1),
    help="Outcomes are pushed after so many days together: more are faster, and a little worse.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the report as one JSON object.")
def hotels(file: str, label_days: int, as_json: bool) -> None:
    """
    Score hotel bookings when they are made, learn them when their outcome is known.

    FILE is hotel_bookings.csv, compressed or not: "Hotel booking demand datasets", Data in Brief 22 (2019)
    41-49, doi 10.1016/j.dib.2018.11.126, supplementary material.
    """
    stream = bookings(file)
    with tempfile.TemporaryDirectory(prefix="stream-ml-hotels-") as directory, progress(quiet=as_json) as say:
        report = run(stream, Path(directory), label_days=label_days, show=say)
    click.echo(orjson.dumps(asdict(report)) if as_json else _explained(report))


def _explained(report: Report) -> str:
    return EXPLAINED.format(**asdict(report))
