"""Every function does on the native plan what its documentation says."""

import pytest

from stream_ml._native import MATH_VERSION, Plan
from stream_ml.features import compile_model
from stream_ml.features.functions import FUNCTIONS
from stream_ml.features.plan import MATH
from stream_ml.features.signatures import Example

EXAMPLES = [example for function in FUNCTIONS.values() for example in function.examples]


def features_of(expression: str, event: str) -> list[tuple[str, float]]:
    """Return value and x of each feature that a slot of this expression has."""
    compiled = compile_model(f"name = 'm'\nlabel = 'y'\n[features]\nslot = '''{expression}'''\n")
    explained = Plan(compiled.plan_bytes).explain(event.encode())
    return [(value, x) for _, value, _, x in explained["features"]]


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: f"{example.expression} of {example.event}")
def test_an_example_of_the_documentation_is_true(example: Example) -> None:
    found = features_of(example.expression, example.event)
    if example.number is None:
        assert found == [(text, 1.0) for text in example.texts]
    else:
        [(_, x)] = found
        assert x == pytest.approx(example.number, rel=1e-6)


@pytest.mark.parametrize(
    ("expression", "event", "features"),
    [
        ("a + b * c - d / e % f", '{"a":1,"b":2,"c":3,"d":8,"e":2,"f":3}', [("6", 6.0)]),
        ("-a % 3", '{"a":1}', [("2", 2.0)]),
        ("-7 % a", '{"a":3}', [("2", 2.0)]),
        ("a - a", '{"a":1}', []),
        ("a / b", '{"a":1,"b":0}', []),
        ("0 < a <= 2", '{"a":2}', [("true", 1.0)]),
        ("a != b", '{"a":1.0,"b":1}', [("false", 1.0)]),
        ("a == b", '{"a":"1","b":1}', [("true", 1.0)]),
        ("a > 1 or b > 1", '{"b":2}', [("true", 1.0)]),
        ("a > 1 or b > 1", '{"b":0}', []),
        ("a > 1 and b > 1", '{"b":0}', [("false", 1.0)]),
        ("not (a > 1)", '{"a":0}', [("true", 1.0)]),
        ('a in ("x", 2, 0.5, true)', '{"a":2.0}', [("true", 1.0)]),
        ('a in ("x", 2, 0.5, true)', '{"a":5e-1}', [("true", 1.0)]),
        ('a in ("x", 2, 0.5, true)', '{"a":true}', [("true", 1.0)]),
        ('a not in ("x", "y")', '{"a":"x"}', [("false", 1.0)]),
        ('a not in ("x",)', "{}", []),
        ("hour(t) in (17, 18)", '{"t":"2026-03-01 17:45"}', [("true", 1.0)]),
        ("hour(t) >= 17", '{"t":"2026-03-01 17:45"}', [("true", 1.0)]),
        ("hour(t) if bool(m) else -1", '{"t":"2026-03-01 17:45","m":false}', [("-1", 1.0)]),
        ("1 if a > 2 else 0.5", '{"a":2}', [("0.5", 0.5)]),
        ('"many" if a > 2 else b', '{"a":2,"b":"few"}', [("few", 1.0)]),
        ("time(a) < time(b)", '{"a":"2026-03-01","b":"2026-03-01T00:00:01Z"}', [("true", 1.0)]),
        ("lower(text(round(a)))", '{"a":2.6}', [("3", 1.0)]),
        ("cross(floor(a / 10), b > 1, c)", '{"a":39,"b":1,"c":7.0}', [("3 × false × 7", 1.0)]),
        ("default(bucket(a, 1, 2), -1)", "{}", [("-1", 1.0)]),
        ("missing(words(a))", "{}", [("true", 1.0)]),
        ("min(a, b)", '{"a":1}', []),
        ("a.b", '{"a":{"b":"x"}}', [("x", 1.0)]),
        ("a", '{"a":null}', []),
        ('field("class")', '{"class":true}', [("true", 1.0)]),
        ("floor(a)", '{"a":1e300}', [("1e+300", 1.0)]),
        ("number(floor(a))", '{"a":2.5}', [("2", 2.0)]),
        ("length(a)", '{"a":""}', [("0", 1.0)]),
        ("prefix(a, 3)", '{"a":"é"}', [("é", 1.0)]),
        ("weekday(t, -5.5)", '{"t":"2026-03-02T05:00:00Z"}', [("6", 1.0)]),
        ("log_bucket(a, 1.5)", '{"a":0}', [("0", 1.0)]),
    ],
)
def test_operators_and_what_they_are_made_of(
    expression: str, event: str, features: list[tuple[str, float]]
) -> None:
    assert features_of(expression, event) == features


def test_a_category_of_a_number_that_overflowed_refuses_the_event() -> None:
    with pytest.raises(ValueError, match="out_of_range"):
        features_of("floor(exp(a))", '{"a":1000}')


@pytest.mark.parametrize(
    ("key", "event", "label"),
    [
        ("label = 'y'", '{"y":0.25}', 0.25),
        ("label = 'bool(y)'", '{"y":true}', 1.0),
        ("label = 'y > 2'", '{"y":2}', 0.0),
        ("label = 'y == \"yes\"'", '{"y":"yes"}', 1.0),
        ("label = 'floor(y)'", '{"y":0.5}', 0.0),
    ],
)
def test_a_label_is_a_number_or_a_bool(key: str, event: str, label: float) -> None:
    compiled = compile_model(f"name = 'm'\n{key}\n[features]\na = 'a'\n")
    assert Plan(compiled.plan_bytes).explain(event.encode())["label"] == label


def test_the_plan_asks_for_the_mathematics_that_the_core_has() -> None:
    assert MATH == MATH_VERSION
