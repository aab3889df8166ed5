"""Evaluations of a drawn stream: a model that is right, and labels that follow it or do not."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stream_ml.drift.evaluation import Evaluation, Judged, Tally

Floats = NDArray[np.float64]
# Changes the events of one evaluation, told how far it is gone (0 to 1).
Drift = Callable[["Events", float], "Events"]
LOG_ODDS, SPREAD = -1.5, 1.3
SECONDS_AN_EVENT = 0.01


@dataclass(frozen=True)
class Events:
    """
    The events of one evaluation.

    Attributes:
        said: log-odds that the model says. true: log-odds of the labels.
    """

    said: Floats
    true: Floats
    labels: Floats
    segments: NDArray[np.int64]
    random: np.random.Generator

    def labelled(self, true: Floats, said: Floats | None = None) -> Events:
        """Draw the labels anew."""
        labels = (self.random.random(len(true)) < 1 / (1 + np.exp(-true))).astype(np.float64)
        return Events(self.said if said is None else said, true, labels, self.segments, self.random)


@dataclass(frozen=True)
class Wander:
    """
    A log-odds that is added to those of the labels and not known to the model: labels come in runs.

    Attributes:
        deviation: of it. events: over which it forgets itself.
    """

    deviation: float = 0.0
    events: float = 1.0


@dataclass(frozen=True)
class Stream:
    """
    What is drawn.

    Attributes:
        every: events of an evaluation.
        segments: how many; each is 0.7 of the size of the one before, the fourth a tenth of the whole.
    """

    seed: int
    every: int = 1_000
    segments: int = 5
    wander: Wander = Wander()

    def evaluations(
        self, count: int, drift: Drift | None = None, at: int = 0, over: int = 0
    ) -> Iterator[Evaluation]:
        """Yield so many; from evaluation *at* on *drift* changes them, fully after *over* evaluations."""
        random, latent = np.random.default_rng(self.seed), 0.0
        for index in range(count):
            wandering, latent = self._wandering(random, latent)
            events = self._events(random, wandering)
            far = 1.0 if not over else min((index - at + 1) / over, 1.0)
            if drift and index >= at:
                events = drift(events, far)
            yield evaluation(index, events, self.segments)

    def _wandering(self, random: np.random.Generator, latent: float) -> tuple[Floats, float]:
        if not self.wander.deviation:
            return np.zeros(self.every), latent
        # In steps of a twentieth of its memory: labels within one are alike.
        step = max(int(self.wander.events / 20), 1)
        kept = np.exp(-step / self.wander.events)
        steps = np.empty(-(-self.every // step))
        for each in range(len(steps)):
            latent = kept * latent + np.sqrt(1 - kept**2) * random.standard_normal()
            steps[each] = latent
        return self.wander.deviation * np.repeat(steps, step)[: self.every], float(latent)

    def _events(self, random: np.random.Generator, wandering: Floats) -> Events:
        said = LOG_ODDS + SPREAD * random.standard_normal(self.every)
        segments = np.minimum(random.geometric(0.3, self.every) - 1, max(self.segments - 1, 0))
        return Events(said, said, said, segments, random).labelled(said + wandering)


def evaluation(index: int, events: Events, segments: int) -> Evaluation:
    """Close an evaluation over *events*, as the learner would."""
    random, every = events.random, len(events.said)
    watermark = (index + 1) * every * SECONDS_AN_EVENT + random.normal() * np.sqrt(every) * SECONDS_AN_EVENT
    return Evaluation(
        index=index,
        learned_from=index * every,
        learned_to=(index + 1) * every,
        watermark_us=int(watermark * 1e6),
        whole=Judged(tally(events.said, events.labels, 512)),
        segments={
            f"s{each}": Judged(tally(events.said[mine], events.labels[mine], 64))
            for each in range(segments)
            if (mine := events.segments == each).any()
        },
        features=10 * every,
        unseen=int(random.binomial(10 * every, 0.02)),
        missing={f"slot{each}": int(random.binomial(every, 0.01 * each)) for each in range(1, 4)},
    )


def tally(log_odds: Floats, labels: Floats, bins: int) -> Tally:
    """Judge log-odds by labels, 0 or 1."""
    binned = np.clip(np.floor(log_odds * bins / 32) + bins // 2, 0, bins - 1).astype(int)
    predictions = 1 / (1 + np.exp(-log_odds))
    return Tally(
        examples=len(labels),
        importance_sum=float(len(labels)),
        label_sum=float(labels.sum()),
        prediction_sum=float(predictions.sum()),
        loss_sum=float(-np.log(np.where(labels > 0, predictions, 1 - predictions)).sum()),
        positives=np.bincount(binned, labels, bins).astype(np.float64),
        negatives=np.bincount(binned, 1 - labels, bins).astype(np.float64),
    )


def said(closed: Evaluation) -> dict[str, Any]:
    """Return the JSON object that the learner would write."""
    return {
        "format": 2,
        "index": closed.index,
        "learned_from": closed.learned_from,
        "learned_to": closed.learned_to,
        "watermark_us": closed.watermark_us,
        **closed.whole.progressive.said(),
        "served": closed.whole.served.said() if closed.whole.served else None,
        "features": closed.features,
        "unseen": closed.unseen,
        "missing": closed.missing,
        "segments": [
            {
                "segment": name,
                **judged.progressive.said(),
                "served": judged.served.said() if judged.served else None,
            }
            for name, judged in closed.segments.items()
        ],
    }


def more_positives(events: Events, far: float) -> Events:
    """Labels are positive 1.3 times as often, whatever the model says."""
    rate = np.minimum((1 + 0.3 * far) / (1 + np.exp(-events.true)), 0.999)
    return events.labelled(np.log(rate / (1 - rate)))


def flipped(events: Events, far: float) -> Events:
    """A tenth of the labels is wrong."""
    wrong = events.random.random(len(events.labels)) < 0.1 * far
    labels = np.where(wrong, 1 - events.labels, events.labels)
    return Events(events.said, events.true, labels, events.segments, events.random)


def shifted(events: Events, far: float) -> Events:
    """What the model knows shifts, and labels follow it."""
    return events.labelled(events.true + 0.5 * far, events.said + 0.5 * far)


def one_segment(events: Events, far: float) -> Events:
    """Labels of the fourth segment, a tenth of all, are positive 1.3 times as often."""
    rate = np.minimum((1 + 0.3 * far) / (1 + np.exp(-events.true)), 0.999)
    return events.labelled(np.where(events.segments == 3, np.log(rate / (1 - rate)), events.true))
