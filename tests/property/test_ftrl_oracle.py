"""
FTRL against the paper: McMahan et al. 2013, Algorithm 1, written plainly.

Twice: in float32 with the order of operations that ``optimizer.rs`` states, step by step from the
learner's own rows; and in float64 as the paper prints it, over a whole stream.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import orjson
import pytest
from numpy.typing import NDArray

from stream_ml._native import Learner, Plan
from stream_ml.features import compile_model

MODEL = """
name = "oracle"
label = "label"
importance = "importance"

[features]
often = "often"
sometimes = "sometimes"
rare = "rare"
pair = "cross(often, sometimes)"
large = "number(large)"
small = "number(small)"
words = "words(text)"

[learner]
alpha = {alpha}
beta = {beta}
l1 = {l1}
l2 = {l2}
decay = {decay}
base_rate = {base_rate}
"""
WORDS = ["red", "green", "blue", "cyan"]
F32 = np.float32
Column = NDArray[np.float32]
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Parameters:
    alpha: float
    beta: float
    l1: float
    l2: float
    decay: float
    base_rate: float


PARAMETERS = [
    Parameters(alpha=0.3, beta=0.5, l1=0.7, l2=0.2, decay=1.0, base_rate=0.3),
    Parameters(alpha=0.05, beta=2.0, l1=0.01, l2=1.5, decay=0.99, base_rate=0.6),
    Parameters(alpha=1.1, beta=0.1, l1=3.0, l2=0.03, decay=0.9, base_rate=0.2),
]
EACH = pytest.mark.parametrize("parameters", PARAMETERS, ids=str)


def plan_of(parameters: Parameters) -> Plan:
    return Plan(compile_model(MODEL.format(**vars(parameters))).plan_bytes)


def events(seed: int, count: int) -> list[bytes]:
    """Numbers of both signs, repeated and rare categories, importances from 0.01 to 20."""
    random = np.random.default_rng(seed)
    often, sometimes = random.integers(0, 8, count), random.zipf(1.5, count) % 300
    large, small = random.normal(0, 3, count), random.normal(0, 0.01, count)
    chance = 1 / (1 + np.exp(1.5 - 0.4 * often + 0.3 * large - (sometimes % 5)))
    label = random.random(count) < chance
    importance = np.exp(random.normal(0, 1, count)).clip(0.01, 20)
    return [
        orjson.dumps(
            {
                "label": int(label[at]),
                "importance": float(importance[at]),
                "often": int(often[at]),
                "sometimes": int(sometimes[at]),
                "rare": at // 3,
                "large": float(large[at]),
                "small": float(small[at]) if at % 4 else 0,
                "text": " ".join(WORDS[: at % 5]),
            }
        )
        for at in range(count)
    ]


@dataclass
class Example:
    ids: NDArray[np.uint64]
    x: Column
    label: np.float32
    importance: np.float32


def examples(plan: Plan, records: list[bytes]) -> Iterator[Example]:
    scan = plan.scan(records, [0] * len(records))
    assert scan.events == len(records)
    offsets = np.frombuffer(scan.offsets, np.uint32)
    ids, x = np.frombuffer(scan.ids, np.uint64), np.frombuffer(scan.values, F32)
    label, importance = np.frombuffer(scan.label, F32), np.frombuffer(scan.importance, F32)
    for at in range(scan.events):
        features = slice(offsets[at], offsets[at + 1])
        yield Example(ids[features], x[features], label[at], importance[at])


class Float32:
    """One step in float32, rounded where ``optimizer.rs`` says."""

    def __init__(self, parameters: Parameters) -> None:
        self.beta, self.l1, self.l2 = F32(parameters.beta), F32(parameters.l1), F32(parameters.l2)
        self.inverse_alpha = F32(1) / F32(parameters.alpha)
        self.decay = F32(parameters.decay)
        self.base = F32(np.log(parameters.base_rate / (1 - parameters.base_rate)))

    def weights(self, z: Column, n: Column, l1: F32, l2: F32) -> Column:
        scale = (self.beta + np.sqrt(n)) * self.inverse_alpha + l2
        return np.where(np.abs(z) <= l1, F32(0), -(z - np.copysign(l1, z)) / scale)

    def updated(self, slope: F32, x: Column, w: Column, z: Column, n: Column) -> tuple[Column, Column]:
        g = slope * x
        grown = n * (self.decay * self.decay) + g * g
        sigma = (np.sqrt(grown) - np.sqrt(n) * self.decay) * self.inverse_alpha
        return z * self.decay + (g - sigma * w), grown

    def prediction(self, example: Example, w: Column, bias: Column) -> F32:
        lanes = np.zeros(8, F32)
        for at, product in enumerate(w * example.x):
            lanes[at % 8] += product
        halves = lanes[:4] + lanes[4:]
        dot = (halves[0] + halves[2]) + (halves[1] + halves[3])
        score = (self.base + self.weights(bias[:1], bias[1:], F32(0), F32(0))[0]) + dot
        return F32(1 / (1 + np.exp(-np.float64(score))))


def rows_of(learner: Learner, ids: NDArray[np.uint64]) -> tuple[Column, Column]:
    found = np.frombuffer(learner.lookup(ids.tobytes()), F32).reshape(-1, 4)
    return found[:, 2].copy(), found[:, 3].copy()


def ulps(a: Column, b: Column) -> int:
    """Distance in representable numbers, where the signs agree."""
    line = [
        np.where(np.signbit(v), -np.abs(v).view(np.int32).astype(np.int64), v.view(np.int32)) for v in (a, b)
    ]
    return int(np.abs(line[0] - line[1]).max(initial=0))


@EACH
def test_every_step_equals_algorithm_1_in_float32(
    parameters: Parameters, rounds: Callable[[int, int], int]
) -> None:
    plan, oracle = plan_of(parameters), Float32(parameters)
    learner, records = Learner(plan, scan_threads=0), events(17, rounds(5_000, 200_000))
    bias, crossed, signs = np.zeros(2, F32), 0, set()
    for record, example in zip(records, examples(plan, records), strict=True):
        z, n = rows_of(learner, example.ids)
        w = oracle.weights(z, n, oracle.l1, oracle.l2)
        slope = example.importance * (oracle.prediction(example, w, bias) - example.label)
        expected_z, expected_n = oracle.updated(slope, example.x, w, z, n)
        learner.learn([(0, [record], [0])])
        z, n = rows_of(learner, example.ids)
        assert ulps(z, expected_z) <= 4
        assert ulps(n, expected_n) <= 4
        crossed += int(((np.abs(z) <= oracle.l1) != (w == 0)).sum())
        signs |= set(np.sign(w))
        bias_weight = oracle.weights(bias[:1], bias[1:], F32(0), F32(0))
        one = np.ones(1, F32)
        bias = np.concatenate(oracle.updated(slope, one, bias_weight, bias[:1], bias[1:]))
    assert crossed > 50
    assert signs == {-1, 0, 1}


class Float64:
    """Algorithm 1 as printed, of which old terms decay; the bias is a coordinate without regularisation."""

    def __init__(self, parameters: Parameters, places: int) -> None:
        self.parameters = parameters
        self.z, self.n = np.zeros(places + 1), np.zeros(places + 1)
        self.l1 = np.full(places + 1, np.float64(F32(parameters.l1)))
        self.l2 = np.full(places + 1, np.float64(F32(parameters.l2)))
        self.l1[-1] = self.l2[-1] = 0
        self.base = np.log(parameters.base_rate / (1 - parameters.base_rate))

    def learn(self, at: NDArray[np.int64], x: Floats, label: float, importance: float) -> float:
        """Return p, then learn the example with features *at* (the last is the bias)."""
        alpha, beta = np.float64(F32(self.parameters.alpha)), np.float64(F32(self.parameters.beta))
        z, n, l1 = self.z[at], self.n[at], self.l1[at]
        w = np.where(np.abs(z) <= l1, 0, -(z - np.sign(z) * l1) / ((beta + np.sqrt(n)) / alpha + self.l2[at]))
        p = 1 / (1 + np.exp(-(self.base + w @ x)))
        g = importance * (p - label) * x
        decay = np.float64(F32(self.parameters.decay))
        forgotten = decay**2 * n
        sigma = (np.sqrt(forgotten + g * g) - np.sqrt(forgotten)) / alpha
        self.z[at] = decay * z + (g - sigma * w)
        self.n[at] = forgotten + g * g
        return float(p)


@EACH
def test_a_whole_stream_stays_with_algorithm_1_in_float64(
    parameters: Parameters, rounds: Callable[[int, int], int]
) -> None:
    # Three streams: 210,000 events; each is 200,000 long with --full-counts.
    plan, records = plan_of(parameters), events(23, rounds(70_000, 200_000))
    learner, scanned = Learner(plan, scan_threads=0), list(examples(plan, records))
    place = {id: at for at, id in enumerate(np.unique(np.concatenate([one.ids for one in scanned])).tolist())}
    oracle, said, worst = Float64(parameters, len(place)), 0.0, 0.0
    for record, example in zip(records, scanned, strict=True):
        at = np.array([place[id] for id in example.ids.tolist()] + [len(place)])
        x = np.append(example.x.astype(np.float64), 1.0)
        p = oracle.learn(at, x, float(example.label), float(example.importance))
        learner.learn([(0, [record], [0])])
        total = learner.metrics()["prediction_sum"]
        worst = max(worst, abs((total - said) / float(example.importance) - p))
        said = total
    assert worst <= 1e-4
