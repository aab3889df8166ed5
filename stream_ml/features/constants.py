"""What stands in an expression as it is, the same for every event: numbers, texts, true and false."""

from __future__ import annotations

import ast

from stream_ml.features.signatures import Asked, Parameter
from stream_ml.features.syntax import NodeError
from stream_ml.features.typed import Constant

# Whole numbers beyond are not all float64.
LARGEST_WHOLE_NUMBER = 2**53


def constant_of(node: ast.expr) -> Constant:
    """Return the value of a constant, a number with its sign; refuse anything else."""
    match node:
        case ast.Name(id="true" | "false" as name):
            return name == "true"
        case ast.Constant(value=bool() as truth):
            return truth
        case ast.UnaryOp(op=ast.USub(), operand=ast.Constant(value=int() | float() as positive)):
            return _number(node, -positive)
        case ast.Constant(value=int() | float() as number):
            return _number(node, number)
        case ast.Constant(value=str() as text):
            return _text(node, text)
        case ast.Constant(value=None):
            raise NodeError(node, "None is no value", "missing(x) asks whether there is one")
        case _:
            raise NodeError(node, "a constant is asked for here: the same number or text for every event")


def constant_argument(node: ast.expr, parameter: Parameter) -> Constant:
    """Return the constant that is the argument of *parameter*, within its bounds."""
    value = constant_of(node)
    if parameter.asked is Asked.TEXT_CONSTANT and not (isinstance(value, str) and value):
        raise NodeError(node, f"{parameter.name} is a text that is not empty")
    if parameter.asked is Asked.NUMBER_CONSTANT:
        if isinstance(value, str | bool):
            raise NodeError(node, f"{parameter.name} is a number")
        _check_bounds(node, parameter, value)
    return value


def category_constant(node: ast.expr) -> str:
    """Return the constant as the text that a category of this value has."""
    value = constant_of(node)
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)


def _number(node: ast.expr, value: float) -> int | float:
    if abs(value) == float("inf"):
        raise NodeError(node, "not a finite number")
    if isinstance(value, int) and abs(value) > LARGEST_WHOLE_NUMBER:
        raise NodeError(node, "a whole number beyond 2**53 is not exact", "compare it as a text")
    # One way to write one number: 1.0 is 1, and -0.0 is 0.
    return int(value) if value == int(value) and abs(value) <= LARGEST_WHOLE_NUMBER else value


def _text(node: ast.expr, value: str) -> str:
    if any("\ud800" <= character <= "\udfff" for character in value):
        raise NodeError(node, "half of a surrogate pair is no character")
    return value


def _check_bounds(node: ast.expr, parameter: Parameter, value: float) -> None:
    if parameter.whole and value != int(value):
        raise NodeError(node, f"{parameter.name} is a whole number")
    low, high = parameter.low, parameter.high
    if low is not None and high is not None and not low <= value <= high:
        raise NodeError(node, f"{parameter.name} lies between {low:g} and {high:g}")
