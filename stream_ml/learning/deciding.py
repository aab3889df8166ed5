"""Decisions in the journal: which variant serves, whether one learns."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

from stream_ml.errors import RecoverableError
from stream_ml.learning.parties import Parties
from stream_ml.weights.journal import JournalReader, JournalWriter
from stream_ml.weights.lines import Decision
from stream_ml.weights.state import JournalState

_FLUSH_SECONDS = 30.0


class Overruled(RecoverableError):
    """Another decision about the same thing came between: look, then decide again."""


def decide(parties: Parties, decisions_of: Callable[[JournalState], list[Decision]]) -> list[Decision]:
    """
    Append the decisions that *decisions_of* takes by what the journal says, and return them once they count.

    Raises:
        Overruled: another decision came between.
    """
    topic = parties.topics.journal.name
    with JournalReader.open(parties.log, topic) as journal:
        journal.read_to_end()
        decisions = decisions_of(journal.state)
        writer = JournalWriter(parties.log, topic)
        for decision in decisions:
            writer.append(decision)
        writer.flush(_FLUSH_SECONDS)
        writer.close()
        for _, line, verdict in journal.read_to_end():
            if line in decisions and not verdict.valid:
                what = f"{line.kind} {line.variant}" if isinstance(line, Decision) else ""
                raise Overruled(f"{what} does not count: {verdict.reason}; look, then decide again")
    return decisions


def decision(
    state: JournalState, kind: Literal["serve", "stop", "resume"], variant: str, who: str, why: str
) -> Decision:
    """Return the decision that *variant* serves, learns or does not, in place of the one in force."""
    drafted = Decision(kind=kind, variant=variant, who=who, why=why)
    known = state.decisions.get(drafted.thing)
    return Decision(kind=kind, variant=variant, who=who, why=why, replaces=known.place if known else None)
