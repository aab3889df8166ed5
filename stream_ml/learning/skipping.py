"""Gives events up: decisions in the journal, which the variant's writer takes at its next start."""

from __future__ import annotations

from collections.abc import Mapping

from stream_ml.errors import ConfigError
from stream_ml.learning.beginnings import variant_of
from stream_ml.learning.deciding import decide
from stream_ml.learning.parties import Parties
from stream_ml.weights.lines import Decision
from stream_ml.weights.state import JournalState


def skips(
    parties: Parties, state: JournalState, to: Mapping[int, int], stands: Mapping[int, int] | None = None
) -> list[Decision]:
    """
    Return the decisions by which a variant goes on at *to*, their loss counted in offsets.

    It is the one of this model file: the one that serves, or one that a changed file has begun beside it.

    Args:
        stands: by partition, what is learned next, where the journal does not say it: with rows in Redis.

    Raises:
        ConfigError: there is no such variant, partition or offset, or nothing is skipped.
    """
    if state.serving is None:
        raise ConfigError(f"no variant of {parties.name} serves yet: there is nothing to skip")
    variant = variant_of(state, parties.model.fingerprint) or state.serving
    decisions, learned_to = [], state.variants[variant].events if stands is None else stands
    for partition, goal in to.items():
        first, end = learned_to.get(partition, 0), _end(parties, partition)
        if not first < goal <= end:
            raise ConfigError(
                f"{parties.topics.events.name}[{partition}] goes on at {first} and ends at {end}; "
                f"--to {partition}:{goal} is not between them"
            )
        known = state.decisions.get(f"skip {variant} {partition}")
        decisions.append(
            Decision(
                kind="skip",
                variant=variant,
                who=parties.who,
                why="stream-ml skip",
                replaces=known.place if known else None,
                partition=partition,
                next=goal,
                lost=goal - first,
            )
        )
    return decisions


def skip(parties: Parties, to: Mapping[int, int], stands: Mapping[int, int] | None = None) -> list[Decision]:
    """Append the decisions of `skips` to the journal, and return them once they count; raises as it does."""
    return decide(parties, lambda state: skips(parties, state, to, stands))


def _end(parties: Parties, partition: int) -> int:
    return parties.log.bounds(parties.topics.events.name, partition).next
