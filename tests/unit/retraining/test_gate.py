from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import pytest

from stream_ml.retraining.blocks import Blocks, Slice, Sums
from stream_ml.retraining.gate import Rule, judge, watch

COUNT, EVENTS = 100, 1000
RULE = Rule(min_events=10_000, max_events=1_000_000)
RANDOM = np.random.default_rng(1)
NOISE = RANDOM.normal(0, 1.5, (10, COUNT))


def blocks(
    savings: Mapping[str, float | np.ndarray],
    *,
    count: int = COUNT,
    calibration: float = 1.0,
    of_champion: float = 1.0,
    slices: Mapping[str, tuple[float, float]] | None = None,
) -> Blocks:
    """
    Return blocks of 1,000 events, a fifth of them positive, where the champion's loss is about 0.4 an event.

    Args:
        savings: of each challenger, as a share of that.
        slices: share of the events, and by what share the challengers' loss is larger there.
    """
    champion = 400 + NOISE[-1][:count]
    labels = np.full(count, 200.0)
    shares = slices or {}

    def of(number: int, saved: float | np.ndarray) -> Sums:
        loss = champion - np.broadcast_to(saved, count) * 400 + NOISE[number][:count]
        each = {
            name: champion * share * (1 + worse) + NOISE[5][:count] for name, (share, worse) in shares.items()
        }
        return Sums(loss, calibration * labels, each)

    return Blocks(
        np.full(count, float(EVENTS)),
        np.full(count, float(EVENTS)),
        labels,
        Sums(champion, of_champion * labels, {name: champion * share for name, (share, _) in shares.items()}),
        {name: of(number, saved) for number, (name, saved) in enumerate(savings.items())},
        {
            name: Slice(np.full(count, EVENTS * share), np.full(count, EVENTS * share))
            for name, (share, _) in shares.items()
        },
    )


def test_who_saves_enough_is_promoted_with_the_difference_and_its_interval() -> None:
    verdict = judge(blocks({"warm": 0.02}), RULE)
    assert (verdict.says, verdict.challenger, verdict.events) == ("promote", "warm", 100_000)
    assert verdict.champion_loss == pytest.approx(0.4, rel=0.01)
    assert verdict.chosen is not None
    assert verdict.chosen.gain == pytest.approx(0.02, rel=0.1)
    saved = verdict.chosen.difference
    assert 0.005 * 0.4 < saved.low < saved.mean == pytest.approx(0.008, rel=0.1)
    assert saved.mean < saved.high < 0.02
    assert verdict.why.startswith("warm saves 0.00")
    assert "0.50% is asked" in verdict.why


def test_of_several_the_one_that_saves_most_is_promoted() -> None:
    verdict = judge(blocks({"a": 0.02, "b": 0.05, "c": 0.03, "d": -0.1}), RULE)
    assert (verdict.says, verdict.challenger) == ("promote", "b")
    assert [each.challenger for each in verdict.comparisons] == ["a", "b", "c", "d"]


def test_less_than_the_least_gain_is_no_reason_for_a_change() -> None:
    compared = blocks({"hardly": 0.003})
    assert judge(compared, replace(RULE, min_gain=0)).says == "promote"
    verdict = judge(compared, RULE)
    assert (verdict.says, verdict.challenger, verdict.chosen) == ("keep", None, None)
    assert verdict.why == "no challenger saves 0.50% of the log loss"


def test_while_one_may_still_be_better_the_comparison_goes_on() -> None:
    one_is_open = blocks({"worse": -0.1, "open": 0.0055})
    assert judge(one_is_open, RULE).says == "go on"
    ended = judge(one_is_open, replace(RULE, max_events=100_000))
    assert (ended.says, ended.why) == ("keep", "100000 events decide nothing")


def test_before_enough_events_and_blocks_nobody_is_promoted() -> None:
    compared = blocks({"much": 0.5})
    early = judge(compared, replace(RULE, min_events=100_001))
    assert (early.says, early.why) == ("go on", "100000 of at least 100001 events are compared")
    assert judge(blocks({"much": 0.5}, count=20), RULE).says == "go on"
    assert judge(blocks({"much": 0.5}, count=0), replace(RULE, min_events=0)).says == "go on"


def test_a_verdict_says_how_many_blocks_are_wanted() -> None:
    assert (
        judge(blocks({"warm": 0.1}, count=31), RULE).why == "31 of at least 32 blocks of events are compared"
    )
    assert "nobody is known" in judge(blocks({"warm": 0.006}, count=32), RULE).why


