"""Evaluations against other people's figures: scikit-learn's ranks and losses, over the same scores."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import orjson
import pytest
from sklearn.metrics import log_loss, roc_auc_score

from stream_ml._native import Learner, Plan
from stream_ml.features import compile_model
from stream_ml.local.figures import Figures

MODEL = """
name = "judged"
label = "y"
importance = "worth"
served = "said"
timestamp = "at"

[features]
a = "a"

[learner]
alpha = 0.05
base_rate = 0.4
evaluate_every = {every}
"""
SUMS = ("importance_sum", "label_sum", "prediction_sum", "loss_sum")
EVENTS = 5_000


@pytest.fixture(scope="module")
def events() -> list[dict[str, Any]]:
    """What was served is good but not perfect; every fourth event does not say what it was."""
    random = np.random.default_rng(3)
    found = []
    for at in range(EVENTS):
        log_odds = float(random.normal(-0.5, 1.5))
        chance = 1 / (1 + math.exp(-log_odds))
        event = {"y": int(random.random() < chance), "a": round(log_odds), "at": 1_772_387_100 + at}
        event["worth"] = float(np.float32(random.uniform(0.1, 3)))
        if at % 4:
            event["said"] = float(np.float32(chance))
        found.append(event)
    return found


def learned(events: list[dict[str, Any]], every: int) -> tuple[Learner, list[dict[str, Any]]]:
    learner = Learner(Plan(compile_model(MODEL.format(every=every)).plan_bytes))
    records = [orjson.dumps(event) for event in events]
    done = learner.learn([(0, records, [-1] * len(records))])
    return learner, [orjson.loads(value) for value in done.evaluations]


def of_served(events: list[dict[str, Any]]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return labels, served probabilities and importances of the events that say."""
    said = [event for event in events if "said" in event]
    columns = [[event[key] for event in said] for key in ("y", "said", "worth")]
    labels, served, worth = (np.array(column, np.float64) for column in columns)
    return labels, served, worth


def test_auc_is_that_of_scikit_learn_within_the_width_of_a_bin(events: list[dict[str, Any]]) -> None:
    learner, _ = learned(events, 1000)
    labels, served, worth = of_served(events)
    expected = roc_auc_score(labels, served, sample_weight=worth)
    assert learner.metrics()["served_auc"] == pytest.approx(expected, abs=2e-3)


def test_log_loss_calibration_and_entropy_are_those_of_scikit_learn(events: list[dict[str, Any]]) -> None:
    figures = learned(events, 1000)[0].metrics()
    labels, served, worth = of_served(events)
    mean = float(np.average(labels, weights=worth))
    expected = log_loss(labels, served, sample_weight=worth)
    entropy = log_loss(labels, np.full(len(labels), mean), sample_weight=worth)
    assert figures["served_log_loss"] == pytest.approx(expected, rel=1e-6)
    assert figures["served_normalized_entropy"] == pytest.approx(expected / entropy, rel=1e-6)
    calibration = np.average(served, weights=worth) / mean
    assert figures["served_calibration"] == pytest.approx(calibration, rel=1e-6)
    assert figures["served_examples"] == len(labels)


def test_closed_evaluations_and_the_open_one_add_up_to_the_totals(events: list[dict[str, Any]]) -> None:
    for prefix in ("", "served_"):
        learner, closed = learned(events, 700)
        figures = learner.metrics()
        assert len(closed) == EVENTS // 700 == figures["evaluations"]
        rest, _ = learned(events[: len(closed) * 700], 10**6)
        parts = [each if not prefix else each["served"] for each in closed]
        for name in SUMS:
            whole = rest.metrics()[prefix + name]
            assert sum(part[name] for part in parts) == pytest.approx(whole, rel=1e-9)
            assert figures[prefix + name] >= whole


def test_an_evaluation_says_which_events_it_covers_and_when_it_closed(events: list[dict[str, Any]]) -> None:
    _, closed = learned(events, 1500)
    spans = [(each["index"], each["learned_from"], each["learned_to"]) for each in closed]
    assert spans == [(0, 0, 1500), (1, 1500, 3000), (2, 3000, 4500)]
    assert [each["watermark_us"] for each in closed] == [
        (1_772_387_100 + number - 1) * 1_000_000 for number in (1500, 3000, 4500)
    ]


def test_the_bins_hold_every_importance_once(events: list[dict[str, Any]]) -> None:
    _, closed = learned(events, 2000)
    for each in closed:
        for tally in (each, each["served"]):
            positives, negatives = np.array(tally["positives"]), np.array(tally["negatives"])
            assert positives.sum() == pytest.approx(tally["label_sum"])
            assert positives.sum() + negatives.sum() == pytest.approx(tally["importance_sum"])


def test_figures_read_from_an_evaluation_are_those_it_states(events: list[dict[str, Any]]) -> None:
    _, closed = learned(events, 2500)
    whole = Figures()
    for each in closed:
        figures = Figures.of_evaluation(each)
        assert figures.auc == pytest.approx(each["auc"], rel=1e-12)
        assert figures.log_loss == pytest.approx(each["log_loss"], rel=1e-12)
        assert figures.calibration == pytest.approx(each["calibration"], rel=1e-12)
        whole += figures
    assert whole.importance_sum == pytest.approx(sum(event["worth"] for event in events))


@pytest.mark.parametrize("cut", [1, 699, 701, 2500])
def test_evaluations_close_at_the_same_events_wherever_the_batches_end(
    events: list[dict[str, Any]], cut: int
) -> None:
    _, whole = learned(events[:3000], 700)
    learner = Learner(Plan(compile_model(MODEL.format(every=700)).plan_bytes))
    found = []
    records = [orjson.dumps(event) for event in events[:3000]]
    for at in range(0, len(records), cut):
        batch = records[at : at + cut]
        found += learner.learn([(0, batch, [-1] * len(batch))]).evaluations
    assert [orjson.loads(value) for value in found] == whole


def test_without_what_was_served_there_is_no_verdict_on_it(events: list[dict[str, Any]]) -> None:
    silent = [{key: value for key, value in event.items() if key != "said"} for event in events[:200]]
    learner, closed = learned(silent, 100)
    assert [each["served"] for each in closed] == [None, None]
    assert learner.metrics()["served_examples"] == 0
    assert math.isnan(learner.metrics()["served_auc"])


@pytest.mark.parametrize(("said", "label", "loss"), [(0.0, 1, 16.118), (1.0, 0, 16.118), (1.0, 1, 0.0)])
def test_a_certain_probability_costs_much_and_not_infinitely_much(
    said: float, label: int, loss: float
) -> None:
    learner, _ = learned([{"y": label, "said": said, "worth": 1, "a": 1, "at": 1_772_387_100}], 10)
    assert learner.metrics()["served_loss_sum"] == pytest.approx(loss, abs=0.05)


def test_of_one_label_alone_there_is_no_auc_and_of_none_no_calibration() -> None:
    events = [{"y": 0, "worth": 2, "a": 1, "at": 1_772_387_100}] * 3
    figures = learned(events, 10)[0].metrics()
    assert math.isnan(figures["auc"])
    assert math.isnan(figures["calibration"])
    assert figures["importance_sum"] == 6
