"""
Whom the gate promotes, over seeded streams whose truth is known, with native learners on both sides.

"Really better" is a challenger that saves at least 1 % of the champion's log loss over its stream, "not
better" one that saves less than the 0.5 % that the rule asks for. The gate looks after every 500 events.
"""

from __future__ import annotations

import lzma
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from math import comb
from pathlib import Path

import numpy as np
import orjson
import pytest

from stream_ml.hotels.bookings import bookings
from stream_ml.retraining.blocks import Blocks
from stream_ml.retraining.gate import Rule, Verdict
from tests.contested import (
    NOISES,
    PAIR,
    World,
    contest,
    first_decision,
    model,
    noisy,
    until,
)

RULE = Rule()
ELECTRICITY = Path(__file__).parents[3] / "shared" / "data" / "elec2" / "electricity.csv.xz"
HOTELS = ELECTRICITY.parents[1] / "hotel_bookings" / "hotel_bookings.csv.zip"
DAY = 48
STAYS_A_BLOCK = 250
RATE = {"alpha": 0.1}
LONG = 150_000

Contest = Callable[[int], Blocks]


@dataclass(frozen=True)
class Outcome:
    """What came of one stream: the verdict, and what each challenger saved over the whole of it."""

    verdict: Verdict
    gains: dict[str, float]


def one_noise_each(number: int) -> str:
    return model(noisy(number), **RATE)


def with_the_pair(seed: int) -> Blocks:
    """The champion has no feature for a pair whose effect is known to the challenger."""
    records = World(seed, pair=0.45).records()
    return contest(records, one_noise_each(0), {"better": model(noisy(0, **PAIR), **RATE)})


def one_of_eight_in_spells(seed: int) -> Blocks:
    """Seven know nothing more, and all labels come in spells."""
    records = World(seed, pair=0.45, spell=0.7).records()
    others = {f"noise{number}": one_noise_each(number) for number in range(7)}
    return contest(records, one_noise_each(8), {**others, "better": model(noisy(7, **PAIR), **RATE)})


def with_the_pair_and_few_positives(seed: int) -> Blocks:
    """About 7 % of the labels are positive."""
    records = World(seed, pair=0.6, bias=-3).records()
    return contest(records, one_noise_each(0), {"better": model(noisy(0, **PAIR), **RATE)})


def one_that_keeps_up(seed: int) -> Blocks:
    """The world changes every 2,500 events; the challenger learns faster, and is mostly better."""
    records = World(seed, changes_every=2_500).records(LONG)
    return contest(records, model(noisy(0), alpha=0.03), {"better": model(noisy(0), alpha=0.2)})


def eight_alike(seed: int) -> Blocks:
    """Each has a noise of its own: best of eight, and none of them better."""
    challengers = {f"noise{number}": one_noise_each(number) for number in range(8)}
    return contest(World(seed).records(), one_noise_each(8), challengers)


def eight_alike_in_spells(seed: int) -> Blocks:
    challengers = {f"noise{number}": one_noise_each(number) for number in range(8)}
    return contest(World(seed, spell=0.7).records(), one_noise_each(8), challengers)


def four_alike_and_few_positives(seed: int) -> Blocks:
    """About 2 % of the labels are positive."""
    challengers = {f"noise{number}": one_noise_each(number) for number in range(4)}
    return contest(World(seed, bias=-4.2).records(), one_noise_each(8), challengers)


def one_with_more_noise(seed: int) -> Blocks:
    challenger = model(noisy(1, more="cross(a, noise2)"), **RATE)
    return contest(World(seed).records(), one_noise_each(0), {"worse": challenger})


def one_hardly_better(seed: int) -> Blocks:
    """It knows a pair whose effect is worth less than the rule asks for."""
    records = World(seed, pair=0.12).records()
    return contest(records, one_noise_each(0), {"hardly": model(noisy(0, **PAIR), **RATE)})


BETTER: list[Contest] = [
    with_the_pair,
    one_of_eight_in_spells,
    with_the_pair_and_few_positives,
    one_that_keeps_up,
]
ALIKE: list[Contest] = [
    eight_alike,
    eight_alike_in_spells,
    four_alike_and_few_positives,
    one_with_more_noise,
    one_hardly_better,
]


def outcomes(contests: list[Contest], streams: int, first_seed: int) -> Iterator[Outcome]:
    for number in range(streams):
        blocks = contests[number % len(contests)](first_seed + number)
        yield Outcome(first_decision(blocks, RULE), gains(blocks))


def gains(blocks: Blocks) -> dict[str, float]:
    loss = blocks.champion.loss.sum()
    return {name: float(1 - sums.loss.sum() / loss) for name, sums in blocks.challengers.items()}


def upper_bound(hits: int, tries: int) -> float:
    """Clopper and Pearson's one-sided 95 % bound: the rate at which so few hits are just 5 % likely."""
    low, high = hits / tries, 1.0
    for _ in range(60):
        rate = (low + high) / 2
        few = sum(comb(tries, k) * rate**k * (1 - rate) ** (tries - k) for k in range(hits + 1))
        low, high = (rate, high) if few > 0.05 else (low, rate)
    return high


def test_the_bound_is_the_one_of_the_tables() -> None:
    assert upper_bound(0, 100) == pytest.approx(0.029513, abs=1e-6)
    assert upper_bound(1, 100) == pytest.approx(0.046560, abs=1e-6)
    assert upper_bound(3, 50) == pytest.approx(0.147837, abs=1e-6)


