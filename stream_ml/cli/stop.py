"""`stream-ml stop`: stops learning, not serving; or ends a challenger."""

from __future__ import annotations

from pathlib import Path

import click

from stream_ml.cli.deciding import SETTINGS, deciding, tell, why_option
from stream_ml.learning import resuming


@click.command()
@SETTINGS
@click.argument("variant", required=False)
@why_option("stream-ml stop")
def stop(settings: Path, variant: str | None, why: str) -> None:
    """
    Stop the learning of what serves; scores go on, from the weights as they are.

    SETTINGS is the learner's file. Events wait in their topic; `stream-ml resume` goes on. With VARIANT it is
    the learning of that one that stops: a challenger that nobody wants any more ends.
    """
    with deciding(settings) as (parties, _):
        tell(resuming.stop(parties, why, variant))
