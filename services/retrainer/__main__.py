"""The retrainer: jobs → challengers → gate → report; then variant, promotion and watch of who wins."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from services.retrainer.models import Models
from services.retrainer.parts import RetrainerService, go_on
from stream_ml.retraining.working import Reached
from stream_ml.runtime import lifecycle, logging
from stream_ml.runtime.allocator import keep_freed_memory
from stream_ml.runtime.retrainer_settings import RetrainerSettings
from stream_ml.runtime.settings import load


def main(arguments: Sequence[str], reached: Reached = go_on) -> int:
    """Run the service with command-line *arguments*; return the process's exit code."""
    parser = argparse.ArgumentParser(prog="python -m services.retrainer", description=__doc__)
    parser.add_argument("--settings", type=Path, help="TOML file; STREAM_ML_… variables override it")
    parser.add_argument(
        "--until-idle",
        action="store_true",
        help="end when no job waits; another retrainer keeps its challengers",
    )
    given = parser.parse_args(arguments)
    logging.configure("retrainer")
    keep_freed_memory()

    def serve(stop: lifecycle.Stop) -> None:
        settings = load(RetrainerSettings, given.settings, os.environ)
        logging.configure("retrainer", settings.log_level, settings.log_format)
        with Models(settings, stop) as models:
            service = RetrainerService(
                settings,
                models.names,
                models.work,
                models.effect,
                reached,
                models.ready,
                models.abandon,
                given.until_idle,
            )
            service.run(stop)

    return lifecycle.run(serve)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
