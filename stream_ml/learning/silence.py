"""Silence of the producers: no events, or events without labels; an operator is told, learning goes on."""

from __future__ import annotations

import logging

from stream_ml._native import Learned
from stream_ml.drift.breaker import SilenceWatch
from stream_ml.runtime import metrics
from stream_ml.runtime.clock import Clock

log = logging.getLogger(__name__)

_LOOK_SECONDS = 1.0
_SAID = {
    "no_events": "no events come",
    "no_labels": "events come, none of them with a label",
}


class Silence:
    """Watches what comes, and says when it stays away and when it is back; belongs to one thread."""

    def __init__(self, model: str, after_seconds: float, clock: Clock) -> None:
        """*after_seconds*: of silence before it is told."""
        self._model, self._after_seconds, self._clock = model, after_seconds, clock
        self._watch = SilenceWatch(after_seconds)
        self._told: str | None = None
        self._look_at = clock.monotonic()
        self._show()

    def came(self, learned: Learned) -> None:
        """Take in what a batch had: whatever is no event of a label is an event all the same."""
        unlabelled = learned.skipped + sum(refusal.reason == "no_label" for refusal in learned.refused)
        labelled = learned.learned + learned.duplicates
        self._watch.came(self._clock.monotonic(), labelled + unlabelled, labelled)

    def turn(self) -> None:
        """Look, now and then."""
        now = self._clock.monotonic()
        if now < self._look_at:
            return
        self._look_at = now + _LOOK_SECONDS
        silent = self._watch.silence(now)
        if silent == self._told:
            return
        if silent is None:
            log.warning("events with labels come again", extra={"model": self._model})
        else:
            hint = "look at the producers, and at what joins labels to events"
            log.error(f"{_SAID[silent]} for {self._after_seconds:g} s: {hint}", extra={"model": self._model})
        self._told = silent
        self._show()

    def _show(self) -> None:
        for what in _SAID:
            metrics.LEARNER_SILENCE.labels(self._model, what).set(self._told == what)
