"""Grids: the settings that a job tries where nobody says which."""

from __future__ import annotations

from collections.abc import Iterator

from stream_ml.features import CompiledModel
from stream_ml.retraining.jobs import Setting

# Of the champion's own step size.
_RATES = (0.3, 0.5, 2.0, 4.0)
# What 1,000 and 100 occurrences of a feature make old.
_DECAYS = (0.999, 0.99)
_L1S = (0.1, 1.0)
_L2S = (0.3, 3.0)
# Of the training part's events.
_WINDOWS = (0.5, 0.2)
_LARGEST_ALPHA = 100.0


def default_grid(model: CompiledModel, training_events: int) -> tuple[Setting, ...]:
    """
    Return about a dozen settings around the champion's, one thing changed in each.

    Feature subsets are left to who knows the features: a grid of them all would be exponential.
    """
    return tuple(_around(model, training_events))


def _around(model: CompiledModel, training_events: int) -> Iterator[Setting]:
    learner = model.model_file.learner
    for rate in _RATES:
        alpha = learner.alpha * rate
        if alpha <= _LARGEST_ALPHA:
            yield Setting(name=f"alpha={alpha:g}", alpha=alpha)
    for l1 in (value for value in _L1S if value != learner.l1):
        yield Setting(name=f"l1={l1:g}", l1=l1)
    for l2 in (value for value in _L2S if value != learner.l2):
        yield Setting(name=f"l2={l2:g}", l2=l2)
    if learner.optimizer == "ftrl":
        for decay in (value for value in _DECAYS if value != learner.decay):
            yield Setting(name=f"decay={decay:g}", decay=decay)
    for share in _WINDOWS:
        window = int(training_events * share)
        if window:
            yield Setting(name=f"window={window}", window=window, warm=False)
