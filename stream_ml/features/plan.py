"""
From a model file to the plan that the native core runs.

The plan is canonical JSON; its hash is the fingerprint that every snapshot, delta and score carries.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import orjson
import xxhash

from stream_ml.features.model_file import KINDS, ModelFile, parse_model_file, read_model_file
from stream_ml.features.settings import EXPRESSION_KEYS, LEARNER
from stream_ml.features.signatures import Type
from stream_ml.features.typed import Expression, Field, Operation

FORMAT = 1
# Version of the core's own exp, log and friends (``_native.MATH_VERSION``): another one alters scores.
MATH = 1
# Of [learner], but of the whole plan.
PLAN_SETTINGS = ("learn_after", "duplicate_window", "max_skew_seconds", "evaluate_every")
# Of [learner], but of the table. A plan where none is set leaves them out: it keeps its fingerprint.
TABLE_SETTINGS = ("max_rows", "admission", "expire_after_seconds", "expire_below")
_UNSET_TABLE = {setting.name: setting.default for setting in LEARNER if setting.name in TABLE_SETTINGS}


@dataclass(frozen=True, slots=True)
class Slot:
    """
    A named feature of the model file.

    Attributes:
        kind: category, number or set.
        seed: of its feature ids, 16 hex digits; changes with the name and the expression alone.
        expression: its canonical text.
    """

    name: str
    kind: str
    seed: str
    expression: str


@dataclass(frozen=True, slots=True)
class CompiledModel:
    """
    A model file and the plan it compiles to.

    Attributes:
        plan_bytes: what ``_native.Plan`` takes.
        fingerprint: xxh3-128 of the plan's bytes, 32 hex digits.
    """

    model_file: ModelFile
    plan_bytes: bytes
    fingerprint: str
    slots: tuple[Slot, ...]


def compile_model(source: Path | str) -> CompiledModel:
    """
    Return the compiled model.

    Args:
        source: a path; or a text, the TOML itself (a text without a line break is a path too).

    Raises:
        ConfigError: with every mistake found.
    """
    if isinstance(source, Path) or "\n" not in source:
        return _compiled(read_model_file(Path(source)))
    return _compiled(parse_model_file(source))


def _compiled(model_file: ModelFile) -> CompiledModel:
    numbers: dict[Field, int] = {}
    for expression in model_file.expressions():
        for field in expression.fields():
            numbers.setdefault(field, len(numbers))
    slots = tuple(slot_of(name, expression) for name, expression in model_file.features.items())
    plan = orjson.dumps(_plan(model_file, slots, numbers), option=orjson.OPT_SORT_KEYS)
    return CompiledModel(model_file, plan, xxhash.xxh3_128_hexdigest(plan), slots)


def slot_of(name: str, expression: Expression) -> Slot:
    """Return the slot; equal for equal name and canonical text, whatever stands around it in the file."""
    seed = xxhash.xxh3_64_hexdigest(f"{name}\x1f{expression.text}".encode())
    return Slot(name, KINDS[expression.type], seed, expression.text)


def _plan(model_file: ModelFile, slots: tuple[Slot, ...], numbers: Mapping[Field, int]) -> dict[str, Any]:
    learner = asdict(model_file.learner)
    table = {name: learner.pop(name) for name in TABLE_SETTINGS}
    if learner["decay"] == 1.0:
        del learner["decay"]  # so that plans from before it keep their fingerprint
    features = zip(slots, model_file.features.values(), strict=True)
    return {
        "format": FORMAT,
        "math": MATH,
        "name": model_file.name,
        "fields": [list(field.path) for field in numbers],
        **_roles(model_file, numbers),
        "label": _numbered(_label(model_file.label), numbers),
        "unlabelled": model_file.unlabelled,
        **{name: learner.pop(name) for name in PLAN_SETTINGS},
        "learner": learner,
        "slots": [
            {"name": slot.name, "kind": slot.kind, "seed": slot.seed, "expr": _numbered(e.operation, numbers)}
            for slot, e in features
        ],
        **({} if table == _UNSET_TABLE else {"table": table}),
    }


def _roles(model_file: ModelFile, numbers: Mapping[Field, int]) -> dict[str, Any]:
    given = {key: getattr(model_file, key.name) for key in EXPRESSION_KEYS}
    return {
        key.name: _optional(expression, numbers)
        for key, expression in given.items()
        if key.planned or expression is not None
    }


def _label(expression: Expression) -> Operation:
    """A bool label counts 1 and 0."""
    if expression.type is Type.BOOL:
        return ("if", expression.operation, ("const", 1), ("const", 0))
    return expression.operation


def _optional(expression: Expression | None, numbers: Mapping[Field, int]) -> list[Any] | None:
    return None if expression is None else _numbered(expression.operation, numbers)


def _numbered(operation: Operation, numbers: Mapping[Field, int]) -> list[Any]:
    """Return the operation as JSON, its fields by their numbers."""
    json: list[Any] = []
    for part in operation:
        if isinstance(part, Field):
            json.append(numbers[part])
        else:
            json.append(_numbered(part, numbers) if isinstance(part, tuple) else part)
    return json
