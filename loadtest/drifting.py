"""Streams of events in which a drift of a stated size is planted, learned and watched."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from stream_ml._native import Learner, Plan
from stream_ml.drift.alarms import Alarm
from stream_ml.drift.evaluation import read
from stream_ml.drift.monitor import Monitor, Rules
from stream_ml.features import compile_model

Floats = NDArray[np.float64]
Kind = Literal["label_rate", "flips", "covariate", "segment"]
Course = Literal["abrupt", "gradual", "recurring"]
KINDS: tuple[Kind, ...] = ("label_rate", "flips", "covariate", "segment")
COURSES: tuple[Course, ...] = ("abrupt", "gradual", "recurring")
EVERY = 1_000
SEGMENTS, DRIFTING = 10, 7
GRADUAL_EVENTS = RECURRING_EVENTS = 20_000
# What a drift shows in: the names that are right for it.
RIGHT: Mapping[Kind, frozenset[str]] = {
    "label_rate": frozenset({"label_rate", "calibration"}),
    "flips": frozenset({"loss", "auc"}),
    "covariate": frozenset({"prediction", "prediction_shape"}),
    "segment": frozenset({"label_rate", "calibration"}),
}
MODEL = f"""
name = "drifting"
label = "y"
segment = "g"
[features]
g = "g"
a = "a"
b = "b"
x = "bucket(x, -2, -1.5, -1, -0.5, 0, 0.5, 1, 1.5, 2, 2.5, 3)"
[learner]
evaluate_every = {EVERY}
"""
_UNKNOWN_TIME = -1
# Log-odds of every event, and of a standard deviation of x.
_OF_ALL, _OF_X = -1.6, 0.6


@dataclass(frozen=True)
class Planted:
    """
    A drift.

    Attributes:
        kind: label rate × 1.3; a tenth of the labels flipped; the covariate x, worth 0.6 of log-odds a
            standard deviation, shifted by one; the label rate × 1.3 in one segment of a tenth.
        at: the event with which it begins.
        phase: events for which a recurring one is there, and then is not.
    """

    kind: Kind
    course: Course
    at: int
    phase: int = RECURRING_EVENTS

    def far(self, events: NDArray[np.int64]) -> Floats:
        """Return how far the drift is at each event: 0 without, 1 with all of it."""
        since = events - self.at + 1
        if self.course == "gradual":
            return np.clip(since / GRADUAL_EVENTS, 0, 1)
        on = since > 0
        if self.course == "recurring":
            on &= (since - 1) // self.phase % 2 == 0
        return on.astype(np.float64)

    def is_named(self, alarm: Alarm) -> bool:
        """Return whether the alarm says what it is, and where."""
        segment = f"g{DRIFTING}" if self.kind == "segment" else None
        return alarm.statistic in RIGHT[self.kind] and alarm.segment == segment


def blocks(
    seed: int, count: int, planted: Planted | None = None, wander: tuple[float, float] | None = None
) -> Iterator[list[bytes]]:
    """
    Yield so many blocks of events, each of the length of an evaluation.

    Args:
        wander: deviation, and events that it takes to forget itself, of a log-odds that no feature knows.
    """
    random = np.random.default_rng(seed)
    worth, latent = _worth(random), 0.0
    for block in range(count):
        far = planted.far(np.arange(block * EVERY, (block + 1) * EVERY)) if planted else np.zeros(EVERY)
        drawn = {name: random.integers(len(each), size=EVERY) for name, each in worth.items()}
        shift = far if planted and planted.kind == "covariate" else 0.0
        x = random.standard_normal(EVERY) + shift
        log_odds = _OF_ALL + _OF_X * x + sum(worth[name][drawn[name]] for name in worth)
        if wander:
            wandering, latent = _wandering(random, latent, *wander)
            log_odds = log_odds + wandering
        labels = _labels(random, log_odds, far, drawn["g"], planted.kind if planted else None)
        yield [
            b'{"y":%d,"g":"g%d","a":"a%d","b":"b%d","x":%.3f}' % each
            for each in zip(labels, *(drawn[name].tolist() for name in worth), x.tolist(), strict=True)
        ]


def _worth(random: np.random.Generator) -> dict[str, Floats]:
    """Draw the log-odds of each value of each field."""
    return {name: 0.7 * random.standard_normal(size) for name, size in (("g", SEGMENTS), ("a", 20), ("b", 5))}


def segment_rate(seed: int) -> float:
    """Return the chance of a positive label in the segment that may drift, before it does."""
    worth = _worth(np.random.default_rng(seed))
    x, weight = np.polynomial.hermite_e.hermegauss(31)
    log_odds = _OF_ALL + worth["g"][DRIFTING] + np.add.outer(worth["a"], worth["b"])[..., None] + _OF_X * x
    return float((1 / (1 + np.exp(-log_odds))).mean(axis=(0, 1)) @ weight / weight.sum())


def _labels(
    random: np.random.Generator, log_odds: Floats, far: Floats, segment: NDArray[np.int64], kind: Kind | None
) -> list[int]:
    rate = 1 / (1 + np.exp(-log_odds))
    if kind == "label_rate":
        rate = rate * (1 + 0.3 * far)
    if kind == "segment":
        rate = rate * (1 + 0.3 * far * (segment == DRIFTING))
    labels = random.random(EVERY) < rate
    if kind == "flips":
        labels = labels ^ (random.random(EVERY) < 0.1 * far)
    return [int(label) for label in labels]


def _wandering(
    random: np.random.Generator, latent: float, deviation: float, memory: float
) -> tuple[Floats, float]:
    # In steps of a twentieth of its memory: labels within one are alike.
    step = max(int(memory / 20), 1)
    kept, steps = np.exp(-step / memory), np.empty(-(-EVERY // step))
    for at, chance in enumerate(random.standard_normal(len(steps))):
        latent = float(kept * latent + np.sqrt(1 - kept**2) * chance)
        steps[at] = latent
    return deviation * np.repeat(steps, step)[:EVERY], latent


def watched(events: Iterator[list[bytes]], rules: Rules) -> list[Alarm]:
    """Learn blocks of events and return what the monitor tells: drifts, no warnings."""
    learner, monitor = Learner(Plan(compile_model(MODEL).plan_bytes)), Monitor(rules)
    return [
        alarm
        for block in events
        for evaluation in learner.learn([(0, block, [_UNKNOWN_TIME] * len(block))]).evaluations
        for alarm in monitor.observe(read(evaluation))
        if alarm.kind == "drift"
    ]
