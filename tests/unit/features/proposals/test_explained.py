"""How much of the label a field explains: all, nothing, and nothing by heart."""

import random

import pytest

from stream_ml.features.proposals.explained import explained_share

ROWS = range(4_000)


def share(groups: list[str], targets: dict[int, float]) -> float:
    return explained_share(targets, list(ROWS), groups)


def test_a_field_that_is_the_label_explains_all_of_it() -> None:
    assert share([str(row // 2 % 2) for row in ROWS], {row: float(row // 2 % 2) for row in ROWS}) > 0.999


def test_a_field_that_knows_half_explains_a_part() -> None:
    chance = random.Random(1)
    truth = {row: float(chance.random() < 0.5) for row in ROWS}
    noisy = [f"{truth[row] if chance.random() < 0.5 else chance.random() < 0.5:g}" for row in ROWS]
    assert share(noisy, truth) == pytest.approx(0.25, abs=0.1)


def test_a_field_of_another_value_in_every_event_explains_nothing_by_heart() -> None:
    chance = random.Random(2)
    assert share([str(row) for row in ROWS], {row: chance.random() for row in ROWS}) < 0.01


def test_rows_without_a_label_count_nowhere() -> None:
    groups = [str(row // 2 % 2) for row in ROWS]
    known = {row: float(row // 2 % 2) for row in ROWS if row < 2_000}
    assert share(groups, known) > 0.999
    assert share(groups, {}) == 0
    assert share(groups, dict.fromkeys(ROWS, 1.0)) == 0
