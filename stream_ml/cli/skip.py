"""`stream-ml skip`: gives events up that cannot or must not be learned, and says how many."""

from __future__ import annotations

import os
import re
from contextlib import closing
from pathlib import Path

import click

from services.learner.__main__ import kafka_log, parties_of
from stream_ml.errors import ConfigError
from stream_ml.learning.skipping import decide, skips
from stream_ml.runtime.settings import LearnerSettings, load
from stream_ml.weights.journal import JournalReader


@click.command()
@click.argument("settings", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option(
    "--to",
    "places",
    metavar="PARTITION:OFFSET",
    multiple=True,
    required=True,
    help="Where learning goes on; may be given for several partitions.",
)
@click.option("--accept-loss", is_flag=True, help="Do it; without, only say what would be lost.")
def skip(settings: Path, places: tuple[str, ...], accept_loss: bool) -> None:
    """
    Let the serving variant go on behind events it has not learned.

    SETTINGS is the learner's file. The loss is counted in the journal; the learner skips when it starts next.
    """
    given, to = load(LearnerSettings, settings, os.environ), dict(_place(place) for place in places)
    with closing(kafka_log(given)) as log:
        parties = parties_of(given, log)
        if not accept_loss:
            with JournalReader.open(log, parties.topics.journal.name) as journal:
                journal.read_to_end()
                lost = {each.partition: each.lost for each in skips(parties, journal.state, to)}
            click.echo(f"offsets that would be lost, by partition: {lost}\n  hint: --accept-loss does it")
            return
        for decision in decide(parties, to):
            click.echo(
                f"{decision.variant} goes on at {decision.next} of partition {decision.partition}: "
                f"{decision.lost:,} offsets are given up; start its learner (again)"
            )


def _place(text: str) -> tuple[int, int]:
    found = re.fullmatch(r"(\d+):(\d+)", text)
    if found is None:
        raise ConfigError(f"--to {text}: PARTITION:OFFSET is wanted, for example 0:1500")
    return int(found[1]), int(found[2])
