"""Live curves, and the figures of now."""

from __future__ import annotations

import pytest

from stream_ml.console.live import CURVES, SAMPLES_KEPT, Live, figures, sample
from tests.unit.console.looks import look, seen


def test_a_sample_is_worst_where_there_are_several() -> None:
    predictors = [
        seen(name, 100, "predictor", weights_learned_timestamp_seconds=at)
        for name, at in (("a", 99), ("b", 90))
    ]
    learners = [seen(name, 100, "learner", lag_seconds=lag) for name, lag in (("c", 2), ("d", 7))]
    found = sample("m", look(*predictors, *learners))
    assert found["weights_age_seconds"] == 10
    assert found["lag_seconds"] == 7
    assert found["learned_per_second"] is None
    assert set(found) == set(CURVES)


def test_a_clock_that_is_ahead_makes_no_age_below_zero() -> None:
    ahead = seen("a", 100, "predictor", weights_learned_timestamp_seconds=103)
    assert sample("m", look(ahead))["weights_age_seconds"] == 0


def test_of_another_model_nothing_is_taken() -> None:
    assert set(sample("other", look(seen("a", 1, "learner", lag_seconds=2))).values()) == {None}
    assert set(figures("other", look(seen("a", 1, "learner", learned_total=2, writer=1))).values()) == {None}


def test_figures_add_up_learners_and_take_the_worst_of_states() -> None:
    silent = [({"model": "m", "what": "no_labels"}, 1.0), ({"model": "m", "what": "no_events"}, 0.0)]
    writer = seen("a", 1, "learner", learned_total=10, writer=1, stopped=0, silence=silent)
    standby = seen("b", 1, "learner", learned_total=5, writer=0, stopped=1)
    found = figures("m", look(writer, standby, seen("c", 1, "predictor", ready=0, stale=1)))
    assert (found["learned"], found["writers"], found["stopped"]) == (15, 1, 1)
    assert (found["no_labels"], found["no_events"]) == (1, 0)
    assert (found["predictors_ready"], found["stale"]) == (0, 1)
    assert found["breaker_open"] is None


def test_the_curves_forget_what_is_long_ago() -> None:
    live = Live()
    for at in range(SAMPLES_KEPT + 10):
        live.take(at, dict.fromkeys(CURVES, float(at)))
    columns = live.columns()
    assert columns["at"] == pytest.approx(range(10, SAMPLES_KEPT + 10))
    assert columns["lag_seconds"] == columns["at"]