def test_more_challengers_must_show_more() -> None:
    """The probability of a wrong promotion is shared, so that the interval of each is wider."""
    alone = judge(blocks({"a": 0.02}), RULE).comparisons[0].difference
    of_nine = judge(blocks({"a": 0.02, **{f"x{n}": -0.1 for n in range(8)}}), RULE).comparisons[0].difference
    assert of_nine.mean == alone.mean
    assert of_nine.low < alone.low < alone.high < of_nine.high


def test_who_is_out_of_calibration_is_not_promoted() -> None:
    off = blocks({"off": 0.05}, calibration=1.2)
    verdict = judge(off, RULE)
    assert verdict.says == "go on"
    assert verdict.comparisons[0].proved
    assert verdict.comparisons[0].objections == ("its calibration is 1.200, within 0.1 of 1 is asked",)
    ended = judge(off, replace(RULE, max_events=100_000))
    assert (ended.says, ended.why) == ("keep", "off: its calibration is 1.200, within 0.1 of 1 is asked")
    assert judge(blocks({"off": 0.05}, calibration=0.8), RULE).says == "go on"
    assert judge(blocks({"off": 0.05}, calibration=1.08), RULE).says == "promote"


def test_out_of_calibration_is_allowed_to_who_is_nearer_than_the_champion() -> None:
    assert judge(blocks({"off": 0.05}, calibration=1.2, of_champion=1.4), RULE).says == "promote"
    assert judge(blocks({"off": 0.05}, calibration=1.2, of_champion=0.7), RULE).says == "promote"


def test_a_slice_that_is_much_worse_forbids_a_promotion() -> None:
    compared = blocks({"skewed": 0.05}, slices={"Resort": (0.2, 0.09), "City": (0.8, -0.1)})
    (comparison,) = judge(compared, RULE).comparisons
    assert judge(compared, RULE).says == "go on"
    assert comparison.objections == ("slice Resort: its loss is 8.8% larger, 5.0% is allowed",)
    assert (comparison.worst_slice, round(comparison.worst_slice_loss, 3)) == ("Resort", 0.088)
    assert judge(compared, replace(RULE, slice_loss=0.1)).says == "promote"
    assert judge(compared, replace(RULE, slice_events=20_001)).says == "promote"


def test_a_slice_that_may_be_worse_by_chance_does_not() -> None:
    compared = blocks({"a": 0.05}, slices={"few": (0.01, 0.06)})
    losses = compared.challengers["a"].slices["few"]
    losses += np.tile([-8.0, 8.0], COUNT // 2)
    assert judge(compared, RULE).says == "promote"


def test_a_lead_that_fades_is_not_promoted_once_it_has_faded() -> None:
    """In the first third it saves a tenth, later nothing: all in all, enough."""
    rule = replace(RULE, min_gain=0.001)
    fading = np.concatenate([np.linspace(0.1, 0, 40), np.zeros(60)])
    (comparison,) = judge(blocks({"early": fading}), rule).comparisons
    assert comparison.gain > 10 * rule.min_gain
    assert len(comparison.objections) == 1
    assert comparison.objections[0].startswith("in the later half of the comparison it saves ")
    (steady,) = judge(blocks({"steady": 0.02}), rule).comparisons
    assert steady.objections == ()


def test_the_same_blocks_give_the_same_verdict() -> None:
    assert judge(blocks({"a": 0.02}), RULE) == judge(blocks({"a": 0.02}), RULE)


def test_a_watch_rolls_back_where_the_old_one_is_better() -> None:
    promoted_wrongly = blocks({"new": -0.05})
    verdict = watch(promoted_wrongly, "new", RULE)
    assert (verdict.says, verdict.challenger) == ("promote", "champion")
    assert watch(blocks({"new": 0.05}), "new", RULE).says == "keep"
    assert watch(blocks({"new": -0.0055}), "new", RULE).says == "go on"


def test_a_watch_does_not_ask_the_old_one_for_calibration_and_slices() -> None:
    off = blocks({"new": -0.05}, of_champion=1.5, slices={"City": (0.5, -0.3)})
    assert judge(off.swapped("new"), RULE).says == "go on"
    assert watch(off, "new", RULE).says == "promote"


def test_sums_that_do_not_belong_together_are_a_fault_of_the_caller() -> None:
    good = blocks({"a": 0.02})
    with pytest.raises(AssertionError, match="every sum is there for every block"):
        replace(good, labels=good.labels[1:])
    with pytest.raises(AssertionError, match="not finite"):
        replace(good, importance=good.importance * np.nan)
