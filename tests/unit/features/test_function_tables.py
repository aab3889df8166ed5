"""Every function of the language over a table of values, against the same thing said in Python."""

from __future__ import annotations

import math
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import orjson
import pytest

from stream_ml._native import Plan
from stream_ml.features import compile_model
from stream_ml.features.functions import FUNCTIONS

NUMBERS = [0, 1, -1, 0.5, -0.5, 1.5, 2.5, -2.5, 3, 9, 10, 99.999, 100, 1e-9, -1e-9, 12345.678, -1e5, 3e5]
TEXTS = ["", "a", "Oslo", "ÅRHUS", "straße", "two  words", " padded ", "a,b;,c", "日本語", "hi!", "x" * 40]
INSTANTS = [0, 1, 86_399, 86_400, 951_782_400, 1_709_164_800, 1_772_387_100, 4_102_444_799, 1_772_387_100.25]
OFFSETS = [0, 1, -5.5, 10, 14, -12]


def plan_of(expression: str) -> Plan:
    return Plan(compile_model(f"name = 'm'\nlabel = 'y'\n[features]\nslot = '''{expression}'''\n").plan_bytes)


def features_of(plan: Plan, **event: Any) -> list[tuple[str, float]]:
    return [(value, x) for _, value, _, x in plan.explain(orjson.dumps(event))["features"]]


def number_of(plan: Plan, **event: Any) -> float:
    """Return the value of a number slot; 0 where it has no feature."""
    found = features_of(plan, **event)
    return found[0][1] if found else 0.0


def category_of(plan: Plan, **event: Any) -> str | None:
    found = features_of(plan, **event)
    assert len(found) <= 1
    return found[0][0] if found else None


def missing_below(limit: float, function: Callable[[float], float]) -> Callable[[float], float]:
    """Return *function*, and 0 (no feature) from *limit* down."""
    return lambda x: function(x) if x > limit else 0.0


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("number(x)", float),
        ("log1p(x)", missing_below(-1, math.log1p)),
        ("log(x)", missing_below(0, math.log)),
        ("sqrt(x)", missing_below(-1e-300, lambda x: math.sqrt(x))),
        ("abs(x)", abs),
        ("exp(clip(x, -20, 12))", lambda x: math.exp(min(max(x, -20), 12))),
        ("clip(x, -1.5, 7)", lambda x: min(max(x, -1.5), 7)),
        ("min(x, 2, 0.5 * x)", lambda x: min(x, 2, 0.5 * x)),
        ("max(x, 2, 0.5 * x)", lambda x: max(x, 2, 0.5 * x)),
        ("number(floor(x))", math.floor),
        ("number(round(x))", round),
        ("x % 3", lambda x: x % 3),
        ("x % -3", lambda x: x % -3),
        ("-x * 2 + 1", lambda x: -x * 2 + 1),
        ("default(x / 0, 4)", lambda _: 4.0),
        ("1 if x > 1 else -1", lambda x: 1.0 if x > 1 else -1.0),
    ],
)
def test_a_function_of_numbers_is_pythons(expression: str, expected: Callable[[float], float]) -> None:
    plan = plan_of(expression)
    for x in NUMBERS:
        assert number_of(plan, x=x) == pytest.approx(expected(x), rel=1e-6, abs=1e-9), x


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("floor(x)", lambda x: f"{math.floor(x)}"),
        ("round(x)", lambda x: f"{round(x)}"),
        ("bucket(x, -1, 0, 2.5, 100)", lambda x: str(sum(x >= edge for edge in (-1, 0, 2.5, 100)))),
        (
            "log_bucket(x, 10)",
            lambda x: str(int(math.copysign(math.floor(math.log10(1 + abs(x)) + 1e-12), x))),
        ),
        ("x > 2.5", lambda x: str(x > 2.5).lower()),
        ("-1 <= x < 3", lambda x: str(-1 <= x < 3).lower()),
        ("not (x == 3)", lambda x: str(x != 3).lower()),
        ("x in (3, 10, 0.5)", lambda x: str(x in (3, 10, 0.5)).lower()),
        ("missing(log(x))", lambda x: str(x <= 0).lower()),
        ("missing(sqrt(x))", lambda x: str(x < 0).lower()),
        ("missing(1 / x)", lambda x: str(x == 0).lower()),
        ("x > 0 and 1 / x > 1", lambda x: str(x > 0 and 1 / x > 1).lower()),
    ],
)
def test_a_category_of_a_number_is_pythons(expression: str, expected: Callable[[float], str]) -> None:
    plan = plan_of(expression)
    for x in NUMBERS:
        assert category_of(plan, x=x) == expected(x), x


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("text(t)", str),
        ("t", str),
        ("lower(t)", str.lower),
        ("upper(t)", str.upper),
        ("prefix(t, 3)", lambda t: t[:3]),
        ("suffix(t, 3)", lambda t: t[-3:]),
        ("length(t)", lambda t: str(len(t))),
        ('concat(t, "-", t)', lambda t: f"{t}-{t}"),
        ('cross(t, "z")', lambda t: f"{t} × z"),
        ('t == "Oslo"', lambda t: str(t == "Oslo").lower()),
        ('t in ("a", "日本語")', lambda t: str(t in ("a", "日本語")).lower()),
        ('default(t, "none")', str),
        ("missing(t)", lambda _: "false"),
    ],
)
def test_a_category_of_a_text_is_pythons(expression: str, expected: Callable[[str], str]) -> None:
    plan = plan_of(expression)
    for text in TEXTS:
        assert category_of(plan, t=text) == expected(text), text


