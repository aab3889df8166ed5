"""Expressions: what they are typed as, how they are written canonically, and why they are refused."""

import pytest

from stream_ml.features.expressions import MOST_DEPTH, parse_expression
from stream_ml.features.functions import FUNCTIONS
from stream_ml.features.signatures import Asked, Type
from stream_ml.features.syntax import MOST_CHARACTERS, ExpressionError
from stream_ml.features.typed import Field


def f(*path: str) -> Field:
    return Field(path)


HOUR = ("hour", ("time", f("t")), 0)


@pytest.mark.parametrize(
    ("text", "type_", "operation"),
    [
        ("price", Type.TEXT, ("text", f("price"))),
        ("user.home.city", Type.TEXT, ("text", f("user", "home", "city"))),
        ('field("a b", "c").d', Type.TEXT, ("text", f("a b", "c", "d"))),
        ("number(price)", Type.NUMBER, ("number", f("price"))),
        ("bool(flag)", Type.BOOL, ("bool", f("flag"))),
        ("price * 2", Type.NUMBER, ("*", ("number", f("price")), ("const", 2))),
        ("-price", Type.NUMBER, ("neg", ("number", f("price")))),
        ("+price", Type.NUMBER, ("number", f("price"))),
        ("a > -1.50", Type.BOOL, (">", ("number", f("a")), ("const", -1.5))),
        ('city == "Oslo"', Type.BOOL, ("==", ("text", f("city")), ("const", "Oslo"))),
        ("a == b", Type.BOOL, ("==", ("text", f("a")), ("text", f("b")))),
        ("a < b", Type.BOOL, ("<", ("number", f("a")), ("number", f("b")))),
        ("flag == true", Type.BOOL, ("==", ("bool", f("flag")), ("const", True))),
        ("time(a) < b", Type.BOOL, ("<", ("time", f("a")), ("time", f("b")))),
        ("hour(t) >= h", Type.BOOL, (">=", ("hour", ("time", f("t")), 0), ("number", f("h")))),
        ("not flag", Type.BOOL, ("not", ("bool", f("flag")))),
        ("hour(t, -5.5)", Type.WHOLE, ("hour", ("time", f("t")), -5.5)),
        ("log_bucket(x)", Type.WHOLE, ("log_bucket", ("number", f("x")), 2)),
        ("clip(x, 0.0, 1e2)", Type.NUMBER, ("clip", ("number", f("x")), 0, 100)),
        ("min(a, b, 3)", Type.NUMBER, ("min", ("min", ("number", f("a")), ("number", f("b"))), ("const", 3))),
        ("x in ('a', 1, 2.0, 0.5, true)", Type.BOOL, ("in", ("text", f("x")), "a", "1", "2", "0.5", "true")),
        ("x not in ('a',)", Type.BOOL, ("not", ("in", ("text", f("x")), "a"))),
        ("default(x, 3)", Type.NUMBER, ("default", ("number", f("x")), 3)),
        ("default(x, 'none')", Type.TEXT, ("default", ("text", f("x")), "none")),
        ("default(bucket(x, 1), -1)", Type.WHOLE, ("default", ("bucket", ("number", f("x")), 1), -1)),
        ("missing(x)", Type.BOOL, ("missing", ("text", f("x")))),
        ("cross(a, words(b))", Type.SET, ("cross", ("text", f("a")), ("words", ("text", f("b"))))),
        ("cross(a, b > 1)", Type.TEXT, ("cross", ("text", f("a")), (">", ("number", f("b")), ("const", 1)))),
        ("text(x > 1)", Type.TEXT, ("concat", (">", ("number", f("x")), ("const", 1)))),
        ("number(round(x))", Type.NUMBER, ("round", ("number", f("x")))),
        ("hour(t) if c else -1", Type.WHOLE, ("if", ("bool", f("c")), HOUR, ("const", -1))),
        ("hour(t) if c else 0.5", Type.NUMBER, ("if", ("bool", f("c")), HOUR, ("const", 0.5))),
        ("a if flag else b", Type.TEXT, ("if", ("bool", f("flag")), ("text", f("a")), ("text", f("b")))),
    ],
)  # fmt: skip
def test_what_is_done_with_a_field_decides_how_it_is_read(text: str, type_: Type, operation: object) -> None:
    expression = parse_expression(text)
    assert expression.type is type_
    assert expression.operation == operation


