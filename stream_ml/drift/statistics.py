"""
What is watched of an evaluation: each statistic as a number with the variance that chance alone gives it.

A progressive prediction is made before its label is learned. What a statistic compares with the predictions
themselves (loss, AUC, calibration) therefore stays where it is while covariates wander, and while a young
model learns; it moves when labels follow the predictions in another way than before.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from math import asin, inf, log, sqrt

import numpy as np

from stream_ml.drift.evaluation import Evaluation, Floats, Tally, bin_log_odds


@dataclass(frozen=True, slots=True)
class Value:
    """
    One statistic over some examples.

    Attributes:
        watched: on the scale that detectors work on.
        variance: of *watched*, if all examples were independent; 0 where that is not known.
        figure: in the words of a person; what records show.
    """

    watched: float
    variance: float
    figure: float


# Which way a statistic moves when things get worse; 0: any way.
DIRECTIONS = {
    "loss": 1,
    "calibration": 0,
    "auc": -1,
    "label_rate": 0,
    "prediction": 0,
    "prediction_shape": 1,
    "unseen": 1,
    "event_rate": 0,
    "served_loss": 1,
    "served_calibration": 0,
    "served_auc": -1,
    "missing": 0,
}
# Judged by what was served, where events say it.
JUDGED_BY_LABEL = frozenset({"loss", "calibration", "auc"})
# Coming nearer to where it should be is no drift: a learner mends this one after a drift.
MENDS = frozenset({"calibration", "served_calibration"})
# What a person reads of these has to be worse too: a model that learns grows surer than it is right,
# slowly, while it is right more often. By so much: of the loss a part, of the AUC a difference.
NOTICEABLE = {"loss": 0.02, "served_loss": 0.02, "auc": 0.01, "served_auc": 0.01}
_LEAST_EXPECTED = 5.0
_SHAPE_GROUPS = 10


def direction(statistic: str) -> int:
    """Return which way *statistic* gets worse: 1 up, -1 down, 0 both."""
    return DIRECTIONS[statistic.partition(":")[0]]


@cache
def _moments(bins: int) -> tuple[Floats, Floats, Floats, Floats]:
    """Return of each bin the probability, its variance, the loss to expect and the variance of that."""
    log_odds = bin_log_odds(bins)
    probability = 1 / (1 + np.exp(-log_odds))
    variance = probability * (1 - probability)
    entropy = -(probability * np.log(probability) + (1 - probability) * np.log1p(-probability))
    return probability, variance, entropy, variance * log_odds**2


def values_of(tally: Tally) -> Iterator[tuple[str, Value]]:
    """Yield what follows from a tally alone: label_rate, prediction, calibration, loss, auc."""
    weight = tally.importance_sum
    if weight <= 0:
        return
    binned = tally.positives + tally.negatives
    logistic = bool(binned.any())
    probability, variance, entropy, loss_variance = _moments(len(binned))
    share = binned / weight / tally.examples if logistic else np.zeros(len(binned))
    label, said = tally.label_sum / weight, tally.prediction_sum / weight
    yield "label_rate", Value(label, _of_rate(label, tally.examples) if logistic else 0.0, label)
    # Predictions spread less than labels; but a learner's weights follow its labels' chance, and they do it
    # for long, so that the predictions of all its examples are off together.
    yield "prediction", Value(said, _of_rate(said, tally.examples) if logistic else 0.0, said)
    ratio = said / label if label else inf
    yield "calibration", Value(label - said, float(share @ variance), ratio)
    expected = float(binned @ entropy) / weight
    loss = tally.loss_sum / weight
    yield "loss", Value(loss - expected, float(share @ loss_variance), loss)
    if logistic and (auc := _auc_value(tally, binned, probability)):
        yield "auc", auc


def _of_rate(rate: float, examples: int) -> float:
    return max(rate * (1 - rate), 1 / examples) / examples


def _auc_value(tally: Tally, binned: Floats, probability: Floats) -> Value | None:
    """Return the AUC less the one that the predictions, were they true, would have."""
    auc = auc_of(tally.positives, tally.negatives)
    expected = auc_of(binned * probability, binned * (1 - probability))
    if auc is None or expected is None:
        return None
    share = tally.label_sum / tally.importance_sum
    positives, negatives = share * tally.examples, (1 - share) * tally.examples
    # Hanley and McNeil 1982, equation 1.
    both, once = auc / (2 - auc) - auc**2, 2 * auc**2 / (1 + auc) - auc**2
    top = auc * (1 - auc) + max(positives - 1, 0) * both + max(negatives - 1, 0) * once
    return Value(auc - expected, top / max(positives * negatives, 1.0), auc)


def auc_of(positives: Floats, negatives: Floats) -> float | None:
    """Return the chance that a positive scores above a negative, a tie within a bin counts half."""
    below = np.cumsum(negatives) - negatives
    pairs = float(positives.sum() * negatives.sum())
    return float(positives @ (below + negatives / 2)) / pairs if pairs > 0 else None


def shape_value(tally: Tally, before: Floats) -> Value | None:
    """
    Return how far the predictions' distribution is from *before* (importance by bin), and None if unknown.

    Chi square over about ten groups of equal size before, made normal by its cube root (Wilson and
    Hilferty 1931).
    """
    binned = tally.positives + tally.negatives
    total = float(before.sum())
    if total <= 0 or tally.importance_sum <= 0:
        return None
    groups = np.minimum(
        ((np.cumsum(before) - before / 2) / total * _SHAPE_GROUPS).astype(int), _SHAPE_GROUPS - 1
    )
    expected = np.bincount(groups, before, _SHAPE_GROUPS) / total
    found = np.bincount(groups, binned, _SHAPE_GROUPS) / tally.importance_sum
    known = expected * tally.examples >= _LEAST_EXPECTED
    freedom = int(known.sum()) - 1
    if freedom < 1:
        return None
    square = float(((found - expected)[known] ** 2 / expected[known]).sum()) * tally.examples
    return Value((square / freedom) ** (1 / 3), 2 / (9 * freedom), square / freedom)


def share_value(count: int, of: int) -> Value:
    """Return a share on the scale on which its variance does not depend on it (arcsine)."""
    share = min(count / of, 1.0)
    return Value(asin(sqrt(share)), 1 / (4 * of), share)


def rate_value(events: int, seconds: float) -> Value:
    """Return the logarithm of events a second of event time."""
    return Value(log(events / seconds), 1 / events, events / seconds)


def seconds_between(before_us: int | None, evaluation: Evaluation) -> float | None:
    """Return the event time that an evaluation took, None where it is unknown or nothing."""
    if before_us is None or evaluation.watermark_us is None or evaluation.watermark_us <= before_us:
        return None
    return (evaluation.watermark_us - before_us) / 1e6
