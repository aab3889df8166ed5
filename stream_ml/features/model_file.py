"""The model file: one TOML file, read and checked as a whole."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from stream_ml.errors import ConfigError
from stream_ml.features.expressions import parse_expression
from stream_ml.features.problems import Problems, Span, did_you_mean
from stream_ml.features.settings import BASE_RATES, EXPRESSION_KEYS, LEARNER, UNLABELLED, Setting
from stream_ml.features.signatures import Asked, Type
from stream_ml.features.syntax import ExpressionError
from stream_ml.features.toml_positions import Position, positions
from stream_ml.features.typed import Expression

# The file travels inside every snapshot; 65,535 slots of sixty characters fit.
MOST_BYTES = 4 * 2**20
# A slot's number is 16 bits wide in the native plan, a field's too.
MOST_SLOTS = 65_535
MOST_FIELDS = 65_535

# Kafka allows these characters in a topic's name, and 249 of them; ours get endings such as ".dead-letters".
MODEL_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
SLOT_NAME = re.compile(r"[\w.-]{1,100}")
# What a score's contributions call the part that belongs to no feature.
RESERVED_SLOT = "bias"

TOP_KEYS = ("name", *(key.name for key in EXPRESSION_KEYS), UNLABELLED.name, "features", "learner")
# Keys that mean nothing without another one.
NEEDED = {
    "label_time": "timestamp",
    "duplicate_window": "event_id",
    "max_skew_seconds": "timestamp",
    "expire_after_seconds": "timestamp",
    "expire_below": "expire_after_seconds",
}
LEARNER_KEYS = tuple(setting.name for setting in LEARNER)
KINDS = {
    Type.TEXT: "category",
    Type.WHOLE: "category",
    Type.BOOL: "category",
    Type.NUMBER: "number",
    Type.SET: "set",
}


@dataclass(frozen=True, slots=True)
class Learner:
    """How a model learns; ``settings.py`` says what each means."""

    loss: str
    optimizer: str
    alpha: float
    beta: float
    l1: float
    l2: float
    decay: float
    base_rate: float | None
    base_rate_events: int
    learn_after: str
    duplicate_window: int
    max_skew_seconds: float
    evaluate_every: int
    max_rows: int
    admission: float
    expire_after_seconds: float | None
    expire_below: float


@dataclass(frozen=True, slots=True)
class ModelFile:
    """
    A model file that passed every check.

    Attributes:
        features: the slots, in the order of the file.
        text: the file as written; it travels inside the snapshots.
    """

    name: str
    label: Expression
    event_id: Expression | None
    timestamp: Expression | None
    importance: Expression | None
    served: Expression | None
    label_time: Expression | None
    segment: Expression | None
    unlabelled: str
    features: Mapping[str, Expression]
    learner: Learner
    text: str

    def expressions(self) -> Iterator[Expression]:
        """Yield every expression, in the order in which the plan numbers the fields."""
        given = (getattr(self, key.name) for key in EXPRESSION_KEYS)
        yield from (expression for expression in given if expression is not None)
        yield from self.features.values()


def read_model_file(path: Path) -> ModelFile:
    """
    Return the model file at *path*.

    Raises:
        ConfigError: it cannot be read; a ModelFileError names every mistake in it.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}") from error
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: not UTF-8 at byte {error.start}") from error
    return parse_model_file(text, str(path))


def parse_model_file(text: str, file: str = "model.toml") -> ModelFile:
    """
    Return the model file that *text* says.

    Args:
        text: the TOML.
        file: its name, for the errors.

    Raises:
        ModelFileError: names every mistake found.
    """
    if len(text.encode("utf-8", errors="replace")) > MOST_BYTES:
        raise ConfigError(f"{file}: larger than {MOST_BYTES} bytes, and it travels inside every snapshot")
    return _Reader(text, file).read()