@pytest.mark.parametrize(
    ("written", "canonical"),
    [
        ("cross( a,'b' == c )", 'cross(a, "b" == c)'),
        ("((a))", "a"),
        ("+a", "number(a)"),
        ("a+b*c", "a + (b * c)"),
        ("(a+b)*c", "(a + b) * c"),
        ("0 < a <= 1.0", "(0 < a) and (a <= 1)"),
        ("a > 1 and b > 2 and not c", "((a > 1) and (b > 2)) and (not c)"),
        ("hour(t, 0)", "hour(t)"),
        ("hour(t, 2.0)", "hour(t, 2)"),
        ("log_bucket(x, 2)", "log_bucket(x)"),
        ('field("a")', "a"),
        ("field('odd \"name\"')", 'field("odd \\"name\\"")'),
        ("field('class')", 'field("class")'),
        ("field('\ufb01ne', 'fine')", 'field("\ufb01ne", "fine")'),
        ("a\n  == 'x'", 'a == "x"'),
        ("-(-1) * x", "(--1) * x"),
        ("x in ['b', 'a']", 'x in ("b", "a")'),
        ("x in ('b',)", 'x in ("b",)'),
        ("True == x", "true == x"),
        ("1 if a > 0 else 0", "1 if (a > 0) else 0"),
    ],
)
def test_one_canonical_text_whatever_the_spacing_quotes_and_brackets(written: str, canonical: str) -> None:
    expression = parse_expression(written)
    assert expression.text == canonical
    again = parse_expression(canonical)
    assert again == expression


@pytest.mark.parametrize(
    ("text", "place", "message", "hint"),
    [
        ("buket(price, 1)", "buket", "unknown function 'buket'", "did you mean 'bucket'?"),
        ("  \n 'é' in lowr(x)", "lowr(x)", "after in stands a list", ""),
        ("1 + lowr(x)", "lowr", "unknown function", "did you mean 'lower'?"),
        ("é > 0 and qqq(x)", "qqq", "unknown function", "one of: abs, bool"),
        ("lower(1 + x)", "1 + x", "this is a number where a text is asked for", ""),
        ("log1p(words(x))", "words(x)", "this is a set where a number is asked for", ""),
        ("log1p(x > 1)", "x > 1", "this is a bool where a number is asked for", "1 if … else 0"),
        ("cross(a, x * 2)", "x * 2", "this is a number where a category or set", "bucket(…)"),
        ("cross(a, time(t))", "time(t)", "this is a time where", "hour(…)"),
        ("hour(x > 1)", "x > 1", "this is a bool where a time is asked for", ""),
        ("not (x + 1)", "x + 1", "this is a number where a bool is asked for", "compare it"),
        ("lower(hour(t))", "hour(t)", "this is a whole number where a text", "text(…)"),
        ("bucket(x, 2, 1)", "bucket(x, 2, 1)", "must ascend", "bucket(x, edge, …)"),
        ("bucket(x, 1, 1.0)", "bucket(x, 1, 1.0)", "must ascend", ""),
        ("bucket(x, y)", "y", "a constant is asked for", ""),
        ("bucket(x)", "bucket(x)", "takes 2 to 1001 arguments, not 1", "Which interval"),
        ("hour(t, 15)", "15", "offset_hours lies between -12 and 14", ""),
        ("hour(t, offset_hours=1)", "1", "by their place", "hour(t, offset_hours=0)"),
        ("prefix(x, 1.5)", "1.5", "n is a whole number", ""),
        ("prefix(x, 0)", "0", "n lies between 1 and 100", ""),
        ("prefix(x, true)", "true", "n is a number", ""),
        ("split(x, '')", "''", "a text that is not empty", ""),
        ("field(1)", "1", "a text that is not empty", ""),
        ("clip(x, 5, 1)", "clip(x, 5, 1)", "must ascend", ""),
        ("default(lower(x), 1)", "default(lower(x), 1)", "a text cannot default to a number", ""),
        ("a == (x > 1) == 'x'", "a == (x > 1) == 'x'", "a bool cannot be compared with a text", ""),
        ("'a' < x", "'a' < x", "a text has no order", "== and !="),
        ("words(a) == words(b)", "words(a) == words(b)", "a set cannot be compared", ""),
        ("x in y", "y", "a list of constants", 'x in ("a", "b")'),
        ("x in ()", "()", "a list of constants", ""),
        ("x + 1 in (1,)", "x + 1", "this is a number where a category is asked for", "bucket(…)"),
        ("a if c else 1 if c else 'x'", "1 if c else 'x'", "one branch is a number, the other a text", ""),
        ("x is None", "x is None", '"is" is not', "missing(x)"),
        ("x == None", "None", "None is no value", "missing(x)"),
        ("a + 'x'", "a + 'x'", "+ adds numbers", "concat(…)"),
        ("a ** 2", "a ** 2", "this operator is not", "x * x"),
        ("a // 2", "a // 2", "this operator is not", "floor(a / b)"),
        ("~a", "~a", "bits are not", ""),
        ("title.lower()", "title.lower()", "only a function is called", "lower(…)"),
        ("lower(a).b", "lower(a).b", "only a field has fields", ""),
        ("tags[0]", "tags[0]", "this part of Python", "arrays cannot be read"),
        ("[a for a in b]", "[a for a in b]", "this part of Python", ""),
        ("(lambda: 0)()", "(lambda: 0)()", "only a function is called", ""),
        ("__import__('os')", "__import__", "unknown function", ""),
        ("f'{a}'", "f'{a}'", "this part of Python", "concat(…)"),
        ("lower(*a)", "*a", "this part of Python", ""),
        ("class == 'x'", "class", "invalid syntax", 'field("class")'),
        ("a +", "+", "ends too early", ""),
        ("lower(a", "(", "'(' was never closed", ""),
        ("a b", "b", "invalid syntax", ""),
        ("a # b", "#", "a comment", ""),
        ("'\\d' == a", "'\\d'", "invalid escape", ""),
        ("1 + 2", "1 + 2", "reads no field", ""),
        ("  ", "  ", "an empty expression", ""),
        ("1e999 + x", "1e999", "not a finite number", ""),
        ("x == 9007199254740993", "9007199254740993", "beyond 2**53", "as a text"),
        ("x == '\\ud800'", "'\\ud800'", "half of a surrogate pair", ""),
        ("x == 1j", "1j", "a constant is asked for", ""),
        ("x == b'a'", "b'a'", "a constant is asked for", ""),
        (".".join("a" * 17), ".".join("a" * 17), "nested deeper than 16", ""),
    ],
)
def test_a_refusal_points_at_the_place_and_helps(text: str, place: str, message: str, hint: str) -> None:
    with pytest.raises(ExpressionError) as caught:
        parse_expression(text)
    error = caught.value
    assert text[error.span.start : error.span.end] == place
    assert message in error.message
    assert hint in error.hint


