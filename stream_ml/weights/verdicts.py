"""What a line of the journal counts for."""

from __future__ import annotations

from enum import Enum
from typing import NamedTuple


class Validity(Enum):
    """What a line counts for."""

    VALID = "valid"
    REPEAT = "repeat"
    VOID = "void"


class Verdict(NamedTuple):
    """Validity of one line; *reason* is for people and empty if it is valid."""

    validity: Validity
    reason: str = ""

    @property
    def valid(self) -> bool:
        """Whether the line counts, for the first time."""
        return self.validity is Validity.VALID


VALID = Verdict(Validity.VALID)
REPEAT = Verdict(Validity.REPEAT, "an identical repeat")


def void(reason: str) -> Verdict:
    """Return the verdict on a line that counts for nothing."""
    return Verdict(Validity.VOID, reason)
