"""Offsets that a command is given, and those where learning stands."""

from __future__ import annotations

import re

from stream_ml._native import Plan
from stream_ml.errors import CannotContinue, ConfigError
from stream_ml.learning.parties import Parties, of_variant
from stream_ml.runtime.settings import LearnerSettings
from stream_ml.sharing.homes import AnotherRedis, home_of
from stream_ml.sharing.standing import TELL, Standing, standing
from stream_ml.sharing.variant import SharedVariant, redis_shards
from stream_ml.weights.journal import JournalReader
from stream_ml.weights.state import JournalState

# Kafka's own: 32 bits, 64 bits.
_LARGEST_PARTITION, _LARGEST_OFFSET = 2**31 - 1, 2**63 - 1


def stands_of(parties: Parties, settings: LearnerSettings) -> dict[int, int] | None:
    """
    Return what is learned next, by partition, as the shards in Redis say; None without any.

    Raises:
        CannotContinue: one of them does not say it, or they are another Redis's than the learners share.
    """
    with JournalReader.open(parties.log, parties.topics.journal.name) as journal:
        journal.read_to_end()
        state = journal.state
    if state.serving is None or state.variants[state.serving].layout is None:
        return None
    shards = redis_shards(SharedVariant.of(state.serving, state), parties.name, settings.weights, settings)
    told = standing(shards, Plan(of_variant(parties, state).model.plan_bytes))
    return known_stands(told, state.serving, state, parties.topics.events.partitions)


def known_stands(told: Standing, variant: str, state: JournalState, partitions: int) -> dict[int, int]:
    """Return what is learned next, by partition; raises as `stands_of`."""
    home, stands = home_of(variant, state), {}
    for shard, (kind, its) in enumerate(zip(told.shards, told.homes, strict=True)):
        if kind not in TELL:
            raise CannotContinue(
                f"shard {shard} of {variant} in Redis answers {kind!r}, so nobody knows how far it has "
                "learned\n"
                "  hint: start a learner, which restores what is empty, then decide again"
            )
        if its != home:
            raise AnotherRedis(
                f"shard {shard} of {variant} in this Redis belongs to {its or 'nobody'}, but the journal "
                f"names {home}\n  hint: see `weights`: the learners share another Redis"
            )
    for partition in range(partitions):
        stands[partition] = min(told.places(partition))
    return stands


def offsets_of(texts: tuple[str, ...]) -> dict[int, int]:
    """
    Return the offset that each PARTITION:OFFSET of *texts* says.

    Raises:
        ConfigError: it says none, or says two for a partition.
    """
    offsets: dict[int, int] = {}
    for text in texts:
        partition, offset = _offset(text)
        if partition in offsets:
            raise ConfigError(
                f"partition {partition} is named twice: {offsets[partition]} and {offset}\n"
                "  hint: one offset a partition"
            )
        offsets[partition] = offset
    return offsets


def _offset(text: str) -> tuple[int, int]:
    found = re.fullmatch(r"0*([0-9]+):0*([0-9]+)", text)
    if found is None:
        raise ConfigError(f"{text}: PARTITION:OFFSET is wanted, for example 0:1500")
    for digits, largest, what in (
        (found[1], _LARGEST_PARTITION, "partition"),
        (found[2], _LARGEST_OFFSET, "offset"),
    ):
        # The length first: the interpreter reads no number of thousands of digits.
        if len(digits) > len(str(largest)) or int(digits) > largest:
            raise ConfigError(f"{text}: no {what} is above {largest}")
    return int(found[1]), int(found[2])
