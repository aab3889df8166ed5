"""
The label breaker: when labels break abruptly, learning stops; when they stay away, somebody is told.

Both rules are pure: counts and times are passed in.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from math import ceil, log
from typing import Any, Literal, Self

# What labels must at least do to their odds to count as broken; half as much, in logarithms, is let pass.
FLOOD_ODDS = 3.0
# Chance of a false trip, an event.
FALSE_TRIP = 1e-9
# Before so many events nothing is known of the rate.
LEAST_EVENTS = 2_000
# Half of what is known of the rate is of the last so many events.
_HALF_LIFE_EVENTS = 50_000.0
# Labels come in runs: counts of them vary more than those of coins. How much is learned, from blocks;
# before the first it is taken for this, and this is worth so many blocks.
_DISPERSION, _DISPERSION_BLOCKS = 2.0, 10.0
# The evidence at which the rate is not learned any more: it may be a flood's.
_SUSPECT = 0.25


@dataclass(frozen=True, slots=True)
class Flood:
    """
    Labels broke.

    Attributes:
        before, after: the label rate, and that of the events since the break.
        events: since the break.
    """

    before: float
    after: float
    events: int


@dataclass
class LabelBreaker:
    """
    Says when the label rate breaks, up or down, by sequential probability ratios (Page 1954) over blocks.

    Attributes:
        events: all until now.
        examples, positives: known of the rate, forgetting.
        dispersion: of the counts of blocks, times that of coins.
        high, low: evidence that the odds are three times, or a third of, what they were.
        suspects: events and positives since each was zero.
    """

    false_trip: float = FALSE_TRIP
    events: int = 0
    examples: float = 0.0
    positives: float = 0.0
    dispersion: float = _DISPERSION
    blocks: float = _DISPERSION_BLOCKS
    high: float = 0.0
    low: float = 0.0
    high_events: int = 0
    high_positives: float = 0.0
    low_events: int = 0
    low_positives: float = 0.0

    def learned(self, examples: int, label_share: float) -> Flood | None:
        """
        Take in a block of learned events, any number of them; return a flood if this is one.

        Args:
            label_share: sum of importance times label / sum of importance, between 0 and 1.
        """
        if examples < 1 or not 0 <= label_share <= 1:
            return None
        flood = self._look(examples, label_share) if self.events >= LEAST_EVENTS else None
        self.events += examples
        if flood is None and max(self.high, self.low) < _SUSPECT * self._enough:
            self._remember(examples, label_share)
        return flood

    @property
    def rate(self) -> float:
        """The label rate before; never quite 0 or 1."""
        return (self.positives + 0.5) / (self.examples + 1)

    @property
    def _enough(self) -> float:
        # Wald's bound, for two sides.
        return log(2 / self.false_trip)

    def _look(self, examples: int, share: float) -> Flood | None:
        positives = share * examples
        self.high = max(self.high + self._evidence(FLOOD_ODDS, examples, positives), 0.0)
        self.low = max(self.low + self._evidence(1 / FLOOD_ODDS, examples, positives), 0.0)
        self.high_events = self.high_events + examples if self.high else 0
        self.high_positives = self.high_positives + positives if self.high else 0.0
        self.low_events = self.low_events + examples if self.low else 0
        self.low_positives = self.low_positives + positives if self.low else 0.0
        if self.high > self._enough:
            return Flood(self.rate, self.high_positives / self.high_events, self.high_events)
        if self.low > self._enough:
            return Flood(self.rate, self.low_positives / self.low_events, self.low_events)
        return None

    def _evidence(self, odds: float, examples: int, positives: float) -> float:
        one, zero = _evidence_of_labels(self.rate, odds)
        return (positives * one + (examples - positives) * zero) / max(self.dispersion, 1.0)

    def _remember(self, examples: int, share: float) -> None:
        if self.events > LEAST_EVENTS:
            rate = self.rate
            spread = examples * (share - rate) ** 2 / (rate * (1 - rate))
            self.dispersion += (spread - self.dispersion) / (self.blocks + 1)
            self.blocks = min(self.blocks + 1, 10 * _DISPERSION_BLOCKS)
        kept = 0.5 ** (examples / _HALF_LIFE_EVENTS)
        self.examples = self.examples * kept + examples
        self.positives = self.positives * kept + share * examples

    def state(self) -> dict[str, Any]:
        """Return what `restored` takes: JSON."""
        return asdict(self)

    @classmethod
    def restored(cls, state: Mapping[str, Any]) -> Self:
        """Return the breaker whose *state* it was."""
        return cls(**state)


def events_to_trip(
    rate: float, flooded: float, dispersion: float = 1.0, false_trip: float = FALSE_TRIP
) -> int:
    """Return about how many events a flood takes from its beginning until it is told, blocks being small."""
    one, zero = _evidence_of_labels(rate, FLOOD_ODDS if flooded > rate else 1 / FLOOD_ODDS)
    an_event = (flooded * one + (1 - flooded) * zero) / max(dispersion, 1.0)
    if an_event <= 0:
        raise ValueError(f"a label rate of {flooded:g} after {rate:g} is no flood")
    return ceil(log(2 / false_trip) / an_event)


def _evidence_of_labels(rate: float, odds: float) -> tuple[float, float]:
    """Return the log likelihood ratio of a positive and of a negative."""
    other = odds * rate / (1 - rate + odds * rate)
    return log(other / rate), log((1 - other) / (1 - rate))


Silent = Literal["no_events", "no_labels"]


@dataclass
class SilenceWatch:
    """
    Says when events, or labels while events go on, stay away.

    Attributes:
        after_seconds: of no event, or no labelled event, before it is silence.
        false_alarm: chance that so many events without a label come by accident.
    """

    after_seconds: float
    false_alarm: float = FALSE_TRIP
    event_at: float | None = None
    label_at: float | None = None
    unlabelled: int = 0
    events: float = 0.0
    labels: float = 0.0

    def came(self, now: float, events: int, labelled: int) -> None:
        """Take in that so many events came until *now*, and that so many of them had a label."""
        if events:
            self.event_at = now
            kept = 0.5 ** (events / _HALF_LIFE_EVENTS)
            self.events = self.events * kept + events
        if labelled:
            # Silence teaches no new rate: what labels are expected is what came while they came.
            kept = 0.5 ** ((self.unlabelled + events) / _HALF_LIFE_EVENTS)
            self.labels = min(self.labels * kept + labelled, self.events)
            self.label_at, self.unlabelled = now, 0
        else:
            self.unlabelled += events

    def silence(self, now: float) -> Silent | None:
        """Return what stays away at *now*; None before anything came."""
        if self.event_at is None:
            return None
        if now - self.event_at >= self.after_seconds:
            return "no_events"
        if self.label_at is None or now - self.label_at < self.after_seconds:
            return None
        return "no_labels" if self.unlabelled >= self._improbable else None

    @property
    def _improbable(self) -> float:
        share = min(max(self.labels / self.events, 1e-6), 0.5)
        return log(self.false_alarm) / log(1 - share)
