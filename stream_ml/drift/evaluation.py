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
# As the learner has them; what is beyond is of somebody else, and a monitor keeps a state for each.
_BINS, _SEGMENT_BINS = 512, 64
_MOST_SEGMENTS, _MOST_SLOTS, _SEGMENT_BYTES = 33, 256, 64
# Up to here a float64 counts exactly, and sums of so large sums are finite.
_MOST, _LARGEST = 2**53, 1e30
# Sums of the same numbers in another order.
_ROUNDING = 1e-6

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
            examples=count(said["examples"]),
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
    def of(cls, said: Mapping[str, Any], bins: int) -> Self:
        """Read the sums at the top of an evaluation, or of one of its segments, and check them."""
        served = said.get("served")
        return cls(_checked(Tally.of(said), bins), _checked(Tally.of(served), bins) if served else None)


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
    evaluation = Evaluation(
        index=count(said["index"]),
        learned_from=count(said["learned_from"]),
        learned_to=count(said["learned_to"]),
        watermark_us=None if said["watermark_us"] is None else count(said["watermark_us"], -(2**63)),
        whole=Judged.of(said, _BINS),
        segments=_segments(said.get("segments") or ()),
        features=_count_or_none(said.get("features")),
        unseen=_count_or_none(said.get("unseen")),
        missing=_missing(said.get("missing")),
    )
    examples, judged = evaluation.learned_to - evaluation.learned_from, evaluation.whole.progressive.examples
    if not 0 < examples == judged:
        raise ValueError(f"it has {judged} examples, and {examples} were learned")
    # All evaluations of a variant have so many: one that begins elsewhere has another's number.
    if evaluation.learned_from != evaluation.index * examples:
        raise ValueError(
            f"number {evaluation.index}, each of {examples}, begins at {evaluation.learned_from}"
        )
    return evaluation


def count(value: Any, least: int = 0) -> int:
    """
    Return *value*, a whole number that was read.

    Raises:
        ValueError: it is none, below *least*, or so large that it counts nothing.
    """
    if type(value) is not int or not least <= value <= max(_MOST, -least):
        raise ValueError(f"{value!r} is no count")
    return value


def _count_or_none(value: Any) -> int | None:
    return None if value is None else count(value)


def _missing(said: Any) -> dict[str, int] | None:
    if said is None:
        return None
    if len(said) > _MOST_SLOTS:
        raise ValueError(f"{len(said)} slots are missing; an evaluation names {_MOST_SLOTS} at most")
    return {slot: count(examples) for slot, examples in said.items()}


def _checked(tally: Tally, bins: int) -> Tally:
    sums = (tally.importance_sum, tally.label_sum, tally.prediction_sum, tally.loss_sum)
    if not all(abs(each) <= _LARGEST for each in sums) or tally.importance_sum < 0:
        raise ValueError("sums that are negative, no numbers or beyond any event's")
    binned = np.stack([tally.positives, tally.negatives])
    if binned.shape[1] != bins or not bool((binned >= 0).all()):
        raise ValueError(f"positives and negatives are no histograms of {bins} bins")
    positives, negatives = binned.sum(axis=1)
    # Of another loss than the logistic one there are none.
    if binned.any() and not np.allclose(
        (positives, positives + negatives), (tally.label_sum, tally.importance_sum), _ROUNDING, _ROUNDING
    ):
        raise ValueError("the histograms are of other examples than the sums")
    return tally


def _segments(said: Any) -> dict[str, Judged]:
    if len(said) > _MOST_SEGMENTS:
        raise ValueError(f"{len(said)} segments; an evaluation has {_MOST_SEGMENTS} at most")
    segments = {_key_of(each["segment"]): Judged.of(each, _SEGMENT_BINS) for each in said}
    if len(segments) < len(said):
        raise ValueError("a segment is there twice")
    return segments


def _key_of(value: Any) -> str:
    """Return by which name a value of the model file's ``segment`` is watched: of no two values the same."""
    if value is None:
        return REST
    if not isinstance(value, str) or len(value.encode()) > _SEGMENT_BYTES:
        raise ValueError(f"{value!r:.100} is no segment")
    # Neither the rest nor, in the keys of records, the whole (which is empty there).
    return value if value.strip(REST) else value + 2 * REST
