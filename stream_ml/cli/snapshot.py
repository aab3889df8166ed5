"""`stream-ml snapshot`: moves a model's rows between a learner's memory and Redis, or to other shards."""

from __future__ import annotations

import os
from contextlib import ExitStack
from pathlib import Path

import click

from services.learner.parts import kafka_log, parties_of
from stream_ml.errors import ConfigError
from stream_ml.learning.parties import Parties
from stream_ml.learning.ways_on import naming
from stream_ml.runtime.clock import SystemClock
from stream_ml.runtime.redis_settings import MEMORY
from stream_ml.runtime.settings import LearnerSettings, load
from stream_ml.sharing.copying import move
from stream_ml.sharing.variant import KeptShards, SharedVariant, redis_shards
from stream_ml.weights.journal import JournalReader, JournalWriter
from stream_ml.weights.shards import Shards


@click.group()
def snapshot() -> None:
    """Move the rows of a model."""


@snapshot.command()
@click.argument("settings", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--from", "source", metavar="URL", help="The Redis with the rows now; else that of SETTINGS.")
@click.option("--keep", is_flag=True, help="Leave the old shards in Redis; else they are removed.")
def copy(settings: Path, source: str | None, keep: bool) -> None:
    """
    Move the rows of the variant that serves to where SETTINGS say that rows are.

    SETTINGS is the learner's file with the new `weights` or `redis_shards`. Stop the model's learners first:
    what they learned must be in a snapshot, and all shards must agree how far each partition is learned.
    Predictors change over by themselves.
    """
    given = load(LearnerSettings, settings, os.environ)
    with naming(settings), ExitStack() as resources:
        log = kafka_log(given)
        resources.callback(log.close)
        parties = parties_of(given, log)
        journal = JournalWriter(log, parties.topics.journal.name)
        resources.callback(journal.close)
        old = _Old(parties, journal, given, source)
        served, serves = move(parties, journal, old.take_snapshot)
        click.echo(f"{serves} goes on with the rows of {served}; start its learners with these settings")
        if old.shards is not None and not keep:
            for shard in range(old.shards.count):
                old.shards.close(shard)
            click.echo(f"the {old.shards.count} shards of {served} are removed from Redis")


class _Old:
    """The shards that the rows are moved from, if they are in Redis."""

    def __init__(
        self, parties: Parties, journal: JournalWriter, settings: LearnerSettings, source: str | None
    ) -> None:
        self._parties, self._journal, self._settings, self._source = parties, journal, settings, source
        self.shards: Shards | None = None

    def take_snapshot(self, name: str) -> None:
        """Take a snapshot of the variant *name*, and announce it."""
        url = self._source or self._settings.weights
        if url == MEMORY:
            raise ConfigError(f"the rows of {name} are in Redis: --from redis://… says in which")
        with JournalReader.open(self._parties.log, self._parties.topics.journal.name) as reader:
            reader.read_to_end()
            variant = SharedVariant.of(name, reader.state)
        self.shards = redis_shards(variant, self._parties.name, url, self._settings)
        kept = KeptShards(self._parties, variant, self.shards, self._journal, self._settings, SystemClock())
        kept.snapshots.take()
