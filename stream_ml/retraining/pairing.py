"""
Live evaluations of two variants made comparable: sums over the same events.

Each variant closes an evaluation after a fixed number of *its own* learned events, counted from where it
began, and both learn the same events of a source in the same order. So one number ties them together: how
many events the champion had learned where the challenger began. The challenger's evaluations are the blocks;
of the champion the sums up to any count between two ends are interpolated. What that gets wrong at the end of
one block it gives back in the next: the errors of many blocks add up to no more than one evaluation's. Where
ends do not meet, blocks are made of several evaluations, so that little of this noise is left in each.

The labels are summed twice, by both variants: if the sums differ, the events were not the same.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import numpy as np

from stream_ml.errors import InvalidRecord
from stream_ml.retraining.blocks import Blocks, Slice, Sums
from stream_ml.retraining.confidence import Array

# Evaluations of a block where the ends of the two variants' do not meet.
_JOINED = 8
_FIGURES = ("examples", "importance_sum", "label_sum", "prediction_sum", "loss_sum")
# Segments without a name of their own are together in one.
_REST = "(rest)"


class Mispaired(InvalidRecord):
    """The evaluations are not of the same events."""


@dataclass(frozen=True, slots=True)
class History:
    """
    One variant's evaluations of one source, in order and without holes, as running totals.

    Attributes:
        counts: learned events at every end, the first being where the first evaluation begins.
        totals: per figure, the sum up to each of `counts`, from 0.
        slices: per segment, the totals of its figures.
        watermarks_us: of each evaluation, shape (len(counts) - 1,).
    """

    counts: Array
    totals: Mapping[str, Array]
    slices: Mapping[str, Mapping[str, Array]]
    watermarks_us: Array


def history(evaluations: Iterable[Mapping[str, Any]]) -> History:
    """
    Return *evaluations* (as they are in the topic) as totals; repeats of an index are dropped.

    Raises:
        Mispaired: one is missing in between.
    """
    by_index = {int(each["index"]): each for each in evaluations}
    found = [by_index[index] for index in sorted(by_index)]
    for before, after in pairwise(found):
        if after["learned_from"] != before["learned_to"]:
            raise Mispaired(f"between evaluations {before['index']} and {after['index']} some are missing")
    counts = [float(each["learned_from"]) for each in found[:1]] + [
        float(each["learned_to"]) for each in found
    ]
    segments = [_segments(each) for each in found]
    names = dict.fromkeys(name for each in segments for name in each)
    return History(
        counts=np.array(counts),
        totals=_totals(found),
        slices={name: _totals([each.get(name, {}) for each in segments]) for name in names},
        watermarks_us=np.array([_watermark(each) for each in found]),
    )


def pair(champion: History, challenger: History, name: str, champion_learned: int) -> tuple[Blocks, Array]:
    """
    Return the blocks that both have evaluated, and the watermark of each.

    Args:
        name: of the challenger, in the blocks.
        champion_learned: events that the champion had learned of this source where the challenger began.

    Raises:
        Mispaired: the labels differ by more than the ends can explain.
    """
    began = replace(champion, counts=champion.counts - champion_learned)
    ends = _ends(began.counts, challenger.counts)
    blocks = Blocks(
        examples=_between(ends, challenger, challenger.totals, "examples"),
        importance=_between(ends, challenger, challenger.totals, "importance_sum"),
        labels=_between(ends, challenger, challenger.totals, "label_sum"),
        champion=_sums(ends, began),
        challengers={name: _sums(ends, challenger)},
        slices={
            key: Slice(
                _between(ends, challenger, totals, "examples"),
                _between(ends, challenger, totals, "importance_sum"),
            )
            for key, totals in challenger.slices.items()
        },
    )
    _check(_between(ends, began, began.totals, "label_sum"), blocks.labels, champion)
    watermarks: Array = challenger.watermarks_us[np.searchsorted(challenger.counts, ends[1:]) - 1]
    return blocks, watermarks


def _ends(theirs: Array, ours: Array) -> Array:
    """Return the ends of blocks among *ours*, as far as *theirs* reach."""
    if not len(theirs) or not len(ours):
        return np.zeros(0)
    ends: Array = ours[(ours >= theirs[0]) & (ours <= theirs[-1])]
    return ends if np.isin(ends, theirs).all() else ends[::_JOINED]


def _between(ends: Array, variant: History, totals: Mapping[str, Array], figure: str) -> Array:
    if not len(ends):
        return np.zeros(0)
    sums: Array = np.diff(np.interp(ends, variant.counts, totals[figure]))
    return sums


def _sums(ends: Array, variant: History) -> Sums:
    return Sums(
        loss=_between(ends, variant, variant.totals, "loss_sum"),
        predictions=_between(ends, variant, variant.totals, "prediction_sum"),
        slices={key: _between(ends, variant, totals, "loss_sum") for key, totals in variant.slices.items()},
    )


def together(sources: Sequence[tuple[Blocks, Array]]) -> Blocks:
    """Return the blocks of several sources (as `pair` made them) in the order of their watermarks."""
    assert sources, "there is a source"
    order = np.argsort(np.concatenate([watermarks for _, watermarks in sources]), kind="stable")
    parts = [blocks for blocks, _ in sources]

    def laid(arrays: Iterable[Array]) -> Array:
        return np.concatenate(list(arrays))[order]

    def sums(each: Sequence[Sums]) -> Sums:
        names = dict.fromkeys(name for one in each for name in one.slices)
        none = [np.zeros(one.loss.shape) for one in each]
        slices = {
            key: laid(one.slices.get(key, zero) for one, zero in zip(each, none, strict=True))
            for key in names
        }
        return Sums(laid(one.loss for one in each), laid(one.predictions for one in each), slices)

    names = dict.fromkeys(name for part in parts for name in part.slices)
    empty = [Slice(np.zeros(part.examples.shape), np.zeros(part.examples.shape)) for part in parts]
    shares = {key: [p.slices.get(key, none) for p, none in zip(parts, empty, strict=True)] for key in names}
    return Blocks(
        examples=laid(part.examples for part in parts),
        importance=laid(part.importance for part in parts),
        labels=laid(part.labels for part in parts),
        champion=sums([part.champion for part in parts]),
        challengers={name: sums([p.challengers[name] for p in parts]) for name in parts[0].challengers},
        slices={
            key: Slice(laid(s.examples for s in of_all), laid(s.importance for s in of_all))
            for key, of_all in shares.items()
        },
    )


def _watermark(evaluation: Mapping[str, Any]) -> float:
    """Return the event time; of a model without any, events are as good a clock."""
    at = evaluation["watermark_us"]
    return float(evaluation["learned_to"] if at is None else at)


def _segments(evaluation: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    """Return what an evaluation says of its segments; of format 1, nothing."""
    found = evaluation.get("segments") or ()
    return {_REST if each["segment"] is None else str(each["segment"]): each for each in found}


def _totals(found: Sequence[Mapping[str, Any]]) -> dict[str, Array]:
    sums = {figure: [float(each.get(figure, 0.0)) for each in found] for figure in _FIGURES}
    return {figure: np.concatenate([[0.0], np.cumsum(of)]) for figure, of in sums.items()}


def _check(theirs: Array, ours: Array, champion: History) -> None:
    # At both ends, up to one evaluation of the champion is divided by a guess.
    largest = float(np.diff(champion.totals["label_sum"]).max(initial=0.0))
    apart = abs(float(theirs.sum()) - float(ours.sum()))
    if apart > 2 * largest + 1e-6 * float(ours.sum()):
        raise Mispaired(
            f"the champion summed {theirs.sum():g} labels where the challenger summed {ours.sum():g}: "
            "they did not learn the same events, or did not begin where it is said"
        )
