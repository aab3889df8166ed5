from __future__ import annotations

import lzma
from pathlib import Path

import numpy as np
import orjson
import pytest
from numpy.typing import NDArray

from stream_ml.drift.breaker import (
    BLOCK_EVENTS,
    FALSE_TRIP,
    LEAST_EVENTS,
    Flood,
    LabelBreaker,
    SilenceWatch,
    events_to_trip,
)

BLOCK = 50
ELECTRICITY = Path(__file__).parents[4] / "shared" / "data" / "elec2" / "electricity.csv.xz"


def fed(
    breaker: LabelBreaker, random: np.random.Generator, rate: float, events: int, runs: int = 1
) -> Flood | None:
    """Feed labels that come in runs of the same; return the first flood."""
    for _ in range(events // BLOCK):
        labels = np.repeat(random.random(-(-BLOCK // runs)) < rate, runs)[:BLOCK]
        if flood := breaker.learned(BLOCK, float(labels.mean())):
            return flood
    return None


def batches_fed(breaker: LabelBreaker, labels: NDArray[np.float64], batch: int) -> Flood | None:
    """Feed labels in batches; return the first flood."""
    for at in range(0, len(labels) - batch + 1, batch):
        if flood := breaker.learned(batch, float(labels[at : at + batch].mean())):
            return flood
    return None


@pytest.mark.parametrize("rate", [0.02, 0.24, 0.7])
@pytest.mark.parametrize("runs", [1, 5])
def test_a_steady_rate_never_trips_it(rate: float, runs: int) -> None:
    assert fed(LabelBreaker(), np.random.default_rng(1), rate, 300_000, runs) is None


@pytest.mark.parametrize(("rate", "flooded"), [(0.02, 0.5), (0.24, 0.95), (0.24, 0.55), (0.7, 0.02)])
def test_a_flood_trips_it_within_the_stated_events(rate: float, flooded: float) -> None:
    random = np.random.default_rng(2)
    for _ in range(20):
        breaker = LabelBreaker()
        assert fed(breaker, random, rate, 20_000) is None
        stated, before = events_to_trip(rate, flooded, breaker.dispersion), breaker.events
        flood = fed(breaker, random, flooded, 20_000)
        assert flood is not None
        assert breaker.events - before <= 1.5 * stated
        assert flood.before == pytest.approx(rate, abs=0.03)
        assert (flood.after > rate) == (flooded > rate)


@pytest.mark.parametrize("batch", [1, 9, 300])
def test_the_price_of_electricity_goes_up_and_down_in_long_runs_and_is_no_flood(batch: int) -> None:
    with lzma.open(ELECTRICITY, "rt") as file:
        labels = np.array([line.strip().endswith(",1") for line in file][1:], dtype=np.float64)
    assert batches_fed(LabelBreaker(), labels, batch) is None
    assert len(labels) > 45_000


@pytest.mark.parametrize("batch", [1, 9, 300])
def test_a_basket_that_is_all_coupons_now_and_then_is_no_flood(batch: int) -> None:
    """Labels as of `make demo`: few, and a third of them together in one in two hundred baskets."""
    random = np.random.default_rng(7)
    share = np.where(random.random(60_000) < 0.005, 0.6, 0.008)
    sizes = np.where(share > 0.5, random.geometric(1 / 30, share.size), random.geometric(1 / 9, share.size))
    labels = (random.random(sizes.sum()) < np.repeat(share, sizes)).astype(np.float64)
    assert batches_fed(LabelBreaker(), labels, batch) is None


@pytest.mark.parametrize("batch", [50, 300, 3_000])
def test_a_flood_in_batches_of_any_size_trips_it_with_the_batch_that_has_them(
    batch: int,
) -> None:
    random, breaker = np.random.default_rng(8), LabelBreaker()
    assert batches_fed(breaker, (random.random(30_000) < 0.05).astype(np.float64), batch) is None
    before = breaker.events
    assert batches_fed(breaker, np.ones(12_000), batch) is not None
    assert breaker.events - before <= events_to_trip(0.05, 1.0, breaker.dispersion) + batch


def test_what_was_held_back_as_suspicious_is_learned_once_it_is_over() -> None:
    random, breaker = np.random.default_rng(9), LabelBreaker()
    fed(breaker, random, 0.1, 20_000)
    steady = breaker.dispersion
    for _ in range(20):
        assert fed(breaker, random, 0.3, 300) is None
        assert fed(breaker, random, 0.1, 4_000) is None
    assert breaker.dispersion > 2 * steady


def test_a_drift_is_no_flood() -> None:
    random, breaker = np.random.default_rng(3), LabelBreaker()
    assert fed(breaker, random, 0.24, 50_000) is None
    assert fed(breaker, random, 0.24 * 1.3, 200_000) is None


def test_the_chance_of_a_false_trip_is_kept() -> None:
    """With a chance of one in 5,000 events, half a million may trip it a hundred times."""
    random, tripped, events = np.random.default_rng(4), 0, 500_000
    breaker = LabelBreaker(false_trip=1 / 5_000)
    for _ in range(events // BLOCK):
        if breaker.learned(BLOCK, float((random.random(BLOCK) < 0.24).mean())):
            tripped += 1
            breaker = LabelBreaker.restored({**breaker.state(), "high": 0.0, "low": 0.0})
    assert tripped <= 120


def test_at_the_beginning_nothing_is_known() -> None:
    breaker = LabelBreaker()
    assert breaker.learned(LEAST_EVENTS - 1, 0.1) is None
    assert breaker.learned(500, 1.0) is None
    assert LabelBreaker().learned(0, 0.5) is None


def test_labels_that_are_no_rate_are_not_judged() -> None:
    breaker = LabelBreaker()
    assert [breaker.learned(1_000, 250.0) for _ in range(9)] == [None] * 9
    assert breaker.events == 0


def test_a_flood_teaches_no_new_rate() -> None:
    random, breaker = np.random.default_rng(5), LabelBreaker()
    fed(breaker, random, 0.2, 20_000)
    before = breaker.rate
    assert fed(breaker, random, 0.9, 20_000) is not None
    assert breaker.rate == pytest.approx(before, abs=0.01)


def test_it_goes_on_from_its_state() -> None:
    whole, stopped = LabelBreaker(), LabelBreaker()
    random = np.random.default_rng(6)
    for at in range(400):
        share = float((random.random(BLOCK) < (0.2 if at < 380 else 0.5)).mean())
        stopped = LabelBreaker.restored(orjson.loads(orjson.dumps(stopped.state())))
        assert stopped.learned(BLOCK, share) == whole.learned(BLOCK, share)


def test_what_is_no_flood_has_no_stated_events() -> None:
    with pytest.raises(ValueError, match="no flood"):
        events_to_trip(0.2, 0.25)
    assert events_to_trip(0.24, 0.95) == 4 * BLOCK_EVENTS


def test_silence_of_events_is_told_after_its_time() -> None:
    watch = SilenceWatch(after_seconds=60)
    assert watch.silence(1e9) is None
    watch.came(100.0, 10, 10)
    assert watch.silence(159.9) is None
    assert watch.silence(160.0) == "no_events"
    watch.came(161.0, 1, 1)
    assert watch.silence(162.0) is None


def test_silence_of_labels_is_told_while_events_go_on() -> None:
    watch = SilenceWatch(after_seconds=60)
    for second in range(1_000):
        watch.came(float(second), 10, 2)
    told = []
    for second in range(1_000, 1_200):
        watch.came(float(second), 10, 0)
        told.append(watch.silence(float(second)))
    assert told[:58] == [None] * 58
    assert told[61:] == ["no_labels"] * (len(told) - 61)


def test_rare_labels_may_be_away_for_as_many_events_as_chance_allows() -> None:
    watch = SilenceWatch(after_seconds=1, false_alarm=FALSE_TRIP)
    for second in range(10_000):
        watch.came(float(second), 10, int(second % 100 == 0))
    # One in a thousand: 20,700 events without one come by chance once in a billion times.
    unlabelled = 0
    while unlabelled == 0 or watch.silence(20_000.0) is None:
        watch.came(20_000.0, 100, 0)
        unlabelled += 100
    assert 15_000 < unlabelled < 30_000


def test_a_stream_without_labels_from_the_start_is_not_silent() -> None:
    watch = SilenceWatch(after_seconds=1)
    watch.came(1.0, 1_000_000, 0)
    assert watch.silence(1.5) is None
    assert watch.silence(1.9) is None
