"""`stream-ml skip`: gives events up that cannot or must not be learned, and says how many."""

from __future__ import annotations

import os
import re
from contextlib import closing
from pathlib import Path

import click

from services.learner.parts import kafka_log, parties_of
from stream_ml._native import Plan
from stream_ml.errors import ConfigError
from stream_ml.learning import skipping
from stream_ml.learning.parties import Parties
from stream_ml.learning.ways_on import naming
from stream_ml.runtime.settings import LearnerSettings, load
from stream_ml.sharing.standing import standing
from stream_ml.sharing.variant import SharedVariant, redis_shards
from stream_ml.weights.journal import JournalReader

# Kafka's own: 32 bits, 64 bits.
_LARGEST_PARTITION, _LARGEST_OFFSET = 2**31 - 1, 2**63 - 1


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
    given, to = load(LearnerSettings, settings, os.environ), _offsets(texts)
    with naming(settings), closing(kafka_log(given)) as log:
        parties = parties_of(given, log)
        stands = _stands(parties, given)
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


def _stands(parties: Parties, settings: LearnerSettings) -> dict[int, int] | None:
    """Return what is learned next, by partition, as the shards in Redis say; None without any."""
    with JournalReader.open(parties.log, parties.topics.journal.name) as journal:
        journal.read_to_end()
        state = journal.state
    if state.serving is None or state.variants[state.serving].layout is None:
        return None
    shards = redis_shards(SharedVariant.of(state.serving, state), parties.name, settings.weights, settings)
    told = standing(shards, Plan(parties.model.plan_bytes))
    return {partition: told.next(partition) for partition in range(parties.topics.events.partitions)}


def _offsets(texts: tuple[str, ...]) -> dict[int, int]:
    offsets: dict[int, int] = {}
    for text in texts:
        partition, offset = _offset(text)
        if partition in offsets:
            raise ConfigError(
                f"--to names partition {partition} twice: {offsets[partition]} and {offset}\n"
                "  hint: one offset a partition"
            )
        offsets[partition] = offset
    return offsets


def _offset(text: str) -> tuple[int, int]:
    found = re.fullmatch(r"0*([0-9]+):0*([0-9]+)", text)
    if found is None:
        raise ConfigError(f"--to {text}: PARTITION:OFFSET is wanted, for example 0:1500")
    for digits, largest, what in (
        (found[1], _LARGEST_PARTITION, "partition"),
        (found[2], _LARGEST_OFFSET, "offset"),
    ):
        # The length first: the interpreter reads no number of thousands of digits.
        if len(digits) > len(str(largest)) or int(digits) > largest:
            raise ConfigError(f"--to {text}: no {what} is above {largest}")
    return int(found[1]), int(found[2])
