"""What a learner that shares counts: events at once, sums as evaluations close."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest

from stream_ml._native import Learned, Learner, Plan
from stream_ml.features import compile_model
from stream_ml.runtime.metrics import REGISTRY
from stream_ml.sharing import counting
from stream_ml.sharing.owning import Pushed

MODEL = """
name = "counted"
label = "label"
served = "served"
unlabelled = "skip"
[features]
user = "user"
[learner]
evaluate_every = 2
"""
EVENTS = [
    b'{"label": 1, "served": 0.8, "user": "a"}',
    b'{"label": 0, "user": "b"}',
    b'{"user": "unlabelled"}',
    b"no event",
    b'{"label": 1, "user": "a"}',
]


def learned(events: list[bytes]) -> Learned:
    learner = Learner(Plan(compile_model(MODEL).plan_bytes))
    return learner.learn([(0, events, [-1] * len(events))])


def value_of(name: str, model: str, **labels: str) -> float | None:
    return REGISTRY.get_sample_value(f"stream_ml_learner_{name}", {"model": model, **labels})


def pushed(done: Learned) -> Pushed:
    return cast(Pushed, SimpleNamespace(learned=done))


def test_events_count_at_once_and_sums_when_their_evaluation_closes() -> None:
    for _ in range(2):
        counting.count("counted", pushed(learned(EVENTS)))
    shown: dict[str, Any] = {
        name: value_of(f"{name}_total", "counted")
        for name in ("learned", "skipped", "dead_letters", "evaluations", "importance", "labels")
    }
    # The fifth event is of an evaluation that is open yet.
    assert shown == {
        "learned": 6,
        "skipped": 2,
        "dead_letters": 2,
        "evaluations": 2,
        "importance": 4,
        "labels": 2,
    }
    assert value_of("pushed_events_total", "counted") == 6
    assert value_of("refusals_total", "counted", reason="invalid_json") == 2
    assert (value_of("loss_total", "counted") or 0) > 0
    assert value_of("served_examples_total", "counted") == 2
    assert value_of("served_predictions_total", "counted") == pytest.approx(1.6)


def test_what_was_not_served_is_not_summed_as_served() -> None:
    counting.count("unserved", pushed(learned([b'{"label": 1, "user": "a"}'] * 2)))
    assert value_of("importance_total", "unserved") == 2
    assert value_of("served_importance_total", "unserved") is None


def test_all_is_shown_before_anything_is_counted() -> None:
    counting.show("shown")
    assert value_of("learned_total", "shown") == value_of("loss_total", "shown") == 0
