"""
Streams of known truth, and native learners that contend on them: champion and challengers.

Of every event the log-odds are the effects of ``a`` and ``b``, of the pair, and in some streams of a spell
that lasts thousands of events; ``noise0``, ``noise1`` … say nothing. Learners differ in their features.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import orjson

from stream_ml._native import Learner, Plan
from stream_ml.features import compile_model
from stream_ml.retraining.blocks import Blocks, Sums
from stream_ml.retraining.gate import Rule, Verdict, judge

BLOCK = 500
HISTORY = 10_000
COMPARED = 40_000
NOISES = 9
KNOWN = {"a": "a", "b": "b"}
PAIR = {"pair": "cross(a, b)"}


@dataclass(frozen=True)
class World:
    """
    What a stream is made of.

    Attributes:
        pair: standard deviation of the effects of a pair.
        bias: log-odds without any effect.
        spell: standard deviation of a log-odds that all events share for `spell_events`, more or less.
        changes_every: events after which the effects of a and b are others.
    """

    seed: int
    pair: float = 0.0
    bias: float = -1.0
    spell: float = 0.0
    spell_events: int = 2_000
    changes_every: int | None = None

    def records(self, events: int = HISTORY + COMPARED) -> list[bytes]:
        """Return the events, one a record."""
        random = np.random.default_rng(self.seed)
        a, b = random.integers(0, 12, events), random.integers(0, 12, events)
        odds = self.bias + self._effects(random, a, b, events) + random.normal(0, self.pair, (12, 12))[a, b]
        odds += self._spells(random, events)
        y = random.random(events) < 1 / (1 + np.exp(-odds))
        noises = random.integers(0, 60, (NOISES, events))
        names = ",".join(f'"noise{number}":%d' for number in range(NOISES))
        line = f'{{"y":%d,"a":%d,"b":%d,{names}}}'
        return [line.encode() % each for each in zip(y, a, b, *noises, strict=True)]

    def _effects(self, random: np.random.Generator, a: np.ndarray, b: np.ndarray, events: int) -> np.ndarray:
        period = np.arange(events) // (self.changes_every or events)
        effects = random.normal(0, 0.7, (2, period[-1] + 1, 12))
        return effects[0][period, a] + effects[1][period, b]

    def _spells(self, random: np.random.Generator, events: int) -> np.ndarray:
        steps = events // 100 + 1
        kept = np.exp(-100 / self.spell_events)
        level, levels = random.normal(), []
        for push in random.normal(0, np.sqrt(1 - kept * kept), steps):
            level = kept * level + push
            levels.append(level)
        return self.spell * np.repeat(levels, 100)[:events]


def model(features: Mapping[str, str], block: int = BLOCK, **learner: float) -> str:
    """Return a model file whose evaluations are blocks."""
    lines = ['name = "contested"', 'label = "y"', "[features]"]
    lines += [f'{name} = "{expression}"' for name, expression in features.items()]
    lines += [
        "[learner]",
        f"evaluate_every = {block}",
        *(f"{key} = {value}" for key, value in learner.items()),
    ]
    return "\n".join(lines)


def noisy(number: int, **more: str) -> dict[str, str]:
    """Return features that know a, b and one noise of their own."""
    return {**KNOWN, **more, f"noise{number}": f"noise{number}"}


def evaluations(text: str, records: Sequence[bytes]) -> list[dict[str, float]]:
    """Return what a learner of the model says that it evaluated, from its first event on."""
    learner = Learner(Plan(compile_model(text).plan_bytes), scan_threads=0)
    return [orjson.loads(each) for each in learner.learn([(0, records, [-1] * len(records))]).evaluations]


def contest(
    records: Sequence[bytes], champion: str, challengers: Mapping[str, str], cut: int = HISTORY
) -> Blocks:
    """Let all learn all records; return the blocks after the cut."""
    said = {name: columns(evaluations(text, records), cut) for name, text in challengers.items()}
    own = columns(evaluations(champion, records), cut)
    return Blocks(
        own["examples"],
        own["importance_sum"],
        own["label_sum"],
        _sums(own),
        {name: _sums(of) for name, of in said.items()},
    )


def columns(found: Sequence[Mapping[str, float]], cut: int) -> dict[str, np.ndarray]:
    after = [each for each in found if each["learned_from"] >= cut]
    names = ("examples", "importance_sum", "label_sum", "prediction_sum", "loss_sum")
    return {name: np.array([float(each[name]) for each in after]) for name in names}


def _sums(of: Mapping[str, np.ndarray]) -> Sums:
    return Sums(of["loss_sum"], of["prediction_sum"])


def first_decision(blocks: Blocks, rule: Rule) -> Verdict:
    """Return what the gate says at the first block at which it says anything, or at the last."""
    for end in range(1, len(blocks.examples) + 1):
        verdict = judge(until(blocks, end), rule)
        if verdict.says != "go on":
            break
    return verdict


def until(blocks: Blocks, end: int, begin: int = 0) -> Blocks:
    """Return the blocks ``[begin, end)``."""
    part = slice(begin, end)

    def cut(sums: Sums) -> Sums:
        return Sums(sums.loss[part], sums.predictions[part])

    challengers = {name: cut(sums) for name, sums in blocks.challengers.items()}
    return Blocks(
        blocks.examples[part], blocks.importance[part], blocks.labels[part], cut(blocks.champion), challengers
    )
