"""Promotion and rollback: decisions of one line each, so that no crash leaves them half done."""

from __future__ import annotations

from dataclasses import replace

from stream_ml.errors import ConfigError
from stream_ml.learning.deciding import decide, decision
from stream_ml.learning.parties import Parties
from stream_ml.learning.succeeding import as_far
from stream_ml.weights.journal import JournalReader
from stream_ml.weights.lines import Decision
from stream_ml.weights.state import JournalState, VariantState

_POLL_SECONDS = 0.1


def promote(
    parties: Parties, variant: str, why: str, *, force: bool = False, place: VariantState | None = None
) -> list[Decision]:
    """
    Let the challenger *variant* serve; its champion learns on, until the watch ends.

    Args:
        force: though nobody has proved that it is better.
        place: of the champion, as it was a moment ago; None: it must have learned as much as that has now.

    Raises:
        ConfigError: it is no challenger of what serves, has not caught up, or is not proved.
    """

    def decisions(state: JournalState) -> list[Decision]:
        known = _challenger(state, variant)
        if place is None or not as_far(known, place):
            _check_caught_up(state, variant, known)
        if not (force or (known.challenge is not None and known.challenge.proof)):
            raise ConfigError(
                f"nobody has proved that {variant} is better than {state.serving}\n"
                "  hint: --force lets it serve all the same; the watch brings the old one back if it is worse"
            )
        return [decision(state, "serve", variant, parties.who, why)]

    return decide(parties, decisions)


def wait_caught_up(parties: Parties, variant: str, seconds: float) -> VariantState | None:
    """
    Return the place of what serves, as it is now, once *variant* has learned as far; None if it does not.

    While events come without a pause, two writers are never at the same place at one moment.
    """
    with JournalReader.open(parties.log, parties.topics.journal.name) as journal:
        journal.read_to_end()
        champion = journal.state.variants.get(journal.state.serving or "")
        if champion is None:
            return None
        place, polls = replace(champion), max(1, int(seconds / _POLL_SECONDS))
        for _ in range(polls):
            known = journal.state.variants.get(variant)
            if known is None or (known.snapshots and as_far(known, place)):
                return place
            journal.poll(_POLL_SECONDS)
        return None


def rollback(parties: Parties, why: str) -> list[Decision]:
    """
    Let the variant serve again whose place was taken last, and end the one that took it.

    A champion that still learns serves on as if nothing had been; one that was stopped catches up first.

    Raises:
        ConfigError: what serves has taken nobody's place.
    """

    def decisions(state: JournalState) -> list[Decision]:
        serving, before = state.serving, _before(state)
        if serving is None or before is None:
            raise ConfigError(
                f"{serving or 'no variant'} serves, and there is none before it to go back to\n"
                "  hint: stream-ml status lists the variants"
            )
        learns = [] if state.learns(before) else [decision(state, "resume", before, parties.who, why)]
        return [
            *learns,
            decision(state, "serve", before, parties.who, why),
            decision(state, "stop", serving, parties.who, why),
        ]

    return decide(parties, decisions)


def end_watch(parties: Parties, why: str) -> list[Decision]:
    """Stop the champion of what serves: its learners go on with the variant that took its place."""

    def decisions(state: JournalState) -> list[Decision]:
        champion = state.champion_of(state.serving)
        return [] if champion is None else [decision(state, "stop", champion, parties.who, why)]

    return decide(parties, decisions)


def give_up(parties: Parties, variant: str, why: str) -> list[Decision]:
    """Stop the challenger *variant*, which does not serve."""

    def decisions(state: JournalState) -> list[Decision]:
        if state.serving == variant or variant not in state.variants or not state.learns(variant):
            return []
        return [decision(state, "stop", variant, parties.who, why)]

    return decide(parties, decisions)


def caught_up(state: JournalState, variant: str) -> bool:
    """Whether *variant* has a snapshot, and has learned as far as what serves."""
    known, serving = state.variants.get(variant), state.variants.get(state.serving or "")
    return known is not None and bool(known.snapshots) and (serving is None or as_far(known, serving))


def _challenger(state: JournalState, variant: str) -> VariantState:
    known = state.variants.get(variant)
    if known is None:
        raise ConfigError(f"there is no variant {variant}\n  hint: stream-ml status lists them")
    if variant == state.serving:
        raise ConfigError(f"{variant} serves already")
    if known.challenge is None or known.challenge.champion != state.serving:
        whose = "no challenger" if known.challenge is None else f"a challenger of {known.challenge.champion}"
        raise ConfigError(f"{variant} is {whose}, and {state.serving} serves: it was not compared with that")
    if not state.learns(variant):
        raise ConfigError(f"{variant} was given up: it has not learned since")
    return known


def _check_caught_up(state: JournalState, variant: str, known: VariantState) -> None:
    if not caught_up(state, variant):
        raise ConfigError(
            f"{variant} has not caught up with {state.serving}: next offsets {known.events}, there "
            f"{state.variants[state.serving or ''].events}\n  hint: wait, and see that a retrainer runs"
        )


def _before(state: JournalState) -> str | None:
    """Return the variant whose place was taken by what serves: its champion, or the one it began with."""
    known = state.variants.get(state.serving or "")
    if known is None:
        return None
    seed = known.seed.variant if known.seed is not None else None
    before = known.challenge.champion if known.challenge is not None else seed
    return before if before in state.variants else None
