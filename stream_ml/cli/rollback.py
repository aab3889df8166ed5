"""`stream-ml rollback`: lets the variant serve again that did before."""

from __future__ import annotations

from pathlib import Path

import click

from stream_ml.cli.deciding import SETTINGS, deciding, tell, why_option
from stream_ml.retraining import promoting


@click.command()
@SETTINGS
@click.argument("variant", required=False)
@why_option("stream-ml rollback")
def rollback(settings: Path, variant: str | None, why: str) -> None:
    """
    Let the variant serve again whose place was taken last; the one that took it ends.

    SETTINGS is the learner's file. VARIANT is to serve again; it may be left out while a promotion is
    watched, and asking twice does not go back twice. Where the old variant was stopped since, it first
    serves as of its last snapshot, and learns what it missed.
    """
    with deciding(settings) as (parties, _):
        tell(promoting.rollback(parties, why, to=variant))
