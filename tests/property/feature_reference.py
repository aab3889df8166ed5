"""
The rules of features written plainly: a second, slow reading of the plan that the native one must equal.

Follows ``docs/features.md``; shares no code with the package.
"""

from __future__ import annotations

import math
import operator
import unicodedata
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from itertools import product
from typing import Any

import numpy as np
import xxhash

# None is a missing value.
Value = Any
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
LARGEST_X = 1e6


class RefusedError(Exception):
    """The event is refused; its argument is the reason's code."""


def features(plan: dict[str, Any], event: dict[str, Any]) -> list[tuple[str, int, float]]:
    """Return (slot, feature id, x) of each feature of *event*, in the order of the slots."""
    reader = Reader(plan["fields"], event)
    found = []
    for slot in plan["slots"]:
        seed = int(slot["seed"], 16)
        for text, x in of_slot(slot["kind"], reader.value(slot["expr"])):
            found.append((slot["name"], xxhash.xxh3_64_intdigest(text, seed) or 1, float(np.float32(x))))
    return found


def of_slot(kind: str, value: Value) -> list[tuple[bytes, float]]:
    if value is None:
        return []
    if kind == "number":
        if abs(value) > LARGEST_X:
            raise RefusedError("out_of_range")
        return [] if np.float32(value) == 0 else [(b"", value)]
    return [(element, 1.0) for element in elements(value)]


def category(value: Value) -> bytes:
    """Return the bytes that are hashed for one value of a category."""
    if isinstance(value, bool):
        return b"true" if value else b"false"
    if isinstance(value, int | float):
        if math.isinf(value):
            raise RefusedError("out_of_range")
        return (str(int(value)) if value == int(value) and abs(value) < 2**53 else repr(value)).encode()
    return value if isinstance(value, bytes) else str(value).encode()


def elements(value: Value) -> list[bytes]:
    return list(value) if isinstance(value, list) else [category(value)]


def number_of(operation: Callable[..., float], *operands: float) -> float | None:
    """Return the result as IEEE arithmetic has it; None where it is undefined."""
    try:
        result = operation(*operands)
    except OverflowError:
        result = math.inf
    except (ZeroDivisionError, ValueError):
        return None
    return None if math.isnan(result) else float(result)


def whole_of(rounding: Callable[[float], int], x: float) -> float:
    return x if math.isinf(x) else float(rounding(x))


def bucket(x: float, *edges: float) -> float:
    return float(sum(edge <= x for edge in edges))


def log_bucket(x: float, base: float) -> float:
    exponent, power = 0, float(base)  # powers by repeated multiplication, each rounded to a float64
    while power <= 1 + abs(x) and not math.isinf(power):
        exponent, power = exponent + 1, power * base
    return float(-exponent if x < 0 else exponent)


def words(text: str) -> list[str]:
    kept = "".join(each if unicodedata.category(each)[0] in "LMN" else " " for each in text)
    return ["".join(character.lower() for character in run) for run in kept.split()]


def once(texts: Iterable[str]) -> list[bytes]:
    return [text.encode() for text in dict.fromkeys(texts)]


def instant(value: Value) -> int:
    """Return microseconds since 1970."""
    if isinstance(value, int | float):
        return round(value * 1_000_000)
    at = datetime.fromisoformat(value)
    at = at if at.tzinfo else at.replace(tzinfo=UTC)
    return (at - EPOCH) // timedelta(microseconds=1)


def moment(microseconds: int, offset_hours: float) -> datetime:
    return EPOCH + timedelta(microseconds=microseconds, hours=offset_hours)


