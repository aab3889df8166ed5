"""What a function of the feature language is: types, parameters, examples."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum


class Type(StrEnum):
    """What an expression yields; the words of the documentation."""

    TEXT = "text"
    NUMBER = "number"
    # A number that also serves as a category: bucket(...), hour(...).
    WHOLE = "whole number"
    BOOL = "bool"
    TIME = "time"
    SET = "set"


class Asked(StrEnum):
    """What a parameter takes."""

    TEXT = "text"
    NUMBER = "number"
    BOOL = "bool"
    TIME = "time"
    CATEGORY = "category"  # text, whole number, bool
    PART = "category or set"  # of a cross
    LABEL = "number or bool"
    ANY = "anything"
    FIELD = "field"
    # Written in the model file, the same for every event:
    TEXT_CONSTANT = "text constant"
    NUMBER_CONSTANT = "number constant"
    CONSTANT = "constant"


CONSTANTS = {Asked.TEXT_CONSTANT, Asked.NUMBER_CONSTANT, Asked.CONSTANT}

ACCEPTS: Mapping[Asked, frozenset[Type]] = {
    Asked.TEXT: frozenset({Type.TEXT}),
    Asked.NUMBER: frozenset({Type.NUMBER, Type.WHOLE}),
    Asked.BOOL: frozenset({Type.BOOL}),
    Asked.TIME: frozenset({Type.TIME}),
    Asked.CATEGORY: frozenset({Type.TEXT, Type.WHOLE, Type.BOOL}),
    Asked.PART: frozenset({Type.TEXT, Type.WHOLE, Type.BOOL, Type.SET}),
    Asked.LABEL: frozenset({Type.NUMBER, Type.WHOLE, Type.BOOL}),
    Asked.ANY: frozenset(Type),
}


@dataclass(frozen=True, slots=True)
class Parameter:
    """
    One parameter of a function.

    Attributes:
        most: how many arguments it may take; above 1 only in the last parameter.
        default: of an optional constant.
        low, high, whole: bounds of a number constant, both included.
    """

    name: str
    asked: Asked
    least: int = 1
    most: int = 1
    default: int | None = None
    low: float | None = None
    high: float | None = None
    whole: bool = False

    def __str__(self) -> str:
        if self.most > 1:
            return ", ".join([self.name] * self.least) + ", …"
        return self.name if self.default is None else f"{self.name}={self.default}"


@dataclass(frozen=True, slots=True)
class Example:
    """
    A call that the documentation shows and a test runs on the native plan.

    Attributes:
        texts: of the features of a slot that is this call, if it is a category or a set.
        number: x of its feature, if it is a number; None where it has none.
    """

    expression: str
    event: str
    texts: tuple[str, ...] = ()
    number: float | None = None


@dataclass(frozen=True, slots=True)
class Function:
    """
    One function.

    Attributes:
        ascending: number constants must grow from one to the next.
        yields: the result in words, where it depends on the arguments.
    """

    name: str
    parameters: tuple[Parameter, ...]
    result: Type
    doc: str
    examples: tuple[Example, ...]
    ascending: bool = False
    yields: str = ""

    @property
    def signature(self) -> str:
        """The call as one writes it, with the result's type."""
        return f"{self.name}({', '.join(str(p) for p in self.parameters)}) → {self.yields or self.result}"
