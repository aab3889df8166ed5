"""
The check of an expression: from Python's syntax tree to a typed operation of the plan.

A bare field has no type of its own: what is done with it decides (``price > 2`` reads a number,
``cross(price, city)`` a category), and a field alone is a category.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator

from stream_ml.features.constants import category_constant, constant_argument, constant_of
from stream_ml.features.functions import FUNCTIONS
from stream_ml.features.problems import did_you_mean
from stream_ml.features.signatures import ACCEPTS, CONSTANTS, Asked, Function, Parameter, Type
from stream_ml.features.syntax import ExpressionError, NodeError, Syntax
from stream_ml.features.typed import (
    Constant,
    Expression,
    Operation,
    common_type,
    constant,
    joined,
    quoted,
    read,
)

# The native plan evaluates by recursion, on a stack of its own.
MOST_DEPTH = 32
# Brackets and signs vanish in the plan, so Python's tree may be deeper; not so deep that our own
# recursion fails.
MOST_SYNTAX_DEPTH = 200
# An event nests at most 32 deep; half of that is more than anyone writes by hand.
MOST_NESTED_NAMES = 16

TOO_DEEP = "split it in two, or let the producer compute it"
# What a bare field is read as; a category otherwise.
READ_AS = {
    Asked.NUMBER: Type.NUMBER,
    Asked.LABEL: Type.NUMBER,
    Asked.BOOL: Type.BOOL,
    Asked.TIME: Type.TIME,
}
BINARY: dict[type[ast.operator], str] = {
    ast.Add: "+",
    ast.Sub: "-",
    ast.Mult: "*",
    ast.Div: "/",
    ast.Mod: "%",
}
COMPARISONS: dict[type[ast.cmpop], str] = {
    ast.Lt: "<",
    ast.LtE: "<=",
    ast.Gt: ">",
    ast.GtE: ">=",
    ast.Eq: "==",
    ast.NotEq: "!=",
}
CATEGORY_HINTS = {
    Type.NUMBER: "bucket(…) or log_bucket(…) makes a category of a number",
    Type.TIME: "hour(…), weekday(…), day(…) or month(…) makes a category of an instant",
    Type.SET: "only cross takes a set",
}
MISMATCH_HINTS: dict[Asked, dict[Type, str]] = {
    Asked.NUMBER: {
        Type.BOOL: "1 if … else 0 makes a number of it",
        Type.TIME: "seconds(…) makes a number of it",
        Type.TEXT: "length(…) counts its characters",
    },
    Asked.BOOL: {
        Type.NUMBER: "compare it: … > 0",
        Type.WHOLE: "compare it: … > 0",
        Type.TEXT: 'compare it: … == "…"',
    },
    Asked.TEXT: {Type.WHOLE: "text(…) makes a text of it"},
    Asked.CATEGORY: CATEGORY_HINTS,
    Asked.PART: CATEGORY_HINTS,
}
SYNTAX_HINTS: dict[type[ast.expr], str] = {
    ast.Subscript: 'a field of a nested object is a.b, or field("a", "b"); arrays cannot be read',
    ast.JoinedStr: "concat(…) joins texts",
    ast.Tuple: 'a list of constants stands after "in" only',
    ast.List: 'a list of constants stands after "in" only',
    ast.Set: 'a list of constants stands after "in" only',
}


def parse_expression(text: str, asked: Asked = Asked.ANY) -> Expression:
    """
    Return the checked expression that *text* says.

    Args:
        text: an expression of the feature language.
        asked: what it must yield; where anything will do, a bare field is a category.

    Raises:
        ExpressionError: with the place in *text*.
    """
    syntax = Syntax(text)
    try:
        _refuse_too_deep(syntax.tree)
        expression = _checked(syntax.tree, asked)
        if not any(expression.fields()):
            raise NodeError(syntax.tree, "reads no field, so it is the same for every event", "name a field")
        if expression.depth() > MOST_DEPTH:
            raise NodeError(syntax.tree, f"nested deeper than {MOST_DEPTH}", TOO_DEEP)
    except NodeError as error:
        raise ExpressionError(syntax.span(error.node), error.message, error.hint) from None
    return expression


def _refuse_too_deep(tree: ast.expr) -> None:
    """Walk the tree level by level, so that what follows may recurse."""
    level: list[ast.AST] = [tree]
    for _ in range(MOST_SYNTAX_DEPTH):
        level = [child for node in level for child in ast.iter_child_nodes(node)]
    if level:
        raise NodeError(tree, f"nested deeper than {MOST_DEPTH}", TOO_DEEP)


def _checked(node: ast.expr, asked: Asked) -> Expression:
    """Return the expression at *node*, which must yield what is *asked*."""
    path = _field_path(node)
    if path is not None:
        return read(path, READ_AS.get(asked, Type.TEXT))
    expression = _typed(node)
    if expression.type not in ACCEPTS[asked]:
        hint = MISMATCH_HINTS.get(asked, {}).get(expression.type, "")
        raise NodeError(node, f"this is a {expression.type} where a {asked} is asked for", hint)
    return expression


def _typed(node: ast.expr) -> Expression:
    """Return the expression at *node*, which is no bare field and so has a type of its own."""
    match node:
        case ast.Constant() | ast.Name():
            return constant(constant_of(node))
        case ast.UnaryOp():
            return _unary(node)
        case ast.BinOp():
            return _binary(node)
        case ast.BoolOp():
            return _logic(node)
        case ast.Compare():
            return _comparison(node)
        case ast.IfExp():
            return _conditional(node)
        case ast.Call():
            return _call(node)
        case _:
            hint = SYNTAX_HINTS.get(type(node), "")
            raise NodeError(node, "this part of Python is not in the feature language", hint)


def _field_path(node: ast.expr) -> tuple[str, ...] | None:
    """Return the path if *node* is a bare field: ``a``, ``a.b``, ``field("a b")``."""
    path: tuple[str, ...] | None = None
    match node:
        case ast.Name(id="true" | "false"):
            return None
        case ast.Name(id=name):
            path = (name,)
        case ast.Attribute(value=inner, attr=name):
            before = _field_path(inner)
            if before is None:
                raise NodeError(node, "only a field has fields", "functions stand before: lower(title)")
            path = (*before, name)
        case ast.Call(func=ast.Name(id="field")):
            path = _field_call(node)
    if path is not None and len(path) > MOST_NESTED_NAMES:
        raise NodeError(node, f"a field nested deeper than {MOST_NESTED_NAMES}")
    return path


def _field_call(node: ast.Call) -> tuple[str, ...]:
    function = FUNCTIONS["field"]
    _check_count(node, function)
    return tuple(str(constant_argument(name, function.parameters[0])) for name in node.args)


def _unary(node: ast.UnaryOp) -> Expression:
    match node.op:
        case ast.Not():
            inner = _checked(node.operand, Asked.BOOL)
            return Expression(Type.BOOL, ("not", inner.operation), f"not {inner.inner_text}", compound=True)
        case ast.UAdd():
            # Written out, or the canonical text of +x would be that of the category x.
            inner = _checked(node.operand, Asked.NUMBER)
            return Expression(Type.NUMBER, inner.operation, f"number({inner.text})")
        case ast.USub() if isinstance(node.operand, ast.Constant):
            return constant(constant_of(node))
        case ast.USub():
            inner = _checked(node.operand, Asked.NUMBER)
            return Expression(Type.NUMBER, ("neg", inner.operation), f"-{inner.inner_text}", compound=True)
        case _:
            raise NodeError(node, "bits are not in the feature language", "not, and, or work on conditions")


def _binary(node: ast.BinOp) -> Expression:
    symbol = BINARY.get(type(node.op))
    if symbol is None:
        hint = "floor(a / b)" if isinstance(node.op, ast.FloorDiv) else "x * x for a power, exp(x), sqrt(x)"
        raise NodeError(node, "this operator is not in the feature language", hint)
    for side in (node.left, node.right):
        if symbol == "+" and isinstance(side, ast.Constant) and isinstance(side.value, str):
            raise NodeError(node, "+ adds numbers", "concat(…) joins texts")
    left, right = _checked(node.left, Asked.NUMBER), _checked(node.right, Asked.NUMBER)
    return joined(Type.NUMBER, symbol, left, right)


def _logic(node: ast.BoolOp) -> Expression:
    symbol = "and" if isinstance(node.op, ast.And) else "or"
    return _chain(symbol, [_checked(value, Asked.BOOL) for value in node.values])


def _chain(symbol: str, conditions: list[Expression]) -> Expression:
    first, *others = conditions
    for other in others:
        first = joined(Type.BOOL, symbol, first, other)
    return first


def _conditional(node: ast.IfExp) -> Expression:
    condition = _checked(node.test, Asked.BOOL)
    then, other = _alike(node.body, node.orelse, Asked.TEXT)
    result = common_type(then, other)
    if result is None:
        raise NodeError(node, f"one branch is a {then.type}, the other a {other.type}", "both must be alike")
    return Expression(
        result,
        ("if", condition.operation, then.operation, other.operation),
        f"{then.inner_text} if {condition.inner_text} else {other.inner_text}",
        compound=True,
    )


def _comparison(node: ast.Compare) -> Expression:
    sides = [node.left, *node.comparators]
    links = zip(sides, node.ops, node.comparators, strict=False)
    return _chain("and", [_link(node, left, operator, right) for left, operator, right in links])


def _link(node: ast.Compare, left: ast.expr, operator: ast.cmpop, right: ast.expr) -> Expression:
    """Return one comparison of a chain such as ``0 < x < 5``."""
    if isinstance(operator, ast.In | ast.NotIn):
        return _membership(left, right, isinstance(operator, ast.NotIn))
    symbol = COMPARISONS.get(type(operator))
    if symbol is None:
        raise NodeError(
            node, '"is" is not in the feature language', "== compares; missing(x) asks for a value"
        )
    equality = symbol in {"==", "!="}
    one, other = _alike(left, right, Asked.TEXT if equality else Asked.NUMBER)
    if common_type(one, other) is None or one.type is Type.SET:
        raise NodeError(node, f"a {one.type} cannot be compared with a {other.type}")
    if not equality and one.type in {Type.TEXT, Type.BOOL}:
        raise NodeError(node, f"a {one.type} has no order", "== and != compare it")
    return joined(Type.BOOL, symbol, one, other)


def _membership(left: ast.expr, right: ast.expr, negated: bool) -> Expression:
    if not isinstance(right, ast.Tuple | ast.List | ast.Set) or not right.elts:
        raise NodeError(right, "after in stands a list of constants", 'x in ("a", "b")')
    value = _checked(left, Asked.CATEGORY)
    constants = [category_constant(element) for element in right.elts]
    operation: Operation = ("in", value.operation, *constants)
    # A single constant keeps Python's comma, or its brackets would mean nothing.
    listed = ", ".join(quoted(text) for text in constants) + ("," if len(constants) == 1 else "")
    text = f"{value.inner_text} {'not in' if negated else 'in'} ({listed})"
    return Expression(Type.BOOL, ("not", operation) if negated else operation, text, compound=True)


def _alike(left: ast.expr, right: ast.expr, two_fields: Asked) -> tuple[Expression, Expression]:
    """Return both sides; a bare field is read as what the other side is, two as *two_fields*."""
    left_path, right_path = _field_path(left), _field_path(right)
    if left_path is not None and right_path is not None:
        return _checked(left, two_fields), _checked(right, two_fields)
    if left_path is not None:
        other = _typed(right)
        return read(left_path, _as_field(other.type)), other
    one = _typed(left)
    if right_path is not None:
        return one, read(right_path, _as_field(one.type))
    return one, _typed(right)


def _as_field(beside: Type) -> Type:
    """Return what a field is read as beside an expression of that type."""
    if beside is Type.WHOLE:
        return Type.NUMBER
    return Type.TEXT if beside is Type.SET else beside


def _call(node: ast.Call) -> Expression:
    if not isinstance(node.func, ast.Name):
        called = node.func.attr if isinstance(node.func, ast.Attribute) else "f"
        raise NodeError(node, "only a function is called", f"functions stand before: {called}(…)")
    function = FUNCTIONS.get(node.func.id)
    if function is None:
        raise NodeError(
            node.func, f"unknown function {node.func.id!r}", did_you_mean(node.func.id, FUNCTIONS)
        )
    _check_count(node, function)
    if function.name == "default":
        return _default(node)
    if function.name in {"text", "number", "bool", "time"}:
        return _read_as(_checked(node.args[0], function.parameters[0].asked), function)
    return _plain_call(node, function)


def _read_as(inner: Expression, function: Function) -> Expression:
    operation = inner.operation
    if function.name == "text" and inner.type is not Type.TEXT:
        # To the plan a whole number is a number until a text is asked for, as concat does.
        operation = ("concat", operation)
    return Expression(function.result, operation, f"{function.name}({inner.text})")


def _check_count(node: ast.Call, function: Function) -> None:
    hint = f"{function.signature}: {function.doc}"
    if node.keywords:
        raise NodeError(node.keywords[0].value, "arguments go by their place, not by name", hint)
    least = sum(parameter.least for parameter in function.parameters if parameter.default is None)
    most = sum(parameter.most for parameter in function.parameters)
    if not least <= len(node.args) <= most:
        asked = str(least) if least == most else f"{least} to {most}"
        raise NodeError(node, f"{function.name} takes {asked} arguments, not {len(node.args)}", hint)


def _default(node: ast.Call) -> Expression:
    fallback = constant(constant_of(node.args[1]))
    value, _ = _alike(node.args[0], node.args[1], Asked.TEXT)
    result = common_type(value, fallback)
    if result is None:
        raise NodeError(node, f"a {value.type} cannot default to a {fallback.type}")
    operation = ("default", value.operation, fallback.operation[1])
    return Expression(result, operation, f"default({value.text}, {fallback.text})")


def _plain_call(node: ast.Call, function: Function) -> Expression:
    operands: list[Expression] = []
    constants: list[Constant] = []
    for argument, parameter in zip(node.args, _parameters(function, len(node.args)), strict=False):
        if parameter.asked in CONSTANTS:
            constants.append(constant_argument(argument, parameter))
        else:
            operands.append(_checked(argument, parameter.asked))
    if function.ascending and sorted(set(constants), key=float) != constants:
        raise NodeError(node, "the numbers must ascend", f"{function.signature}: {function.doc}")
    defaults: list[Constant] = [p.default for p in function.parameters if p.default is not None]
    # The canonical text leaves out what is the default anyway; the plan always has it.
    written = [] if constants == defaults else constants
    arguments = [*(operand.text for operand in operands), *(constant(value).text for value in written)]
    return Expression(
        _result(function, operands),
        _operation(function.name, operands, constants or defaults),
        f"{function.name}({', '.join(arguments)})",
    )


def _parameters(function: Function, count: int) -> Iterator[Parameter]:
    """Yield the parameter of each of *count* arguments; the last one repeats."""
    yield from function.parameters
    for _ in range(count - len(function.parameters)):
        yield function.parameters[-1]


def _result(function: Function, operands: list[Expression]) -> Type:
    crosses_a_set = function.name == "cross" and any(operand.type is Type.SET for operand in operands)
    return Type.SET if crosses_a_set else function.result


def _operation(name: str, operands: list[Expression], constants: list[Constant]) -> Operation:
    if name not in {"min", "max"}:
        return (name, *(operand.operation for operand in operands), *constants)
    # The plan's take two.
    folded, *others = [operand.operation for operand in operands]
    for other in others:
        folded = (name, folded, other)
    return folded
