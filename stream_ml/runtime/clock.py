"""Time, passed in wherever a test or a replay depends on it; adapters and commands ask the machine."""

from __future__ import annotations

import time
from typing import Protocol


class Clock(Protocol):
    """What the services know about time; learning itself uses none but the events'."""

    def now(self) -> float:
        """Return the time of day, seconds since 1970; it may jump."""

    def monotonic(self) -> float:
        """Return seconds that only go forward; for intervals and deadlines."""


class SystemClock:
    """The machine's clock."""

    def now(self) -> float:
        """Return the time of day, seconds since 1970."""
        return time.time()

    def monotonic(self) -> float:
        """Return seconds since some moment before the process."""
        return time.monotonic()


class ManualClock:
    """A clock for tests: it stands still until it is told to go on."""

    def __init__(self, now: float = 1_700_000_000.0) -> None:
        self._now = now

    def now(self) -> float:
        """Return the time of day as set."""
        return self._now

    def monotonic(self) -> float:
        """Return the same count; it starts where the time of day did."""
        return self._now

    def advance(self, seconds: float) -> None:
        """Let *seconds* pass."""
        self._now += seconds
