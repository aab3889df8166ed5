"""
Every loss with every optimizer over a whole stream, against a plain float64 reference.

FTRL: McMahan et al. 2013, Algorithm 1. AdaGrad: Duchi et al. 2011, section 5, composite mirror descent. SGD:
the same with a constant rate. The bias is a coordinate that is always 1 and is not regularised.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import orjson
import pytest

from stream_ml._native import Learner, Plan
from stream_ml.features import compile_model

MODEL = """
name = "reference"
label = "y"
importance = "importance"

[features]
shop = "shop"
article = "article"
size = "number(size)"

[learner]
loss = "{loss}"
optimizer = "{optimizer}"
alpha = {alpha}
beta = {beta}
l1 = {l1}
l2 = {l2}
base_rate = {base_rate}
"""
LOSSES = ("logistic", "squared", "poisson")
OPTIMIZERS = ("ftrl", "adagrad", "sgd")
BASE_RATES = {"logistic": 0.3, "squared": -0.4, "poisson": 1.5}
# sgd has a constant rate, so it takes a small one.
ALPHAS = {"ftrl": 0.15, "adagrad": 0.2, "sgd": 0.02}
EVERY_PAIR = pytest.mark.parametrize(
    ("loss", "optimizer"), [(loss, optimizer) for loss in LOSSES for optimizer in OPTIMIZERS]
)
EVENTS = 3_000


def events(loss: str, count: int = EVENTS) -> list[dict[str, Any]]:
    """Labels that follow the features: some of both signs, some repeated, importances of all sizes."""
    random = np.random.default_rng(5)
    found = []
    for _ in range(count):
        shop, article = int(random.integers(6)), int(random.integers(60))
        size = float(np.float32(random.normal(0, 1)))
        score = 0.5 * shop - 1.5 + (article % 7 - 3) / 4 + 0.4 * size
        label = {
            "logistic": float(random.random() < 1 / (1 + math.exp(-score))),
            "squared": float(np.float32(score + random.normal(0, 0.3))),
            "poisson": float(random.poisson(math.exp(min(score, 2)))),
        }[loss]
        importance = float(np.float32(math.exp(random.normal(-1, 0.5))))
        found.append({"y": label, "importance": importance, "shop": shop, "article": article, "size": size})
    return found


def link(loss: str, mean: float) -> float:
    """Return the score whose prediction is *mean*."""
    return {
        "logistic": lambda: math.log(mean / (1 - mean)),
        "squared": lambda: mean,
        "poisson": lambda: math.log(mean),
    }[loss]()


def prediction(loss: str, score: float) -> float:
    return {
        "logistic": lambda: 1 / (1 + math.exp(-score)),
        "squared": lambda: score,
        "poisson": lambda: math.exp(score),
    }[loss]()


def cost(loss: str, score: float, label: float) -> float:
    return {
        "logistic": lambda: math.log1p(math.exp(score)) - label * score,
        "squared": lambda: (score - label) ** 2 / 2,
        "poisson": lambda: math.exp(score) - label * score,
    }[loss]()


@dataclass
class Reference:
    """One coordinate a feature, by name, in float64."""

    loss: str
    optimizer: str
    alpha: float
    beta: float
    l1: float
    l2: float
    rows: dict[str, tuple[float, float]] = field(default_factory=dict)

    def weight(self, name: str) -> float:
        z, n = self.rows.get(name, (0.0, 0.0))
        if self.optimizer != "ftrl":
            return z
        l1, l2 = self._regularisation(name)
        if abs(z) <= l1:
            return 0.0
        return -(z - math.copysign(l1, z)) / ((self.beta + math.sqrt(n)) / self.alpha + l2)

    def learn(self, name: str, g: float) -> None:
        """Move one coordinate by its gradient."""
        (z, n), w = self.rows.get(name, (0.0, 0.0)), self.weight(name)
        l1, l2 = self._regularisation(name)
        grown = n + g * g
        if self.optimizer == "ftrl":
            sigma = (math.sqrt(grown) - math.sqrt(n)) / self.alpha
            self.rows[name] = (z + g - sigma * w, grown)
            return
        rate = self.alpha if self.optimizer == "sgd" else self.alpha / (self.beta + math.sqrt(grown))
        v = z - rate * g
        shrunk = math.copysign(max(abs(v) - rate * l1, 0.0), v)
        self.rows[name] = (shrunk / (1 + rate * l2), grown)

    def score_and_learn(self, base: float, event: dict[str, Any]) -> float:
        """Return the score, then learn."""
        features = {
            "bias": 1.0,
            f"shop {event['shop']}": 1.0,
            f"article {event['article']}": 1.0,
            "size": event["size"],
        }
        score = base + sum(self.weight(name) * x for name, x in features.items())
        slope = event["importance"] * (prediction(self.loss, score) - event["y"])
        for name, x in features.items():
            self.learn(name, slope * x)
        return score

    def _regularisation(self, name: str) -> tuple[float, float]:
        return (0.0, 0.0) if name == "bias" else (self.l1, self.l2)


def learned(loss: str, optimizer: str, l1: float, l2: float) -> tuple[Learner, Plan, Reference, float]:
    """Return an empty learner and its reference; their parameters are float32."""
    parameters = {
        name: float(np.float32(value))
        for name, value in {"alpha": ALPHAS[optimizer], "beta": 0.7, "l1": l1, "l2": l2}.items()
    }
    base_rate = BASE_RATES[loss]
    text = MODEL.format(loss=loss, optimizer=optimizer, base_rate=base_rate, **parameters)
    plan = Plan(compile_model(text).plan_bytes)
    return Learner(plan), plan, Reference(loss, optimizer, **parameters), link(loss, base_rate)


def weights_by_name(learner: Learner, plan: Plan, event: dict[str, Any], optimizer: str) -> dict[str, float]:
    """Return z (for ftrl) or w (else) of the features of *event*."""
    found = {}
    for slot, value, id, _ in plan.explain(orjson.dumps(event))["features"]:
        name = "size" if slot == "size" else f"{slot} {value}"
        row = learner.lookup(int(id).to_bytes(8, "little"))
        found[name] = float(np.frombuffer(row[8:12], np.float32)[0])
    return found


@EVERY_PAIR
@pytest.mark.parametrize(("l1", "l2"), [(0.0, 0.0), (0.05, 0.3)])
def test_a_stream_is_predicted_and_learned_as_the_formulas_say(
    loss: str, optimizer: str, l1: float, l2: float
) -> None:
    learner, plan, reference, base = learned(loss, optimizer, l1, l2)
    stream = events(loss)
    predictions = losses = 0.0
    for event in stream:
        score = reference.score_and_learn(base, event)
        predictions += event["importance"] * prediction(loss, score)
        losses += event["importance"] * cost(loss, score, event["y"])
    learner.learn([(0, [orjson.dumps(event) for event in stream], [0] * len(stream))])
    figures = learner.metrics()
    assert figures["learned"] == len(stream)
    assert figures["prediction_sum"] == pytest.approx(predictions, rel=1e-4)
    assert figures["loss_sum"] == pytest.approx(losses, rel=1e-4)
    for event in stream[-50:]:
        for name, z in weights_by_name(learner, plan, event, optimizer).items():
            assert z == pytest.approx(reference.rows[name][0], rel=2e-3, abs=2e-4), name


@EVERY_PAIR
def test_learning_is_better_than_the_base_rate_alone(loss: str, optimizer: str) -> None:
    learner, _, _, base = learned(loss, optimizer, 0.0, 0.0)
    stream = events(loss)
    learner.learn([(0, [orjson.dumps(event) for event in stream], [0] * len(stream))])
    alone = sum(event["importance"] * cost(loss, base, event["y"]) for event in stream)
    assert learner.metrics()["loss_sum"] < alone - 10


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_l1_keeps_weights_at_exactly_zero(optimizer: str) -> None:
    learner, plan, reference, base = learned("logistic", optimizer, 0.6, 0.0)
    stream = events("logistic", 800)
    for event in stream:
        reference.score_and_learn(base, event)
    learner.learn([(0, [orjson.dumps(event) for event in stream], [0] * len(stream))])
    zeros = {name for name in reference.rows if reference.weight(name) == 0.0}
    assert zeros - {"bias"}
    if optimizer != "ftrl":
        shown = {
            name: z
            for event in stream
            for name, z in weights_by_name(learner, plan, event, optimizer).items()
        }
        assert {name for name, z in shown.items() if z == 0.0} == zeros & set(shown)


def test_a_poisson_rate_stays_finite_whatever_the_label() -> None:
    learner, _, _, _ = learned("poisson", "sgd", 0.0, 0.0)
    event = {"y": 1e6, "importance": 1000.0, "shop": 1, "article": 1, "size": 100.0}
    learner.learn([(0, [orjson.dumps(event)] * 50, [0] * 50)])
    figures = learner.metrics()
    assert figures["learned"] == 50
    assert math.isfinite(figures["loss_sum"])
    assert math.isfinite(figures["prediction_sum"])
