"""Figures of progressive validation, over any stretch of the stream."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

# As the evaluations count: log-odds in bins of 1/16, the middle one begins at 0.
BINS = 512
BINS_PER_LOG_ODDS = 16


def _no_bins() -> NDArray[np.float64]:
    return np.zeros(BINS)


@dataclass
class Figures:
    """
    Sums over judged examples; they add up.

    Attributes:
        positives, negatives: examples by bin of log-odds, float64, shape (512,).
    """

    importance_sum: float = 0.0
    label_sum: float = 0.0
    prediction_sum: float = 0.0
    loss_sum: float = 0.0
    positives: NDArray[np.float64] = field(default_factory=_no_bins)
    negatives: NDArray[np.float64] = field(default_factory=_no_bins)

    @classmethod
    def of_evaluation(cls, said: Mapping[str, Any]) -> Self:
        """Read the sums of one closed evaluation, or of its ``served``."""
        return cls(
            importance_sum=said["importance_sum"],
            label_sum=said["label_sum"],
            prediction_sum=said["prediction_sum"],
            loss_sum=said["loss_sum"],
            positives=np.asarray(said["positives"]),
            negatives=np.asarray(said["negatives"]),
        )

    @classmethod
    def of_scores(cls, log_odds: NDArray[np.float64], labels: NDArray[np.float64]) -> Self:
        """Judge scores by their labels (0 or 1), shapes (k,)."""
        predictions = 1 / (1 + np.exp(-log_odds))
        likelihoods = np.where(labels > 0, predictions, 1 - predictions)
        bins = np.clip(np.floor(log_odds * BINS_PER_LOG_ODDS) + BINS // 2, 0, BINS - 1).astype(int)
        return cls(
            importance_sum=float(len(labels)),
            label_sum=float(labels.sum()),
            prediction_sum=float(predictions.sum()),
            loss_sum=float(-np.log(np.maximum(likelihoods, 1e-15)).sum()),
            positives=np.bincount(bins, labels, BINS).astype(np.float64),
            negatives=np.bincount(bins, 1 - labels, BINS).astype(np.float64),
        )

    def __add__(self, other: Self) -> Self:
        return type(self)(*(getattr(self, each.name) + getattr(other, each.name) for each in fields(self)))

    @property
    def auc(self) -> float:
        """Chance that a positive scores above a negative; ties in a bin count half; NaN without both."""
        below = np.cumsum(self.negatives) - self.negatives
        area = float((self.positives * (below + self.negatives / 2)).sum())
        pairs = float(self.positives.sum() * self.negatives.sum())
        return area / pairs if pairs else float("nan")

    @property
    def log_loss(self) -> float:
        """Mean loss; NaN without examples."""
        return self.loss_sum / self.importance_sum if self.importance_sum else float("nan")

    @property
    def calibration(self) -> float:
        """Mean prediction / mean label; NaN without positives."""
        return self.prediction_sum / self.label_sum if self.label_sum else float("nan")
