"""What was decided, when, by whom and why: the journal, for people."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from stream_ml.streams.log import Log
from stream_ml.weights.journal import dated
from stream_ml.weights.lines import Decision, Line, Variant, place_of


@dataclass(frozen=True, slots=True)
class Happening:
    """
    One line that changed what serves or learns.

    Attributes:
        at: unix seconds when it came to the journal.
        what: "begins", or a decision's kind.
    """

    at: float
    variant: str
    what: str
    who: str
    why: str

    def described(self) -> dict[str, Any]:
        """Return what scripts read."""
        at = datetime.fromtimestamp(self.at, UTC).isoformat(timespec="milliseconds")
        return {"at": at, "variant": self.variant, "what": self.what, "who": self.who, "why": self.why}


def history(log: Log, topic: str, journal: int) -> list[Happening]:
    """
    Return what the journal *topic* still tells, oldest first; decisions that do not count are left out.

    Args:
        journal: its number.
    """
    found: list[Happening] = []
    newest: dict[str, int] = {}
    for at, offset, line in dated(log, topic):
        if isinstance(line, Decision):
            if newest.get(line.thing, line.replaces) != line.replaces:
                continue
            newest[line.thing] = place_of(journal, offset)
        if (happened := happening(at, line)) is not None:
            found.append(happened)
    return found


def happening(at: float, line: Line | None) -> Happening | None:
    """Return what *line*, which counts and came *at*, tells people; None where it is nothing to them."""
    match line:
        case Variant():
            return Happening(at, line.variant, "begins", "", line.why)
        case Decision():
            return Happening(at, line.variant, _what(line), line.who, line.why)
    return None


def _what(line: Decision) -> str:
    if line.kind == "skip":
        return f"skips to {line.next} of partition {line.partition}, {line.lost} lost"
    said = {
        "serve": "serves",
        "stop": "stops learning",
        "resume": "learns again",
        "home": "has rows in Redis",
    }
    return said[line.kind]
