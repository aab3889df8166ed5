"""`stream-ml topics`: makes the topics of a model before anything runs, as deployments do."""

from __future__ import annotations

import os
from contextlib import closing
from pathlib import Path

import click

from services.learner.parts import kafka_log, parties_of
from stream_ml.cli.deciding import SETTINGS
from stream_ml.learning.ways_on import naming
from stream_ml.runtime.settings import LearnerSettings, load


@click.command()
@SETTINGS
@click.option(
    "--create",
    metavar="PARTITIONS",
    type=click.IntRange(min=1),
    help="Make the topic of the events, too, with so many partitions and no end of retention.",
)
def topics(settings: Path, create: int | None) -> None:
    """
    Make the topics of a model that are not there, and list them.

    SETTINGS is the learner's file. A topic that is there is left as it is.
    """
    given = load(LearnerSettings, settings, os.environ)
    with naming(settings), closing(kafka_log(given)) as log:
        if create is not None:
            log.ensure_topic(given.events_topic, create)
        made = parties_of(given, log, make_topics=True).topics
        for topic in (made.events, made.journal, made.feed):
            click.echo(f"{topic.name}: {topic.partitions} partition{'s' * (topic.partitions > 1)}")