def test_better_challengers_are_promoted(
    rounds: Callable[[int, int], int], record_property: Callable[[str, object], None]
) -> None:
    found = list(outcomes(BETTER, rounds(24, 200), 1_000))
    assert min(each.gains["better"] for each in found) >= 0.01
    promoted = [each for each in found if each.verdict.challenger == "better"]
    record_property("streams", len(found))
    record_property("promoted", len(promoted))
    record_property("gain_median", float(np.median([each.gains["better"] for each in found])))
    record_property("events_median", float(np.median([each.verdict.events for each in promoted])))
    assert len(promoted) >= 0.8 * len(found)
    assert all(each.verdict.challenger in ("better", None) for each in found)


def test_others_are_not(
    rounds: Callable[[int, int], int], record_property: Callable[[str, object], None]
) -> None:
    found = list(outcomes(ALIKE, rounds(60, 300), 5_000))
    assert max(max(each.gains.values()) for each in found) < RULE.min_gain
    wrong = sum(each.verdict.says == "promote" for each in found)
    record_property("streams", len(found))
    record_property("wrong", wrong)
    record_property("wrong_upper_bound", upper_bound(wrong, len(found)))
    assert upper_bound(wrong, len(found)) <= 0.05


@pytest.fixture(scope="module")
def electricity() -> list[bytes]:
    """Events of elec2 in the order of time; labels come in spells. Each has noises that say nothing."""
    lines = lzma.decompress(ELECTRICITY.read_bytes()).decode().splitlines()[1:]
    noises = np.random.default_rng(5).integers(0, 60, (len(lines), NOISES))
    return [_event(line, noise) for line, noise in zip(lines, noises.tolist(), strict=True)]


def _event(line: str, noises: list[int]) -> bytes:
    period, price, demand, *_, label = line.split(",")
    event = {"y": int(label), "hour": round(float(period) * 47), "price": int(float(price) * 100)}
    event["demand"] = int(float(demand) * 20)
    return orjson.dumps({**event, **{f"noise{at}": noise for at, noise in enumerate(noises)}})


def of_electricity(number: int, alpha: float = 0.1, price: bool = True) -> str:
    names = ["hour", "demand", *(["price"] if price else []), f"noise{number}"]
    return model({name: name for name in names}, DAY, alpha=alpha)


@pytest.mark.parametrize("first", range(0, 36_001, 6_000))
def test_windows_of_electricity(electricity: list[bytes], first: int) -> None:
    """Blocks are days. Who knows the price is promoted; who only has another noise is not, best of eight."""
    window, rule = electricity[first : first + 15_000], replace(RULE, min_events=40 * DAY)
    better = contest(window, of_electricity(0, price=False), {"price": of_electricity(0)}, 40 * DAY)
    assert first_decision(better, rule).challenger == "price"
    alike = {f"noise{number}": of_electricity(number) for number in range(8)}
    verdict = first_decision(contest(window, of_electricity(8), alike, 40 * DAY), rule)
    assert verdict.says != "promote", verdict.why


@pytest.mark.parametrize("first", range(0, 36_001, 6_000))
def test_whom_electricity_promotes_is_better_afterwards(electricity: list[bytes], first: int) -> None:
    """Learners of other rates: nobody knows the truth, but what comes after the promotion shows it."""
    window, rule = electricity[first : first + 15_000], replace(RULE, min_events=40 * DAY)
    rates = {f"alpha{alpha}": of_electricity(0, alpha) for alpha in (0.02, 0.05, 0.2, 0.5)}
    blocks = contest(window, of_electricity(0), rates, 40 * DAY)
    verdict = first_decision(blocks, rule)
    assert verdict.says == "promote"
    decided = verdict.events // DAY
    after = until(blocks, len(blocks.examples), decided)
    assert gains(after)[verdict.challenger or ""] > RULE.min_gain


@pytest.fixture(scope="module")
def stays() -> list[bytes]:
    """The hotel bookings in the order in which they were made, with noises as above."""
    made = bookings(str(HOTELS))
    noises = np.random.default_rng(6).integers(0, 60, (len(made), NOISES))
    return [
        orjson.dumps(
            {
                "y": booking.cancelled,
                **booking.event,
                **{f"noise{at}": value for at, value in enumerate(noise)},
            }
        )
        for booking, noise in zip(made, noises.tolist(), strict=True)
    ]


def of_stays(number: int, deposit: bool = True) -> str:
    names = {"hotel": "hotel", "segment": "market_segment", "lead": "log_bucket(lead_time, 1.5)"}
    known = {"deposit": "deposit_type"} if deposit else {}
    return model({**names, **known, f"noise{number}": f"noise{number}"}, STAYS_A_BLOCK, **RATE)


def test_windows_of_hotel_bookings(stays: list[bytes]) -> None:
    """Who knows the deposit is promoted in most; who only has another noise in none, best of eight."""
    promoted, windows, cut = 0, range(0, 75_001, 15_000), 5_000
    alike = {f"noise{number}": of_stays(number) for number in range(8)}
    for first in windows:
        window = stays[first : first + 30_000]
        better = contest(window, of_stays(0, deposit=False), {"deposit": of_stays(0)}, cut)
        promoted += first_decision(better, RULE).challenger == "deposit"
        verdict = first_decision(contest(window, of_stays(8), alike, cut), RULE)
        assert verdict.says != "promote", verdict.why
    assert promoted >= 0.8 * len(windows)