class _Reader:
    def __init__(self, text: str, file: str) -> None:
        self.text = text
        self.problems = Problems(file, text)
        self.document = self._document()
        self.positions = positions(text)

    def read(self) -> ModelFile:
        self._refuse_unknown((), self.document, TOP_KEYS)
        name = self._name()
        unlabelled = self._setting_values((), self.document, (UNLABELLED,))["unlabelled"]
        expressions = {
            key.name: self._expression((key.name,), self.document[key.name], key.asked)
            for key in EXPRESSION_KEYS
            if key.name in self.document
        }
        features = self._features()
        learner = self._learner()
        self._check_together(expressions, features, learner)
        self.problems.raise_if_any()
        return ModelFile(
            name=name,
            label=cast(Expression, expressions["label"]),
            event_id=expressions.get("event_id"),
            timestamp=expressions.get("timestamp"),
            importance=expressions.get("importance"),
            served=expressions.get("served"),
            label_time=expressions.get("label_time"),
            segment=expressions.get("segment"),
            unlabelled=unlabelled,
            features=features,
            learner=Learner(**learner),
            text=self.text,
        )

    def _document(self) -> dict[str, Any]:
        try:
            return tomllib.loads(self.text)
        except tomllib.TOMLDecodeError as error:
            message = re.sub(r" \(at .*\)$", "", str(error))
            self.problems.add(self._toml_error_span(str(error)), f"not TOML: {message}")
        except RecursionError:
            self.problems.add(Span(0, 1), "not TOML: nested too deeply")
        self.problems.raise_if_any()
        return {}

    def _toml_error_span(self, message: str) -> Span:
        """``tomllib`` tells the position in words only."""
        found = re.search(r"\(at line (\d+), column (\d+)\)", message)
        if found is None:
            return Span(len(self.text), len(self.text))
        lines = self.text.split("\n")
        start = sum(len(line) + 1 for line in lines[: int(found[1]) - 1]) + int(found[2]) - 1
        return Span(start, start + 1)

    def _position(self, key: tuple[str, ...]) -> Position:
        """Return the position of *key*, or of the nearest thing that has one."""
        while key not in self.positions and len(key) > 1:
            inside = next(
                (position for path, position in self.positions.items() if path[: len(key)] == key), None
            )
            if inside is not None:
                return inside
            key = key[:-1]
        return self.positions.get(key, Position(Span(0, 1), Span(0, 1)))

    def _refuse_unknown(
        self, table: tuple[str, ...], values: Mapping[str, Any], known: tuple[str, ...]
    ) -> None:
        for key in values:
            if key in known:
                continue
            if not table and key in LEARNER_KEYS:
                hint = "it belongs under [learner]"
            elif table and key in TOP_KEYS:
                hint = "it belongs at the top of the file, before the first [table]"
            else:
                hint = did_you_mean(key, known)
            self.problems.add(self._position((*table, key)).key, f"unknown key {key!r}", hint)

    def _name(self) -> str:
        name = self.document.get("name")
        if name is None:
            self._missing("name", 'name = "coupon-response"')
        elif not isinstance(name, str) or not MODEL_NAME.fullmatch(name):
            self.problems.add(
                self._position(("name",)).value,
                "a model's name is at most 100 of: letters a to z, digits, '.', '_', '-'",
                "it is the beginning of Kafka topics' names",
            )
        return str(name)

    def _missing(self, key: str, example: str) -> None:
        below = next((t for t in ("features", "learner") if key in self._table(t)), None)
        if below is None:
            self.problems.add(Span(0, 1), f"there is no {key}", f"add a line such as: {example}")
        else:
            message = f"there is no {key} at the top of the file"
            self.problems.add(
                self._position((below, key)).key,
                message,
                f"this one belongs to [{below}]; move it above the tables",
            )

    def _table(self, name: str) -> dict[str, Any]:
        value = self.document.get(name, {})
        return value if isinstance(value, dict) else {}

    def _checked_table(self, name: str) -> dict[str, Any]:
        if not isinstance(self.document.get(name, {}), dict):
            self.problems.add(
                self._position((name,)).key, f"{name} is a table", f"its keys follow a line [{name}]"
            )
        return self._table(name)

    def _expression(self, key: tuple[str, ...], value: Any, asked: Asked) -> Expression | None:
        position = self._position(key)
        if not isinstance(value, str):
            span = position.key if isinstance(value, dict) else position.value
            hint = (
                'a name with a dot needs quotes: "a.b" = …'
                if isinstance(value, dict)
                else 'for example "price > 2"'
            )
            self.problems.add(span, f"{key[-1]} is an expression, a text in quotes", hint)
            return None
        try:
            expression = parse_expression(value, asked)
        except ExpressionError as error:
            self.problems.add(position.inside(error.span.start, error.span.end), error.message, error.hint)
            return None
        return expression

    def _features(self) -> dict[str, Expression]:
        table = self._checked_table("features")
        if not table and isinstance(self.document.get("features", {}), dict):
            self.problems.add(
                self._position(("features",)).key, "there are no features", "name them under [features]"
            )
        features = {}
        for name, value in table.items():
            key = ("features", name)
            if not SLOT_NAME.fullmatch(name):
                self.problems.add(
                    self._position(key).key, "a feature's name is at most 100 letters, digits, '.', '_', '-'"
                )
            elif name == RESERVED_SLOT:
                self.problems.add(
                    self._position(key).key,
                    f"{name!r} is a reserved name: a score's contributions call the model's own share so",
                    f'another name, for example "{name}_1"',
                )
            expression = self._expression(key, value, Asked.ANY)
            if expression is not None and expression.type is Type.TIME:
                self.problems.add(
                    self._position(key).value,
                    "an instant never comes again, so it is no feature",
                    "hour(…), weekday(…)",
                )
            elif expression is not None:
                features[name] = expression
        return features

    def _learner(self) -> dict[str, Any]:
        table = self._checked_table("learner")
        self._refuse_unknown(("learner",), table, LEARNER_KEYS)
        return self._setting_values(("learner",), table, LEARNER)

    def _setting_values(
        self, table: tuple[str, ...], values: Mapping[str, Any], settings: tuple[Setting, ...]
    ) -> dict[str, Any]:
        """Return the value of each of *settings*, its default where the file says nothing."""
        found = {}
        for setting in settings:
            value = values.get(setting.name, setting.default)
            complaint = setting.complaint(value) if setting.name in values else ""
            if complaint:
                hint = did_you_mean(str(value), setting.choices) if setting.choices else ""
                self.problems.add(self._position((*table, setting.name)).value, complaint, hint)
            elif setting.name in values and not setting.choices:
                value = int(value) if setting.whole else float(value)
            found[setting.name] = value
        return found

    def _check_together(
        self,
        expressions: Mapping[str, Expression | None],
        features: Mapping[str, Expression],
        learner: Mapping[str, Any],
    ) -> None:
        """Check what no key can be blamed for alone."""
        if "label" not in self.document:
            self._missing("label", 'label = "redeemed"')
        given = self._table("learner")
        for name, needed in NEEDED.items():
            table = ("learner",) if name in LEARNER_KEYS else ()
            if name in (given if table else self.document) and needed not in {*self.document, *given}:
                self.problems.add(
                    self._position((*table, name)).key, f"{name} means nothing without {needed}"
                )
        low, high = BASE_RATES.get(learner["loss"], (float("-inf"), float("inf")))
        if isinstance(learner["base_rate"], float) and not low < learner["base_rate"] < high:
            self.problems.add(
                self._position(("learner", "base_rate")).value,
                f"the mean label of a {learner['loss']} loss lies above {low:g} and below {high:g}",
            )
        if learner["decay"] != 1.0 and learner["optimizer"] != "ftrl":
            self.problems.add(
                self._position(("learner", "decay")).key, f"decay means nothing to {learner['optimizer']}"
            )
        self._check_size([*expressions.values(), *features.values()], len(features))

    def _check_size(self, expressions: list[Expression | None], slots: int) -> None:
        paths = {field for expression in expressions if expression for field in expression.fields()}
        for count, most, what in ((slots, MOST_SLOTS, "features"), (len(paths), MOST_FIELDS, "fields")):
            if count > most:
                self.problems.add(
                    self._position(("features",)).key, f"{count:,} {what}; at most {most:,} are allowed"
                )