def nested(depth: int) -> str:
    """An expression whose operations nest so deep: the field's is one of them."""
    return "abs(" * (depth - 1) + "x" + ")" * (depth - 1)


def test_the_limits_of_depth_and_length_are_where_they_are_said_to_be() -> None:
    assert parse_expression(nested(MOST_DEPTH)).depth() == MOST_DEPTH
    with pytest.raises(ExpressionError, match="nested deeper than 32"):
        parse_expression(nested(MOST_DEPTH + 1))
    longest = "x" * MOST_CHARACTERS
    assert parse_expression(longest).type is Type.TEXT
    with pytest.raises(ExpressionError, match="at most 4096"):
        parse_expression(longest + "x")


BOMBS = (
    "(" * 4000,
    "-" * 4000 + "x",
    "not " * 1000 + "x",
    "x" + ".a" * 2000,
    "(" * 99 + "x" + ")" * 99 + "\x00",
)


@pytest.mark.parametrize("text", BOMBS, ids=range(len(BOMBS)))
def test_bombs_are_refused_and_not_run_into(text: str) -> None:
    with pytest.raises(ExpressionError):
        parse_expression(text)


def test_brackets_that_mean_nothing_do_not_count() -> None:
    assert parse_expression("(" * 100 + "x" + ")" * 100).text == "x"


@pytest.mark.parametrize(
    ("asked", "type_"),
    [
        (Asked.NUMBER, Type.NUMBER),
        (Asked.LABEL, Type.NUMBER),
        (Asked.TIME, Type.TIME),
        (Asked.CATEGORY, Type.TEXT),
    ],
)
def test_a_bare_field_becomes_what_is_asked(asked: Asked, type_: Type) -> None:
    assert parse_expression("x", asked).type is type_


def test_every_function_has_a_description_and_an_example_that_is_a_call_of_it() -> None:
    for function in FUNCTIONS.values():
        assert function.doc.endswith((".", "…"))
        assert function.examples
        for example in function.examples:
            assert function.name in example.expression
            parse_expression(example.expression)