# Operations of which a missing operand makes the result missing; constants stand behind the operands.
PLAIN: dict[str, Callable[..., Value]] = {
    "+": lambda a, b: number_of(operator.add, a, b),
    "-": lambda a, b: number_of(operator.sub, a, b),
    "*": lambda a, b: number_of(operator.mul, a, b),
    "/": lambda a, b: number_of(operator.truediv, a, b),
    "%": lambda a, b: number_of(operator.mod, a, b),
    "neg": operator.neg,
    "abs": abs,
    "log1p": lambda x: number_of(math.log1p, x),
    "log": lambda x: number_of(math.log, x),
    "exp": lambda x: number_of(math.exp, x),
    "sqrt": lambda x: number_of(math.sqrt, x),
    "clip": lambda x, low, high: min(max(x, low), high),
    "min": min,
    "max": max,
    "floor": lambda x: whole_of(math.floor, x),
    "round": lambda x: whole_of(round, x),
    "bucket": bucket,
    "log_bucket": log_bucket,
    "length": lambda t: float(len(t)),
    "seconds": lambda t: t / 1_000_000,
    "hour": lambda t, o: float(moment(t, o).hour),
    "weekday": lambda t, o: float(moment(t, o).weekday()),
    "day": lambda t, o: float(moment(t, o).day),
    "month": lambda t, o: float(moment(t, o).month),
    "lower": lambda t: "".join(character.lower() for character in t),
    "upper": lambda t: "".join(character.upper() for character in t),
    "prefix": lambda t, n: t[:n],
    "suffix": lambda t, n: t[-n:],
    "concat": lambda *texts: "".join(texts),
    "words": lambda t: once(words(t)),
    "ngrams": lambda t, n: once(t[at : at + n] for at in range(len(t) - n + 1)),
    "split": lambda t, separator: once(piece.strip() for piece in t.split(separator) if piece.strip()),
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
    "==": operator.eq,
    "!=": operator.ne,
    "not": operator.not_,
}
TEXT_OPERATIONS = {"lower", "upper", "prefix", "suffix", "concat", "length", "words", "ngrams", "split", "in"}


class Reader:
    """Evaluates the plan's expressions over one event."""

    def __init__(self, paths: list[list[str]], event: dict[str, Any]) -> None:
        self.paths, self.event = paths, event

    def value(self, expression: list[Any]) -> Value:
        name, *arguments = expression
        if name in {"text", "number", "bool", "time"}:
            return self.leaf(name, self.paths[arguments[0]])
        if name == "const":
            return float(arguments[0]) if type(arguments[0]) is int else arguments[0]
        # All operands are read first: whether one has a wrong type depends on the event alone.
        values = [self.value(a) if isinstance(a, list) else a for a in arguments]
        if name in TEXT_OPERATIONS:
            operands = len(values) if name == "concat" else 1
            values[:operands] = [
                value if value is None else category(value).decode() for value in values[:operands]
            ]
        return self.combined(name, values)

    def combined(self, name: str, values: list[Value]) -> Value:
        match name:
            case "missing":
                return values[0] is None
            case "default":
                return values[1] if values[0] is None else values[0]
            case "if":
                return None if values[0] is None else values[1] if values[0] else values[2]
            case "and" | "or":
                decided = name == "or"
                return decided if decided in values else None if None in values else not decided
            case _ if None in values:
                return None
            case "in":
                return values[0] in values[1:]
            case "cross":
                return [
                    b"".join(len(p).to_bytes(4, "little") + p for p in ps)
                    for ps in product(*map(elements, values))
                ]
            case _:
                return PLAIN[name](*values)

    def leaf(self, wanted: str, path: list[str]) -> Value:
        value: Value = self.event
        for name in path:
            if value is None:
                return None
            if not isinstance(value, dict):
                raise RefusedError("wrong_type")
            value = value.get(name)
        return None if value is None else read(wanted, value)


def read(wanted: str, value: Value) -> Value:
    """Return a field's value as what the plan reads it as."""
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    fits = {
        "text": not isinstance(value, dict | list),
        "number": is_number,
        "bool": isinstance(value, bool),
        "time": is_number or (isinstance(value, str) and value[:4].isdigit()),
    }
    if not fits[wanted]:
        raise RefusedError("wrong_type")
    if wanted == "text":
        return category(value).decode()
    return instant(value) if wanted == "time" else float(value) if wanted == "number" else value
