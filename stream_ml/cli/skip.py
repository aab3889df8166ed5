"""`stream-ml skip`: gives events up that cannot or must not be learned, and says how many."""

from __future__ import annotations

import os
from contextlib import closing
from pathlib import Path

import click

from services.learner.parts import kafka_log, parties_of
from stream_ml.cli.offsets import offsets_of, stands_of
from stream_ml.learning import skipping
from stream_ml.learning.ways_on import naming
from stream_ml.runtime.settings import LearnerSettings, load
from stream_ml.weights.journal import JournalReader


@click.command()
@click.argument("settings", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option(
    "--to",
    "texts",
    metavar="PARTITION:OFFSET",
    multiple=True,
    required=True,
    help="Where learning goes on; may be given for several partitions.",
)
@click.option("--accept-loss", is_flag=True, help="Do it; without, only say what would be lost.")
def skip(settings: Path, texts: tuple[str, ...], accept_loss: bool) -> None:
    """
    Let a variant go on behind events it has not learned.

    SETTINGS is the learner's file; the variant is the one that it learns. The loss is counted in the journal;
    the learner skips when it starts next.
    """
    given, to = load(LearnerSettings, settings, os.environ), offsets_of(texts)
    with naming(settings), closing(kafka_log(given)) as log:
        parties = parties_of(given, log)
        stands = stands_of(parties, given)
        if not accept_loss:
            with JournalReader.open(log, parties.topics.journal.name) as journal:
                journal.read_to_end()
                lost = {
                    each.partition: each.lost for each in skipping.skips(parties, journal.state, to, stands)
                }
            click.echo(f"offsets that would be lost, by partition: {lost}\n  hint: --accept-loss does it")
            return
        for decision in skipping.skip(parties, to, stands):
            click.echo(
                f"{decision.variant} goes on at {decision.next} of partition {decision.partition}: "
                f"{decision.lost:,} offsets are given up; start its learner (again)"
            )
