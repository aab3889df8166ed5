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
# Labels come in runs: counts of them vary more than those of coins. How much is learned, from blocks of at
# least so many events: of smaller ones the runs do not show. Before the first it is taken for this, and this
# is worth so many blocks; the last ones count as so many at most.
BLOCK_EVENTS = 256
_DISPERSION, _DISPERSION_BLOCKS, _MOST_BLOCKS = 2.0, 10.0, 400.0
# What one block may bring of the evidence that is wanted: one run, however long, is no flood.
MOST_OF_A_BLOCK = 0.4
# The evidence from which on nothing is learned of the rate: it may be a flood's. If it goes away, what was
# held back is learned after all: so labels look like where they swing.
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
        dispersion: of the counts of blocks, times that of coins; it rests on so many *blocks*.
        block_examples, block_positives: of the block that is not full yet.
        high, low: evidence that the odds are three times, or a third of, what they were.
        high_events, …: events and positives since each was zero.
        held_blocks, …: not learned yet, for they may be a flood's; `held_spread` sums what each says of the
            dispersion.
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
    block_examples: int = 0
    block_positives: float = 0.0
    held_blocks: int = 0
    held_examples: int = 0
    held_positives: float = 0.0
    held_spread: float = 0.0

    def learned(self, examples: int, label_share: float) -> Flood | None:
        """
        Take in learned events, any number of them; return a flood if this is one.

        Args:
            label_share: sum of importance times label / sum of importance, between 0 and 1.
        """
        if examples < 1 or not 0 <= label_share <= 1:
            return None
        self.block_examples += examples
        self.block_positives += label_share * examples
        if self.block_examples < BLOCK_EVENTS:
            return None
        examples, positives = self.block_examples, self.block_positives
        self.block_examples, self.block_positives = 0, 0.0
        known, self.events = self.events >= LEAST_EVENTS, self.events + examples
        flood = self._look(examples, positives) if known else None
        self._hold(examples, positives, known)
        if flood is None and max(self.high, self.low) < _SUSPECT * self._enough:
            self._remember()
        return flood

    @property
    def rate(self) -> float:
        """The label rate before; never quite 0 or 1."""
        return (self.positives + 0.5) / (self.examples + 1)

    @property
    def _enough(self) -> float:
        # Wald's bound, for two sides.
        return log(2 / self.false_trip)

    def _look(self, examples: int, positives: float) -> Flood | None:
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
        evidence = (positives * one + (examples - positives) * zero) / max(self.dispersion, 1.0)
        # A batch may be many blocks.
        return min(evidence, MOST_OF_A_BLOCK * self._enough * examples / BLOCK_EVENTS)

    def _hold(self, examples: int, positives: float, known: bool) -> None:
        """Hold a block back; what it says of the dispersion only where the rate was *known*."""
        self.held_examples += examples
        self.held_positives += positives
        if known:
            rate = self.rate
            self.held_blocks += 1
            self.held_spread += examples * (positives / examples - rate) ** 2 / (rate * (1 - rate))

    def _remember(self) -> None:
        """Learn what was held back."""
        blocks = self.blocks + self.held_blocks
        self.dispersion = (self.dispersion * self.blocks + self.held_spread) / blocks
        self.blocks = min(blocks, _MOST_BLOCKS)
        kept = 0.5 ** (self.held_examples / _HALF_LIFE_EVENTS)
        self.examples = self.examples * kept + self.held_examples
        self.positives = self.positives * kept + self.held_positives
        self.held_blocks, self.held_examples, self.held_positives, self.held_spread = 0, 0, 0.0, 0.0

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
    """Return about how many events a flood takes from its beginning, within a block, until it is told."""
    one, zero = _evidence_of_labels(rate, FLOOD_ODDS if flooded > rate else 1 / FLOOD_ODDS)
    an_event = (flooded * one + (1 - flooded) * zero) / max(dispersion, 1.0)
    if an_event <= 0:
        raise ValueError(f"a label rate of {flooded:g} after {rate:g} is no flood")
    enough = log(2 / false_trip)
    a_block = min(BLOCK_EVENTS * an_event, MOST_OF_A_BLOCK * enough)
    return BLOCK_EVENTS * (1 + ceil(enough / a_block))


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
