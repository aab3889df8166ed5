"""When a variant that was begun beside the serving one takes its place."""

from __future__ import annotations

import logging

from stream_ml.weights.lines import Decided, Decision, InForce, VariantInForce
from stream_ml.weights.variant_state import VariantState

log = logging.getLogger(__name__)


class Succession:
    """Decides, once, that *variant* serves instead of the one that does, when it has learned as much."""

    def __init__(self, variant: str, who: str) -> None:
        self._variant, self._who = variant, who
        self._over = False

    def turn(self, in_force: InForce) -> Decision | None:
        """Return the decision to append, if by *in_force* its time has come."""
        if self._over:
            return None
        variants = {said.variant: said for said in in_force.variants}
        served = next(decided for decided in in_force.decisions if decided.decision.kind == "serve")
        own, other = variants[self._variant], variants.get(served.decision.variant)
        # Of a challenger the gate decides.
        if other is own or own.challenge is not None or self._was_overruled(own, served):
            self._over = True
            return None
        if not own.snapshots or (other is not None and not as_far(own, other)):
            return None
        self._over = True
        why = f"caught up with {served.decision.variant}"
        log.info("serves from now on", extra={"variant": self._variant, "why": why})
        return Decision(kind="serve", variant=self._variant, who=self._who, why=why, replaces=served.place)

    def _was_overruled(self, own: VariantInForce, served: Decided) -> bool:
        """Whether somebody decided for another variant since this one was first claimed."""
        overruled = served.place > own.claims[0].epoch
        if overruled:
            extra = {"variant": self._variant, "serves": served.decision.variant, "why": served.decision.why}
            log.warning("learns on, but another variant was decided to serve", extra=extra)
        return overruled


def as_far(own: VariantState | VariantInForce, other: VariantState | VariantInForce) -> bool:
    """Whether *own* has learned as much as *other*."""
    if other.topic_id not in (own.topic_id, None):
        return True  # the topic was made anew: the other one cannot learn it, its offsets say nothing of it
    return all(own.events.get(partition, 0) >= next for partition, next in other.events.items())
