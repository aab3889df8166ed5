"""What a learner that shares its weights counts: by process, and sums as evaluations close."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson

from stream_ml._native import Learned
from stream_ml.runtime import metrics
from stream_ml.runtime.metric_kinds import KeptTotal
from stream_ml.sharing.owning import Pushed
from stream_ml.sharing.showing import show_no_trouble

_COUNTS = {
    "learned": metrics.LEARNER_LEARNED,
    "duplicates": metrics.LEARNER_DUPLICATES,
    "skipped": metrics.LEARNER_SKIPPED,
    "empty": metrics.LEARNER_EMPTY,
}
_SUMS = {
    "loss_sum": metrics.LEARNER_LOSS,
    "label_sum": metrics.LEARNER_LABELS,
    "prediction_sum": metrics.LEARNER_PREDICTIONS,
    "importance_sum": metrics.LEARNER_IMPORTANCE,
}
_SERVED_SUMS = {
    "examples": metrics.LEARNER_SERVED_EXAMPLES,
    "loss_sum": metrics.LEARNER_SERVED_LOSS,
    "label_sum": metrics.LEARNER_SERVED_LABELS,
    "prediction_sum": metrics.LEARNER_SERVED_PREDICTIONS,
    "importance_sum": metrics.LEARNER_SERVED_IMPORTANCE,
}


def count(model: str, pushed: Pushed) -> None:
    """Take notice of a batch that all shards have, and that no other process has counted."""
    learned = pushed.learned
    metrics.LEARNER_PUSHED_EVENTS.labels(model).inc(learned.learned)
    _count_events(model, learned)
    metrics.LEARNER_EVALUATIONS.labels(model).inc(len(learned.evaluations))
    for each in learned.evaluations:
        evaluation = orjson.loads(each)
        _add(_SUMS, model, evaluation)
        if evaluation.get("served"):
            _add(_SERVED_SUMS, model, evaluation["served"])


def _count_events(model: str, learned: Learned) -> None:
    for name, total in _COUNTS.items():
        total.add(getattr(learned, name), model)
    metrics.LEARNER_DEAD_LETTERS.add(len(learned.refused), model)
    for refusal in learned.refused:
        metrics.LEARNER_REFUSALS.labels(model, refusal.reason).inc()


def _add(sums: Mapping[str, KeptTotal], model: str, said: Mapping[str, Any]) -> None:
    for name, total in sums.items():
        total.add(said[name], model)


def show(model: str) -> None:
    """Show all of it at 0: what first appears with its first count hides that one from every rate."""
    for total in (
        *_COUNTS.values(),
        metrics.LEARNER_DEAD_LETTERS,
        *_SUMS.values(),
        *_SERVED_SUMS.values(),
    ):
        total.add(0, model)
    show_no_trouble(model)
