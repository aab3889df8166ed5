from __future__ import annotations

import numpy as np
import orjson
import pytest

from loadtest.drift import BEFORE, POSITIVES, outcomes, planted_in, telling, within
from loadtest.drifting import DRIFTING, EVERY, RECURRING_EVENTS, SEGMENTS, Planted, blocks, segment_rate
from stream_ml.drift.monitor import Rules


def test_the_rate_of_the_segment_is_the_one_that_its_events_have() -> None:
    for seed in (5, 6):
        events = [orjson.loads(event) for block in blocks(seed, 60) for event in block]
        labels = [event["y"] for event in events if event["g"] == f"g{DRIFTING}"]
        rate = segment_rate(seed)
        assert np.mean(labels) == pytest.approx(rate, abs=4 * np.sqrt(rate * (1 - rate) / len(labels)))


def test_a_segment_has_as_many_positives_before_its_drift_as_it_is_told_in() -> None:
    for seed in range(20):
        planted, takes = planted_in(seed, "segment", "recurring"), telling(seed, "segment")
        assert takes * segment_rate(seed) / SEGMENTS == pytest.approx(POSITIVES, rel=0.001)
        assert planted.at >= max(BEFORE * EVERY, takes - EVERY)
        # It is there for as long as it takes to tell it.
        assert planted.phase == max(takes, RECURRING_EVENTS)
        assert within(seed, "segment", "gradual") == takes + 15_000
        assert planted_in(seed, "flips", "recurring").phase == RECURRING_EVENTS


def test_a_recurring_drift_comes_and_goes_by_its_phase() -> None:
    far = Planted("segment", "recurring", 100, phase=50).far(np.arange(300))
    assert far.tolist() == [0.0] * 100 + [1.0] * 50 + [0.0] * 50 + [1.0] * 50 + [0.0] * 50


def test_each_drift_has_a_stream_of_its_own() -> None:
    found = outcomes(1, 901, Rules())
    assert len({(one.planted.kind, one.planted.course) for one in found}) == len(found) == 12
    assert len({one.planted.at for one in found if one.planted.kind != "segment"}) == 7
