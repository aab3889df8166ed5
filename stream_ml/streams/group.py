"""The port to a consumer group: which partitions of a topic this process should read now."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol


class Group(Protocol):
    """
    Membership of a group that divides a topic's partitions; belongs to one thread.

    It is advice: a process that slept may believe in partitions that others were given long ago.
    """

    def poll(self) -> frozenset[int]:
        """
        Return the partitions that are this member's, as far as it knows; at least once in some seconds.

        Raises:
            CannotContinue: the brokers do not let this client in.
        """

    def commit(self, offsets: Mapping[int, int]) -> None:
        """Commit *offsets* as advice to lag tools; never raises on an absent broker."""

    def close(self) -> None:
        """Leave, so that others are given the partitions at once; idempotent."""
