"""An expression after its check: its type, what the plan holds of it, and its canonical text."""

from __future__ import annotations

import json
import keyword
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass

from stream_ml.features.signatures import Type

Constant = str | int | float | bool


@dataclass(frozen=True, slots=True)
class Field:
    """A path into the event."""

    path: tuple[str, ...]

    def __str__(self) -> str:
        """Return the field as an expression names it."""
        if all(_is_plain(name) for name in self.path):
            return ".".join(self.path)
        return f"field({', '.join(quoted(name) for name in self.path)})"


# An operation of the plan: its name, then operations, fields and constants.
Operation = tuple["Constant | Field | Operation", ...]


@dataclass(frozen=True, slots=True)
class Expression:
    """
    One checked expression.

    Attributes:
        operation: as the plan has it, with fields by their paths.
        text: the canonical text: the same for any spacing, quotes and brackets; compiles to itself.
        compound: whether its text needs brackets inside another.
    """

    type: Type
    operation: Operation
    text: str
    compound: bool = False

    @property
    def inner_text(self) -> str:
        """The text as part of a larger one."""
        return f"({self.text})" if self.compound else self.text

    def fields(self) -> Iterator[Field]:
        """Yield the fields read, in order, repeats included."""
        yield from _fields_of(self.operation)

    def depth(self) -> int:
        """Return how deep the operations nest."""
        return _depth(self.operation)


def read(path: tuple[str, ...], as_type: Type) -> Expression:
    """Return the expression that reads a field as *as_type*."""
    field = Field(path)
    return Expression(as_type, (as_type.value, field), str(field))


def constant(value: Constant) -> Expression:
    """Return the expression that is always *value*."""
    if isinstance(value, bool):
        return Expression(Type.BOOL, ("const", value), "true" if value else "false")
    if isinstance(value, str):
        return Expression(Type.TEXT, ("const", value), quoted(value))
    return Expression(Type.NUMBER, ("const", value), repr(value))


def joined(result: Type, symbol: str, left: Expression, right: Expression) -> Expression:
    """Return ``left symbol right``."""
    text = f"{left.inner_text} {symbol} {right.inner_text}"
    return Expression(result, (symbol, left.operation, right.operation), text, compound=True)


def common_type(one: Expression, other: Expression) -> Type | None:
    """Return the type that both can stand for; None where there is none."""
    if one.type is other.type:
        return one.type
    if {one.type, other.type} != {Type.WHOLE, Type.NUMBER}:
        return None
    number = one if one.type is Type.NUMBER else other
    # hour(t) if … else -1 is a category like hour(t) alone.
    is_whole_constant = number.operation[0] == "const" and isinstance(number.operation[1], int)
    return Type.WHOLE if is_whole_constant else Type.NUMBER


def quoted(text: str) -> str:
    """Return *text* as a constant is written."""
    return json.dumps(text, ensure_ascii=False)


def _is_plain(name: str) -> bool:
    reserved = keyword.iskeyword(name) or name in {"true", "false"}
    # Python normalizes identifiers: a name that is not normal would read another field.
    return name.isidentifier() and not reserved and unicodedata.normalize("NFKC", name) == name


def _fields_of(operation: Operation) -> Iterator[Field]:
    for part in operation:
        if isinstance(part, Field):
            yield part
        elif isinstance(part, tuple):
            yield from _fields_of(part)


def _depth(operation: Operation) -> int:
    return 1 + max((_depth(part) for part in operation if isinstance(part, tuple)), default=0)
