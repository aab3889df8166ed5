"""What differs between two model files: slot by slot, and everything else that alters learning or a score."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import NamedTuple

from stream_ml.features.model_file import ModelFile
from stream_ml.features.plan import CompiledModel, Slot
from stream_ml.features.settings import EXPRESSION_KEYS

# Of [learner]: under another one a row, or what it predicts, means something else.
_MEANING = ("loss", "optimizer")


class Difference(NamedTuple):
    """
    One thing that is not as it was.

    Attributes:
        kind: slot, key (at the top of the file) or setting (of ``[learner]``).
        before, after: canonical expression or value; None where there is none.
    """

    kind: str
    name: str
    before: str | None
    after: str | None

    @property
    def change(self) -> str:
        """Added, removed or changed."""
        return "added" if self.before is None else "removed" if self.after is None else "changed"

    def __str__(self) -> str:
        both = " → ".join(side for side in (self.before, self.after) if side is not None)
        return f"{self.kind} {self.name} {self.change}: {both}"


@dataclass(frozen=True, slots=True)
class Differences:
    """
    Between an old and a new model file.

    Attributes:
        unchanged: names of the slots whose feature ids are the same, so that their rows go on.
        slots, keys, settings: what differs; of a slot only the name and the expression count.
        obstacle: why the new one cannot go on with the rows of the old one; "" if it can.
    """

    unchanged: tuple[str, ...]
    slots: tuple[Difference, ...]
    keys: tuple[Difference, ...]
    settings: tuple[Difference, ...]
    obstacle: str

    def __iter__(self) -> Iterator[Difference]:
        """Yield all that differs, slots first."""
        yield from (*self.slots, *self.keys, *self.settings)

    def has(self, name: str) -> bool:
        """Whether the key or setting *name* differs."""
        return any(difference.name == name for difference in (*self.keys, *self.settings))


def differences(old: CompiledModel, new: CompiledModel) -> Differences:
    """Return what differs between *old* and *new*."""
    before, after = ({slot.name: slot for slot in model.slots} for model in (old, new))
    return Differences(
        unchanged=tuple(name for name, slot in after.items() if _same(before.get(name), slot)),
        slots=_different("slot", _texts(before), _texts(after)),
        keys=_different("key", _keys(old.model_file), _keys(new.model_file)),
        settings=_different("setting", _settings(old.model_file), _settings(new.model_file)),
        obstacle=_obstacle(old.model_file, new.model_file),
    )


def _same(before: Slot | None, after: Slot) -> bool:
    return before is not None and before.seed == after.seed


def _texts(slots: dict[str, Slot]) -> dict[str, str]:
    return {name: slot.expression for name, slot in slots.items()}


def _keys(model: ModelFile) -> dict[str, str]:
    given = {key.name: getattr(model, key.name) for key in EXPRESSION_KEYS}
    texts = {name: expression.text for name, expression in given.items() if expression is not None}
    return {"name": model.name, **texts, "unlabelled": model.unlabelled}


def _settings(model: ModelFile) -> dict[str, str]:
    return {name: str(value) for name, value in asdict(model.learner).items() if value is not None}


def _different(kind: str, before: dict[str, str], after: dict[str, str]) -> tuple[Difference, ...]:
    every = (Difference(kind, name, before.get(name), after.get(name)) for name in before | after)
    return tuple(each for each in every if each.before != each.after)


def _obstacle(old: ModelFile, new: ModelFile) -> str:
    if old.name != new.name:
        return f"the name is {new.name}, it was {old.name}: that is another model"
    for name in _MEANING:
        before, after = getattr(old.learner, name), getattr(new.learner, name)
        if before != after:
            return f"the {name} is {after}, it was {before}: rows of one mean nothing to the other"
    return ""
