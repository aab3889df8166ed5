"""Which features suit a field: by its type, how often its values repeat, and how its numbers lie."""

import random
from typing import Any

import pytest

from stream_ml.features.proposals.sample import Column, take_sample
from stream_ml.features.proposals.suggestions import (
    edges_of,
    features_of,
    groups_of,
    part_of,
    percent,
    slot_of,
)


def column_of(values: list[Any], name: str = "x") -> Column:
    return take_sample(({name: value} for value in values), len(values)).columns[name,]


def expressions(values: list[Any], name: str = "x") -> list[str]:
    return [feature.expression for feature in features_of(column_of(values, name))]


CHANCE = random.Random(3)
LETTERS = "abcdefghijklmnopqrst"


@pytest.mark.parametrize(
    ("values", "name", "expected"),
    [
        ([True, False], "x", ["x"]),
        (["a", "b", "a"], "x", ["x"]),
        ([1, 2, 3], "x", ["x"]),
        (list(range(100)), "shop_id", ["shop_id"]),
        (list(range(100)), "zip", ["zip"]),
        ([1, "a", 2.5], "x", ["x"]),
        ([f"new hat number {n}" for n in range(50)], "x", ["words(x)"]),
        (["a very common sentence", "another very common one"] * 50, "x", ["x"]),
        ([",".join(CHANCE.sample(LETTERS, 4)) for _ in range(400)], "x", ['split(x, ",")']),
        ([f"{n}, {n + 1}" for n in range(50)], "x", ["x"]),
        (["2026-01-01", "2026-01-02"], "x", ["weekday(x)"]),
        (["2026-01-01T01:00", "2026-01-02T02:00"], "x", ["hour(x)", "weekday(x)"]),
        ([int(1.5**n) for n in range(1, 40)], "x", ["log_bucket(x, 2)", "log1p(x)"]),
        ([int(-(1.5**n)) for n in range(1, 40)], "x", ["log_bucket(x, 2)"]),
    ],
)
def test_a_field_gets_what_suits_it(values: list[Any], name: str, expected: list[str]) -> None:
    assert expressions(values, name) == expected


@pytest.mark.parametrize(
    ("missing", "suggested"), [(0, False), (1, False), (20, True), (1960, True), (1990, False)]
)
def test_missing_is_a_feature_where_it_is_neither_rare_nor_the_rule(missing: int, suggested: bool) -> None:
    values = [None] * missing + ["a", "b"] * ((2000 - missing) // 2)
    assert ("missing(x)" in expressions(values)) is suggested


@pytest.mark.parametrize(
    ("numbers", "edges"),
    [
        ([n / 10 for n in range(1000)], (10, 20, 30, 40, 50, 60, 70, 80, 90)),
        ([n * 1234.5 for n in range(100)], (12000, 25000, 37000, 49000, 62000, 74000, 86000, 99000, 110000)),
        ([0] * 99 + [7], (7,)),
        ([0] * 900 + list(range(100)), (1, 10, 20, 30, 40, 50, 60, 70, 80, 90)),
        ([0.5] * 10 + [0.25], (0.5,)),
    ],
)
def test_edges_are_round_ascend_and_part_the_numbers(numbers: list[float], edges: tuple[float, ...]) -> None:
    assert edges_of(column_of(numbers)) == edges


def test_groups_are_the_buckets_that_the_expression_makes() -> None:
    column = column_of([n / 10 for n in range(1000)])
    assert part_of(column) == "bucket(x, 10, 20, 30, 40, 50, 60, 70, 80, 90)"
    groups = groups_of(column)
    assert (groups[99], groups[100], groups[999]) == ("0", "1", "9")
    assert groups_of(column_of(["a", True, 2.0, 2.5])) == ["a", "true", "2", "2.5"]


def test_a_slot_is_named_after_its_field_within_what_names_may_be() -> None:
    assert slot_of(("user", "home town")) == "user_home_town"
    assert slot_of(("%$",)) == "field"
    assert len(slot_of(("x" * 300,))) == 80


def test_shares_are_told_to_three_digits() -> None:
    assert percent(0.123456) == "12.3 %"
    assert percent(1.0) == "100 %"
