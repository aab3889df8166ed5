"""
The other learners: the same events, the same algorithm and alpha, each driven the way that is fastest for it.

Each function learns one file once and times only that: from the first byte read (page cache) to the last
weight updated, imports left out. FTRL-proximal with alpha 0.1, beta 1, no l1, no l2; scikit-learn has none
and takes its SGD.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import orjson

from loadtest.isolation import Watch

ALPHA = 0.1
BETA = 1.0
VW_BITS = 24
# Each call of partial_fit copies all weights: more bits only make it slower.
SKLEARN_BITS = 20
SKLEARN_BATCH = 1_000


@dataclass(frozen=True, slots=True)
class Outcome:
    """
    What one contestant did in one run.

    Attributes:
        cpu_seconds: of all threads; hardly disturbed by what else runs on the machine.
        logloss: progressive (each event scored before it was learned); None where the peer does not tell.
    """

    events: int
    seconds: float
    cpu_seconds: float
    logloss: float | None = None

    @property
    def events_per_second(self) -> float:
        """The figure that contestants are compared by."""
        return self.events / self.seconds


def vowpal_wabbit(path: Path, options: str) -> Outcome:
    """Let VW learn the whole file by itself; its parser is a second thread, held on the same core."""
    from vowpalwabbit import Workspace

    watch = Watch()
    workspace = Workspace(
        f"-d {path} {options} --quiet -b {VW_BITS} --loss_function logistic "
        f"--ftrl --ftrl_alpha {ALPHA} --ftrl_beta {BETA} --l1 0 --l2 0"
    )
    seconds = watch.read()
    events = int(workspace.get_weighted_examples())
    logloss = workspace.get_sum_loss() / events
    workspace.finish()
    return Outcome(events, *seconds, logloss)


def river(path: Path, events: int) -> Outcome:
    """Let River's FTRL learn the first *events* one by one, as dicts."""
    from river.linear_model import LogisticRegression
    from river.optim import FTRLProximal

    model = LogisticRegression(optimizer=FTRLProximal(alpha=ALPHA, beta=BETA, l1=0.0, l2=0.0))
    watch = Watch()
    with path.open("rb") as file:
        for line in islice(file, events):
            event = orjson.loads(line)
            label = event.pop("_label") > 0
            features = _one_hot(event)
            model.predict_proba_one(features)  # type: ignore[no-untyped-call]
            model.learn_one(features, label)
    return Outcome(events, *watch.read())


def scikit_learn(path: Path, events: int) -> Outcome:
    """Let ``SGDClassifier.partial_fit`` learn the first *events* in hashed batches."""
    from sklearn.feature_extraction import FeatureHasher
    from sklearn.linear_model import SGDClassifier

    hasher = FeatureHasher(n_features=2**SKLEARN_BITS, alternate_sign=False)
    model = SGDClassifier(loss="log_loss", penalty=None, learning_rate="constant", eta0=ALPHA)
    watch = Watch()
    with path.open("rb") as file:
        for labels, rows in _batches(islice(file, events)):
            model.partial_fit(hasher.transform(rows), labels, classes=[0, 1])
    return Outcome(events, *watch.read())


def _batches(lines: Iterator[bytes]) -> Iterator[tuple[list[int], list[dict[str, float]]]]:
    while batch := [orjson.loads(line) for line in islice(lines, SKLEARN_BATCH)]:
        yield [int(event.pop("_label") > 0) for event in batch], [_one_hot(event) for event in batch]


def _one_hot(event: dict[str, Any]) -> dict[str, float]:
    return {
        name + value if isinstance(value, str) else name: 1.0 if isinstance(value, str) else value
        for name, value in event.items()
    }
