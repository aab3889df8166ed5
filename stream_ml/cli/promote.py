"""`stream-ml promote`: lets a challenger serve."""

from __future__ import annotations

from pathlib import Path

import click

from stream_ml.cli.deciding import SETTINGS, deciding, tell, why_option
from stream_ml.retraining import promoting

_PATIENCE_SECONDS = 20.0


@click.command()
@SETTINGS
@click.argument("variant")
@click.option("--force", is_flag=True, help="Though nobody has proved that it is better.")
@why_option("stream-ml promote")
def promote(settings: Path, variant: str, force: bool, why: str) -> None:
    """
    Let the challenger VARIANT serve.

    SETTINGS is the learner's file. The variant that serves now learns on beside it until a retrainer's watch
    ends, and is brought back if it turns out to be the better one.
    """
    with deciding(settings) as (parties, _):
        place = promoting.wait_caught_up(parties, variant, _PATIENCE_SECONDS)
        tell(promoting.promote(parties, variant, why, force=force, place=place))
