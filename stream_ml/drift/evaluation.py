"""An evaluation as the learner wrote it, in format 1 or 2; what a format does not have is unknown."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any, Self

import numpy as np
import orjson
from numpy.typing import NDArray

from stream_ml.errors import InvalidRecord

FORMATS = (1, 2)
# Bins of the whole are 1/16 log-odds wide, those of a segment 1/2; the middle one begins at 0 in both.
_LOG_ODDS = 32.0
# The values of the model file's `segment` that have no place of their own.
REST = "*"

Floats = NDArray[np.float64]


@cache
def bin_log_odds(bins: int) -> Floats:
    """Return the log-odds in the middle of each of so many bins, float64, shape (bins,)."""
    width = _LOG_ODDS / bins
    return (np.arange(bins, dtype=np.float64) - bins // 2 + 0.5) * width


@dataclass(frozen=True, slots=True)
class Tally:
    """
    Sums over judged examples; they add up.

    Attributes:
        positives, negatives: importance by bin of log-odds, shape (512,) or (64,); all zero unless the
            loss is logistic.
    """

    examples: int
    importance_sum: float
    label_sum: float
    prediction_sum: float
    loss_sum: float
    positives: Floats
    negatives: Floats

    @classmethod
    def of(cls, said: Mapping[str, Any]) -> Self:
        """Read what an evaluation, a segment of it or the ``served`` of either says."""
        positives = np.asarray(said["positives"], dtype=np.float64)
        negatives = np.asarray(said["negatives"], dtype=np.float64)
        if positives.ndim != 1 or not len(positives) or positives.shape != negatives.shape:
            raise ValueError("positives and negatives are no histograms of one length")
        return cls(
            examples=int(said["examples"]),
            importance_sum=float(said["importance_sum"]),
            label_sum=float(said["label_sum"]),
            prediction_sum=float(said["prediction_sum"]),
            loss_sum=float(said["loss_sum"]),
            positives=positives,
            negatives=negatives,
        )

    @classmethod
    def none(cls, bins: int) -> Self:
        """Return the tally of no example."""
        return cls(0, 0.0, 0.0, 0.0, 0.0, np.zeros(bins), np.zeros(bins))

    def __add__(self, other: Tally) -> Tally:
        return Tally(
            self.examples + other.examples,
            self.importance_sum + other.importance_sum,
            self.label_sum + other.label_sum,
            self.prediction_sum + other.prediction_sum,
            self.loss_sum + other.loss_sum,
            self.positives + other.positives,
            self.negatives + other.negatives,
        )

    def said(self) -> dict[str, Any]:
        """Return what `of` reads."""
        return {
            "examples": self.examples,
            "importance_sum": self.importance_sum,
            "label_sum": self.label_sum,
            "prediction_sum": self.prediction_sum,
            "loss_sum": self.loss_sum,
            "positives": self.positives.tolist(),
            "negatives": self.negatives.tolist(),
        }


@dataclass(frozen=True, slots=True)
class Judged:
    """
    What was judged of the whole or of a segment.

    Attributes:
        progressive: what the learner said just before it learned.
        served: what was served when the events were decided; None where they do not say.
    """

    progressive: Tally
    served: Tally | None = None

    @classmethod
    def of(cls, said: Mapping[str, Any]) -> Self:
        """Read the sums at the top of an evaluation, or of one of its segments."""
        # In format 1 ``served`` had no histograms when it was shown in examples; then it is of no use here.
        served = said.get("served")
        return cls(Tally.of(said), Tally.of(served) if served else None)


@dataclass(frozen=True, slots=True)
class Evaluation:
    """
    One closed evaluation.

    Attributes:
        index: counts the evaluations of a variant (of one source partition) from 0.
        learned_from, learned_to: its events, by their number since the variant began.
        segments: by value of the model file's ``segment``; empty without.
        features, unseen: feature ids of its examples, and those of them that had no row; None: unknown.
        missing: examples without a feature, by slot, counts above 0 only; None: unknown.
    """

    index: int
    learned_from: int
    learned_to: int
    watermark_us: int | None
    whole: Judged
    segments: Mapping[str, Judged] = field(default_factory=dict)
    features: int | None = None
    unseen: int | None = None
    missing: Mapping[str, int] | None = None


def read(value: bytes) -> Evaluation:
    """
    Return the evaluation that a record holds.

    Raises:
        InvalidRecord: it is none, or of a format that this release does not know.
    """
    try:
        said = orjson.loads(value)
        if said["format"] not in FORMATS:
            raise InvalidRecord(f"an evaluation of format {said['format']}; known are {FORMATS}")
        return _evaluation(said)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise InvalidRecord(f"not an evaluation: {error!r}") from error


def _evaluation(said: Mapping[str, Any]) -> Evaluation:
    return Evaluation(
        index=int(said["index"]),
        learned_from=int(said["learned_from"]),
        learned_to=int(said["learned_to"]),
        watermark_us=said["watermark_us"],
        whole=Judged.of(said),
        segments=_segments(said.get("segments") or ()),
        features=said.get("features"),
        unseen=said.get("unseen"),
        missing=said.get("missing"),
    )


def _segments(said: Any) -> dict[str, Judged]:
    return {REST if each["segment"] is None else str(each["segment"]): Judged.of(each) for each in said}
