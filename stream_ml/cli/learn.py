"""`stream-ml learn`: a learner in the foreground."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from services.learner.__main__ import main


@click.command()
@click.argument("settings", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option(
    "--accept-loss",
    is_flag=True,
    help="Where replay is impossible, begin a new variant from the newest snapshot; the loss is counted.",
)
def learn(settings: Path, accept_loss: bool) -> None:
    """Run a learner with the SETTINGS file (TOML); `STREAM_ML_…` variables override it."""
    sys.exit(main(["--settings", str(settings), *["--accept-loss"] * accept_loss]))
