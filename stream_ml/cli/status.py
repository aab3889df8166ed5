"""`stream-ml status`: where a model stands; with weights in Redis also who learns which partition."""

from __future__ import annotations

import os
from contextlib import closing
from pathlib import Path

import click
from rich.console import Console
from rich.table import Table

from services.learner.parts import kafka_log, parties_of
from stream_ml._native import Plan
from stream_ml.errors import ConfigError
from stream_ml.learning.parties import Parties, of_variant, where
from stream_ml.learning.ways_on import naming
from stream_ml.runtime.settings import LearnerSettings, load
from stream_ml.sharing.homes import home_of
from stream_ml.sharing.standing import Standing, standing
from stream_ml.sharing.variant import SharedVariant, redis_shards
from stream_ml.weights.journal import JournalReader
from stream_ml.weights.redis.shards import RedisShards
from stream_ml.weights.state import JournalState


@click.command()
@click.argument("settings", type=click.Path(exists=True, dir_okay=False, path_type=Path))
def status(settings: Path) -> None:
    """
    Show where a model stands: its variants, and who learns what.

    SETTINGS is the learner's file.
    """
    given = load(LearnerSettings, settings, os.environ)
    with naming(settings), closing(kafka_log(given)) as log:
        parties = parties_of(given, log)
        with JournalReader.open(log, parties.topics.journal.name) as reader:
            reader.read_to_end()
            state = reader.state
        if state.serving is None:
            raise ConfigError(f"no variant of {parties.name} serves yet; start a learner")
        console = Console()
        console.print(_variants(state))
        if state.variants[state.serving].layout is not None:
            variant = SharedVariant.of(state.serving, state)
            shards = redis_shards(variant, parties.name, given.weights, given)
            own = of_variant(parties, state)
            stands = standing(shards, Plan(own.model.plan_bytes))
            home = home_of(variant.name, state)
            console.print(_partitions(parties, stands), _shards(stands, shards, home), sep="\n")


def _variants(state: JournalState) -> Table:
    table = Table("variant", "serves", "rows", "learner", "step", "snapshots", title="Variants")
    for name, known in state.variants.items():
        newest = known.snapshots[-1].name if known.snapshots else "none"
        table.add_row(
            name,
            "yes" if name == state.serving else "",
            where(known.layout),
            known.writer or ("" if known.layout is None else "see below"),
            f"{known.step:,}",
            f"{len(known.snapshots)}, newest {newest}",
        )
    return table


def _partitions(parties: Parties, stands: Standing) -> Table:
    table = Table("partition", "learner", "epoch", "learned to", "lag", "shards agree", title="Partitions")
    for partition in range(parties.topics.events.partitions):
        fence, at = stands.owner(partition), stands.next(partition)
        end, places = parties.log.bounds(parties.topics.events.name, partition).next, stands.places(partition)
        agree = "yes" if len(set(places)) <= 1 else f"no: {sorted(set(places))}"
        known = (f"{at:,}", f"{end - at:,}", agree) if at is not None else ("unknown", "unknown", "unknown")
        table.add_row(str(partition), fence.owner, str(fence.epoch), *known)
    return table


def _shards(stands: Standing, shards: RedisShards, home: str | None) -> Table:
    table = Table("shard", "state", "rows", "memory", "incarnation", "version", title="Shards")
    for shard, kind in enumerate(stands.shards):
        incarnation, version = stands.versions[shard]
        table.add_row(
            str(shard),
            _state_of(kind, stands.homes[shard], home),
            f"{stands.rows[shard]:,}",
            f"about {shards.bytes(shard) / 2**20:,.1f} MiB",
            str(incarnation),
            f"{version:,}",
        )
    return table


def _state_of(kind: str, its: str, home: str | None) -> str:
    if kind != "empty" and its != home:
        return "not the Redis that the learners share"
    return {"fences": "there", "moved": "there; a learner is to adopt its server"}.get(kind, kind)
