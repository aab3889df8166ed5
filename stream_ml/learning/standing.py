"""What decisions say of a variant that is being learned: whether it learns, and whether its writer ends."""

from __future__ import annotations

import logging
from collections.abc import Mapping

from stream_ml.weights.lines import InForce, resumed_at

log = logging.getLogger(__name__)


class Standing:
    """
    What its writer may do.

    Attributes:
        learns: no decision stops it.
        ends: the writer ends: nobody learns the variant any more, or learning goes on behind events that are
            skipped, which is begun anew.
    """

    def __init__(self, variant: str, in_force: InForce) -> None:
        self._variant = variant
        self.learns, self.ends = in_force.learns(variant), in_force.is_over(variant)
        self._resumed_at = resumed_at(in_force.decisions, variant)

    def turn(self, in_force: InForce, events: Mapping[int, int]) -> bool:
        """Take notice of what is in force now, *events* being learned next; return whether it was resumed."""
        learned, self.learns = self.learns, in_force.learns(self._variant)
        self.ends = self.ends or in_force.is_over(self._variant)
        if learned != self.learns:
            log.warning(
                "learning goes on" if self.learns else "learning is stopped", extra={"variant": self._variant}
            )
        # A stop and its resume may be read at once.
        before, self._resumed_at = self._resumed_at, resumed_at(in_force.decisions, self._variant)
        resumed = self._resumed_at > before
        self.ends = self.ends or (resumed and self._skips(in_force, events))
        return resumed

    def _skips(self, in_force: InForce, events: Mapping[int, int]) -> bool:
        decisions = (each.decision for each in in_force.decisions if each.decision.variant == self._variant)
        return any(
            each.partition is not None and each.next is not None and each.next > events.get(each.partition, 0)
            for each in decisions
        )