def distinct(parts: list[str]) -> list[str]:
    return list(dict.fromkeys(parts))


def words(text: str) -> list[str]:
    letters = "".join(char if char.isalnum() else " " for char in text.lower())
    return distinct(letters.split())


def ngrams(text: str, length: int) -> list[str]:
    return distinct([text[at : at + length] for at in range(len(text) - length + 1)])


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("words(t)", words),
        ("ngrams(t, 2)", lambda t: ngrams(t, 2)),
        ("ngrams(t, 5)", lambda t: ngrams(t, 5)),
        ('split(t, ",")', lambda t: distinct([p.strip() for p in t.split(",") if p.strip()])),
        ('split(t, ";,")', lambda t: distinct([p.strip() for p in t.split(";,") if p.strip()])),
        ('cross(words(t), "w")', lambda t: [f"{word} × w" for word in words(t)]),
    ],
)
def test_a_set_of_a_text_is_pythons(expression: str, expected: Callable[[str], list[str]]) -> None:
    plan = plan_of(expression)
    for text in TEXTS:
        found = features_of(plan, t=text)
        assert [value for value, _ in found] == expected(text), text
        assert {x for _, x in found} <= {1.0}


def at_offset(seconds: float, hours: float) -> datetime:
    return datetime.fromtimestamp(seconds, timezone(timedelta(hours=hours)))


@pytest.mark.parametrize("hours", OFFSETS)
@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("hour", lambda at: at.hour),
        ("weekday", lambda at: at.weekday()),
        ("day", lambda at: at.day),
        ("month", lambda at: at.month),
    ],
)
def test_a_part_of_an_instant_is_that_of_pythons_calendar(
    name: str, expected: Callable[[datetime], int], hours: float
) -> None:
    plan = plan_of(f"{name}(at, {hours})")
    for seconds in INSTANTS:
        assert category_of(plan, at=seconds) == str(expected(at_offset(seconds, hours))), seconds


@pytest.mark.parametrize("seconds", INSTANTS)
def test_an_instant_is_the_same_as_number_and_as_text(seconds: float) -> None:
    plan = plan_of("(seconds(a) - seconds(b)) / 1000 + 5")
    written = datetime.fromtimestamp(seconds, UTC)
    for text in (written.isoformat(), written.isoformat(" "), written.isoformat().replace("+00:00", "Z")):
        assert number_of(plan, a=text, b=seconds) == pytest.approx(5.0), text
    east = written.astimezone(timezone(timedelta(hours=5.5)))
    assert number_of(plan, a=east.isoformat(), b=seconds) == pytest.approx(5.0)


@pytest.mark.parametrize(
    ("expression", "event", "expected"),
    [
        ('field("hours per week")', {"hours per week": 40}, "40"),
        ('field("a", "b", "c")', {"a": {"b": {"c": "deep"}}}, "deep"),
        ("a.b.c", {"a": {"b": {"c": 1.50}}}, "1.5"),
        ("bool(m)", {"m": True}, "true"),
        ("bool(m)", {"m": False}, "false"),
        ("bool(m)", {"m": None}, None),
        ("bool(m)", {}, None),
        ("missing(m)", {"m": None}, "true"),
        ("default(m, false)", {}, "false"),
        ("default(m, true)", {"m": False}, "false"),
        ("default(hour(at), 24)", {}, "24"),
        ("time(a) < time(b)", {"a": 5, "b": "1970-01-01T00:00:06Z"}, "true"),
        ("time(a) < time(b)", {"a": 6, "b": "1970-01-01T00:00:06Z"}, "false"),
        ("time(a) < time(b)", {"a": 6}, None),
        ('"yes" if bool(m) else "no"', {"m": False}, "no"),
        ('"yes" if bool(m) else "no"', {}, None),
        ("bool(m) or missing(m)", {}, "true"),
        ("bool(m) and missing(m)", {"m": True}, "false"),
        ("cross(a, b, c)", {"a": "x", "b": 2, "c": True}, "x × 2 × true"),
        ("cross(a, b)", {"a": "x"}, None),
        ("concat(a, b)", {"a": "x"}, None),
    ],
)
def test_what_is_there_what_is_not_and_what_stands_for_it(
    expression: str, event: dict[str, Any], expected: str | None
) -> None:
    assert category_of(plan_of(expression), **event) == expected


@pytest.mark.parametrize(
    ("expression", "event", "detail"),
    [
        ("number(x)", {"x": "three"}, "expected a number, found a text: three"),
        ("number(x)", {"x": True}, "expected a number"),
        ("bool(x)", {"x": 1}, "expected true or false, found a number: 1"),
        ("lower(x)", {"x": [1]}, "found an array"),
        ("text(x)", {"x": {"y": 1}}, "found an object"),
        ("hour(x)", {"x": "yesterday"}, "yesterday"),
        ("hour(x)", {"x": "2026-02-30"}, "2026-02-30"),
    ],
)
def test_a_value_of_the_wrong_type_refuses_the_event_and_is_quoted(
    expression: str, event: dict[str, Any], detail: str
) -> None:
    with pytest.raises(ValueError, match="wrong_type") as caught:
        features_of(plan_of(expression), **event)
    reason, said = caught.value.args
    assert reason == "wrong_type"
    assert said.startswith("field x: ")
    assert detail in said


def test_no_function_is_without_a_table_here() -> None:
    source = Path(__file__).read_text(encoding="utf-8")
    assert [name for name in FUNCTIONS if f"{name}(" not in source and f'"{name}"' not in source] == []
