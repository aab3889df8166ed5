"""
Promotion and rollback.

A promotion is one line. A rollback is two or three, the one that lets the variant before it serve comes
last: a crash between them leaves a variant that serves and does not learn, and the same rollback goes on from
there. In the other order it would leave a proved challenger that learns, and would be promoted again.
"""

from __future__ import annotations

import time
from dataclasses import replace

from stream_ml.errors import ConfigError
from stream_ml.learning.deciding import decide, decision
from stream_ml.learning.parties import Parties
from stream_ml.learning.succeeding import as_far
from stream_ml.weights.journal import JournalReader
from stream_ml.weights.lines import Decision
from stream_ml.weights.state import JournalState
from stream_ml.weights.variant_state import VariantState

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
        place, end = replace(champion), time.monotonic() + seconds
        while time.monotonic() < end:
            known = journal.state.variants.get(variant)
            if known is None or (known.snapshots and as_far(known, place)):
                return place
            journal.poll(_POLL_SECONDS)
        return None


def rollback(parties: Parties, why: str, to: str | None = None) -> list[Decision]:
    """
    Let the variant serve again whose place was taken last, and end the one that took it.

    A champion that still learns serves on as if nothing had been; one that was stopped catches up first.

    Args:
        to: that variant. None: the champion, while the promotion is watched; so a rollback that is asked for
            twice does not go back twice.

    Raises:
        ConfigError: what serves has not taken the place of *to*, or of anybody.
    """

    def decisions(state: JournalState) -> list[Decision]:
        return _back(state, _asked(state, to), parties.who, why)

    return decide(parties, decisions)


def bring_back(parties: Parties, why: str, promotion: int) -> list[Decision]:
    """Roll back the promotion whose decision stands at *promotion*; nothing, where its watch is over."""

    def decisions(state: JournalState) -> list[Decision]:
        champion = _watched(state, promotion)
        return [] if champion is None else _back(state, champion, parties.who, why)

    return decide(parties, decisions)


def end_watch(parties: Parties, why: str, promotion: int | None = None) -> list[Decision]:
    """
    Stop the champion of what serves: its learners go on with the variant that took its place.

    Args:
        promotion: place of its decision, of the one in force if None; nothing, where another came since.
    """

    def decisions(state: JournalState) -> list[Decision]:
        champion = _watched(state, promotion)
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


def _watched(state: JournalState, promotion: int | None) -> str | None:
    """Return the champion of what serves, if that was promoted at *promotion* and is watched."""
    decided = state.decisions.get("serve")
    if decided is None or promotion not in (None, decided.place):
        return None
    return state.champion_of(state.serving)


def _asked(state: JournalState, to: str | None) -> str:
    """Return the variant to go back to, if it is the one that a person may mean."""
    serving, before = state.serving, state.before(state.serving)
    if serving is None or before is None:
        raise ConfigError(
            f"{serving or 'no variant'} serves, and there is none before it to go back to\n"
            "  hint: stream-ml status lists the variants"
        )
    if to == serving:
        raise ConfigError(f"{to} serves already")
    if to not in (None, before):
        raise ConfigError(f"{serving} serves, which took the place of {before}, not of {to}")
    if to is None and state.champion_of(serving) is None:
        raise ConfigError(
            f"{serving} serves, and no promotion is watched; before it {before} served\n"
            f"  hint: name that one to go back to it: stream-ml rollback SETTINGS {before}"
        )
    return before


def _back(state: JournalState, before: str, who: str, why: str) -> list[Decision]:
    """Return what lets *before* serve in place of what does; that one ends first."""
    assert state.serving is not None, "somebody has taken its place"
    return [
        *([] if state.learns(before) else [decision(state, "resume", before, who, why)]),
        *([decision(state, "stop", state.serving, who, why)] if state.learns(state.serving) else []),
        decision(state, "serve", before, who, why),
    ]
