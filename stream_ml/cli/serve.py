"""`stream-ml serve`: a predictor in the foreground."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from services.predictor.__main__ import main


@click.command()
@click.argument("settings", type=click.Path(exists=True, dir_okay=False, path_type=Path))
def serve(settings: Path) -> None:
    """Run a predictor with the SETTINGS file (TOML); `STREAM_ML_…` variables override it."""
    sys.exit(main(["--settings", str(settings)]))
