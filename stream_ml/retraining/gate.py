"""
Whether a challenger is better than the champion: the one rule of promotion, watch and rollback.

A challenger is promoted when the confidence sequence of what it saves lies above the least gain worth a
change, its calibration is within bounds, no slice is much worse, and the later half of the comparison agrees.
The interval may be looked at after every block (`confidence`); *miss* is shared among the challengers, so
that the best of many is promoted wrongly no more often than one alone.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Literal

from stream_ml.retraining.blocks import Blocks, Sums
from stream_ml.retraining.confidence import FIRST_LOOK, Array, Interval, interval, mean_of

# A slice is worse where its loss is, beyond this many standard errors.
_SLICE_ERRORS = 2.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """
    What a promotion asks for.

    Attributes:
        min_gain: share of the champion's log loss that a challenger must save, and be known to save.
        miss: probability that anyone who is not that much better is ever promoted, of all challengers
            together.
        min_events, max_events: before the first decision, and where a comparison without one ends.
        calibration: how far sum of predictions / sum of labels may be from 1; further is allowed to who is
            nearer to 1 than the champion.
        slice_loss: by what share the loss of a slice may be larger than the champion's.
        slice_events: slices with fewer are not looked at.
    """

    min_gain: float = 0.005
    miss: float = 0.01
    min_events: int = 5_000
    max_events: int = 2_000_000
    calibration: float = 0.1
    slice_loss: float = 0.05
    slice_events: int = 1_000

    def __post_init__(self) -> None:
        assert 0 <= self.min_gain < 1, "a share of the loss"
        assert 0 < self.miss < 0.5, "a small probability"
        assert 0 <= self.min_events <= self.max_events, "a comparison begins before it ends"


@dataclass(frozen=True, slots=True)
class Comparison:
    """
    One challenger against the champion.

    Attributes:
        difference: of the log loss, champion's - challenger's: what the challenger saves an event.
        gain: the same as a share of the champion's log loss.
        proved: the saving beyond the least gain is known to be above 0.
        hopeless: the same is known to be below 0.
        calibration: sum of predictions / sum of labels; NaN without positive labels.
        worst_slice, worst_slice_loss: where the challenger's loss is larger by the largest share, and which;
            None and NaN where no slice has enough events.
        objections: why it is not promoted though proved, for people.
    """

    challenger: str
    difference: Interval
    gain: float
    proved: bool
    hopeless: bool
    calibration: float
    worst_slice: str | None
    worst_slice_loss: float
    objections: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Verdict:
    """
    What the gate says.

    Attributes:
        says: promote *challenger*; keep the champion, and end the comparison; go on comparing.
        champion_loss: its log loss.
        comparisons: in the order of the challengers.
    """

    says: Literal["promote", "keep", "go on"]
    challenger: str | None
    events: int
    champion_loss: float
    comparisons: tuple[Comparison, ...]
    why: str

    @property
    def chosen(self) -> Comparison | None:
        """The comparison of who is promoted."""
        return next((each for each in self.comparisons if each.challenger == self.challenger), None)


def judge(blocks: Blocks, rule: Rule) -> Verdict:
    """Return what *rule* says of all that is there so far; the same blocks always give the same verdict."""
    comparisons = tuple(_compare(blocks, name, rule) for name in blocks.challengers)
    loss = mean_of(blocks.champion.loss, blocks.importance)

    def verdict(says: Literal["promote", "keep", "go on"], name: str | None, why: str) -> Verdict:
        return Verdict(says, name, blocks.events, loss, comparisons, why)

    if blocks.events < rule.min_events:
        return verdict("go on", None, f"{blocks.events} of at least {rule.min_events} events are compared")
    willing = [each for each in comparisons if each.proved and not each.objections]
    if willing:
        best = max(willing, key=lambda each: each.difference.mean)
        return verdict("promote", best.challenger, _saves(best, rule))
    if all(each.hopeless for each in comparisons):
        return verdict("keep", None, f"no challenger saves {rule.min_gain:.2%} of the log loss")
    if blocks.events >= rule.max_events:
        objections = "; ".join(f"{each.challenger}: {', '.join(each.objections)}" for each in comparisons)
        proved = any(each.proved for each in comparisons)
        return verdict("keep", None, objections if proved else f"{blocks.events} events decide nothing")
    if (there := len(blocks.examples)) < FIRST_LOOK:
        return verdict("go on", None, f"{there} of at least {FIRST_LOOK} blocks of events are compared")
    return verdict("go on", None, "nobody is known to be better, and somebody may be")


def watch(blocks: Blocks, serving: str, rule: Rule) -> Verdict:
    """
    Return what *rule* says of a promotion of *serving*: "promote" is to roll back to the champion of before.

    It asks for the log loss alone: of who served before, calibration and slices were good enough. "keep" ends
    the watch.
    """
    swapped = blocks.swapped(serving)
    bare = replace(swapped, slices={})
    return judge(bare, replace(rule, calibration=math.inf))


def _compare(blocks: Blocks, name: str, rule: Rule) -> Comparison:
    challenger, champion = blocks.challengers[name], blocks.champion
    miss = rule.miss / len(blocks.challengers)
    beyond = interval((1 - rule.min_gain) * champion.loss - challenger.loss, blocks.importance, miss)
    saved = champion.loss - challenger.loss
    worst, worse = _worst_slice(blocks, challenger, rule)
    calibration = _ratio(challenger.predictions, blocks.labels)
    total = float(champion.loss.sum())
    return Comparison(
        challenger=name,
        difference=interval(saved, blocks.importance, miss),
        gain=float(saved.sum()) / total if total > 0 else math.nan,
        proved=beyond.low > 0,
        hopeless=beyond.high < 0,
        calibration=calibration,
        worst_slice=worst,
        worst_slice_loss=worse,
        objections=(
            *_of_calibration(calibration, _ratio(champion.predictions, blocks.labels), rule),
            *_of_slices(blocks, challenger, rule),
            *_of_time(saved, champion.loss, rule),
        ),
    )


def _of_calibration(challenger: float, champion: float, rule: Rule) -> list[str]:
    if math.isnan(challenger):
        return []
    if abs(challenger - 1) <= max(rule.calibration, abs(champion - 1)):
        return []
    return [f"its calibration is {challenger:.3f}, within {rule.calibration:g} of 1 is asked"]


def _of_slices(blocks: Blocks, challenger: Sums, rule: Rule) -> list[str]:
    return [
        f"slice {name}: its loss is {worse:.1%} larger, {rule.slice_loss:.1%} is allowed"
        for name in _large_slices(blocks, challenger, rule)
        if (worse := _worse(blocks, challenger, name)) > rule.slice_loss
        and _surely_worse(challenger.slices[name] - blocks.champion.slices[name])
    ]


def _of_time(saved: Array, loss: Array, rule: Rule) -> list[str]:
    """Object to what was saved at the beginning only: a start that was lucky, or a lead that fades."""
    half = len(saved) // 2
    later = mean_of(saved[half:], loss[half:])
    if later > rule.min_gain:
        return []
    return [f"in the later half of the comparison it saves {later:.2%}"]


def _large_slices(blocks: Blocks, challenger: Sums, rule: Rule) -> list[str]:
    return [
        name
        for name, slice_ in blocks.slices.items()
        if slice_.examples.sum() >= rule.slice_events
        and name in challenger.slices
        and blocks.champion.slices.get(name, blocks.examples[:0]).sum() > 0
    ]


def _worst_slice(blocks: Blocks, challenger: Sums, rule: Rule) -> tuple[str | None, float]:
    worse = {name: _worse(blocks, challenger, name) for name in _large_slices(blocks, challenger, rule)}
    worst = max(worse, key=lambda name: worse[name], default=None)
    return worst, math.nan if worst is None else worse[worst]


def _worse(blocks: Blocks, challenger: Sums, name: str) -> float:
    return _ratio(challenger.slices[name], blocks.champion.slices[name]) - 1


def _surely_worse(more: Array) -> bool:
    error = math.sqrt(len(more)) * float(more.std(ddof=1)) if len(more) > 1 else math.inf
    return float(more.sum()) > _SLICE_ERRORS * error


def _ratio(above: Array, below: Array) -> float:
    total = float(below.sum())
    return float(above.sum()) / total if total > 0 else math.nan


def _saves(best: Comparison, rule: Rule) -> str:
    saved = best.difference
    return (
        f"{best.challenger} saves {saved.mean:.5f} of log loss an event ({best.gain:.2%}), between "
        f"{saved.low:.5f} and {saved.high:.5f}; {rule.min_gain:.2%} is asked"
    )
