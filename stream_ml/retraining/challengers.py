"""Challengers: what differs from the champion, and the native core's word for it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from stream_ml.errors import ConfigError
from stream_ml.features import CompiledModel
from stream_ml.retraining.jobs import CHAMPION, Setting

# Of them the native core's own limits are the type's; a model that learns otherwise has no challengers.
NativeSetting = tuple[float, float, float, float, float, Sequence[int] | None, int]


@dataclass(frozen=True, slots=True)
class Challenger:
    """
    One model that learns the same events as the others.

    Attributes:
        decay: what of a row is kept each time its feature is learned.
        slots: the features it has; None has all.
        warm: begins with rows and score of the base, where there is one.
        window: how many of the training part's last events it learns; None learns all.
    """

    name: str
    alpha: float
    beta: float
    l1: float
    l2: float
    decay: float
    slots: tuple[str, ...] | None
    warm: bool
    window: int | None

    def native(self, model: CompiledModel, training_events: int) -> NativeSetting:
        """Return what `_native.Challengers` takes."""
        names = [slot.name for slot in model.slots]
        slots = None if self.slots is None else [names.index(name) for name in self.slots]
        first = 0 if self.window is None else max(0, training_events - self.window)
        return self.alpha, self.beta, self.l1, self.l2, self.decay, slots, first


def champion_of(model: CompiledModel) -> Challenger:
    """Return the one that keeps learning as the model file says."""
    return challenger_of(Setting(name=CHAMPION), model)


def challenger_of(setting: Setting, model: CompiledModel) -> Challenger:
    """
    Return what *setting* makes of *model*.

    Raises:
        ConfigError: a slot that the model does not have.
    """
    known = {slot.name for slot in model.slots}
    if unknown := set(setting.slots or ()) - known:
        raise ConfigError(
            f"challenger {setting.name}: {model.model_file.name} has no slot {', '.join(sorted(unknown))}"
        )
    learner = model.model_file.learner

    def given(value: float | None, default: float) -> float:
        return default if value is None else value

    return Challenger(
        name=setting.name,
        alpha=given(setting.alpha, learner.alpha),
        beta=given(setting.beta, learner.beta),
        l1=given(setting.l1, learner.l1),
        l2=given(setting.l2, learner.l2),
        decay=given(setting.decay, learner.decay),
        slots=setting.slots,
        warm=setting.warm,
        window=setting.window,
    )
