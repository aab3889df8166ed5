"""Expressions, for any text: a result or a refusal with its place, and one canonical text for one meaning."""

from hypothesis import example, given
from hypothesis import strategies as st

from stream_ml.features.expressions import parse_expression
from stream_ml.features.functions import FUNCTIONS
from stream_ml.features.syntax import ExpressionError

NAMES = st.sampled_from(["a", "b.c", 'field("odd name")', "é", "hour", 'field("class", "x")'])
NUMBERS = st.sampled_from(["0", "-1", "2.50", "1e3"])
TEXTS = st.sampled_from(["'x'", '"it\'s"', "'\\u00e9\\n'"])


def numbers(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    return st.one_of(
        st.tuples(inner, st.sampled_from(["+", "-", "*", "/", "%"]), inner).map(
            lambda t: f"({t[0]} {t[1]}{t[2]})"
        ),
        inner.map(lambda x: f"- {x}"),
        st.tuples(inner, inner).map(lambda t: f"max( {t[0]},{t[1]} )"),
        st.tuples(inner, NUMBERS).map(lambda t: f"default({t[0]}, {t[1]})"),
        st.tuples(inner, inner, inner).map(lambda t: f"({t[0]} if {t[1]} > 0 else {t[2]})"),
    )


def conditions(number: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    return st.one_of(
        st.tuples(number, number, number).map(lambda t: f"({t[0]} < {t[1]} <= {t[2]})"),
        st.tuples(NAMES, TEXTS).map(lambda t: f"not ({t[0]} in [{t[1]}])"),
        st.tuples(NAMES, TEXTS, number).map(
            lambda t: f"({t[0]} != {t[1]} and missing({t[2]}) or {t[0]} == true)"
        ),
    )


NUMERIC = st.recursive(NAMES.map(lambda name: f"number({name})"), numbers, max_leaves=8)
VALID = st.one_of(NUMERIC, conditions(NUMERIC), conditions(NUMERIC).map(lambda c: f"cross(a,{c})"))


@given(VALID)
def test_the_canonical_text_means_the_same_and_is_its_own(text: str) -> None:
    expression = parse_expression(text)
    again = parse_expression(expression.text)
    assert again.operation == expression.operation
    assert again == expression


KEYWORDS = ("if ", " else ", " in ", "not ", "and ")
PIECES = st.sampled_from(
    [*FUNCTIONS, *"()[]{}.,:+-*/%<>=!#'\"\\\n\t é", "==", *KEYWORDS, "1", "x", "\x00", "0x", "''"]
)


@given(st.one_of(st.text(max_size=40), st.lists(PIECES, max_size=25).map("".join)))
@example("\ud800")
@example("x\f")
@example("0777")
@example("+A")
def test_any_text_is_an_expression_or_refused_with_a_place_inside_it(text: str) -> None:
    refusal = None
    try:
        expression = parse_expression(text)
    except ExpressionError as error:
        refusal = error
    if refusal is None:
        assert parse_expression(expression.text) == expression
    else:
        assert 0 <= refusal.span.start <= refusal.span.end <= len(text) + 1
        assert refusal.message
