"""Label, event id and timestamp are told from values first and names second."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import pytest

from stream_ml.features.proposals import roles
from stream_ml.features.proposals.sample import Column, Sample, take_sample

NOW = datetime(2026, 6, 1, tzinfo=UTC)


def sample_of(**fields: Sequence[Any]) -> Sample:
    """Return a sample whose events take the fields' values in turn."""
    count = max(len(values) for values in fields.values())
    return take_sample(
        ({name: values[n % len(values)] for name, values in fields.items()} for n in range(count)), 1000
    )


def name(column: Column | None) -> str | None:
    return None if column is None else column.path[-1]


@pytest.mark.parametrize(
    ("fields", "label"),
    [
        ({"a": [0, 1], "target": [0, 1], "b": [0, 1]}, "target"),
        ({"is_new": [0, 1], "clicked": [1, 0], "is_old": [0, 1]}, "clicked"),
        ({"a": [0, 1], "is_canceled": [0, 1], "is_repeated_guest": [0, 1]}, "is_canceled"),
        ({"a": [0, 1], "was_sent": [True, False], "b": [0, 1]}, "was_sent"),
        ({"a": [0, 1], "b": ["x", "y"], "c": [1, 2, 3]}, "b"),
        ({"label": [1, 2, 3], "a": [1]}, None),
        ({"clickbait": [0, 1], "a": [0, 1, 2]}, "clickbait"),
    ],
)
def test_a_label_has_two_values_and_best_a_labels_name(
    fields: dict[str, list[Any]], label: str | None
) -> None:
    assert name(roles.find_label(sample_of(**fields))) == label


@pytest.mark.parametrize(
    ("fields", "event_id"),
    [
        ({"y": [0, 1], "event_id": range(40)}, "event_id"),
        ({"y": [0, 1], "orderId": [f"o{n}" for n in range(40)]}, "orderId"),
        ({"y": [0, 1], "uuid": [f"u{n}" for n in range(40)]}, "uuid"),
        ({"y": [0, 1], "event_id": [*range(39), 0]}, None),
        ({"y": [0, 1], "event_id": [*range(39), None]}, None),
        ({"y": [0, 1], "price": [n / 7 for n in range(40)]}, None),
        ({"y": [0, 1], "paid": range(40)}, None),
        ({"y": [0, 1], "id": [n / 7 for n in range(40)]}, None),
    ],
)
def test_an_event_id_is_in_every_event_and_never_twice(fields: dict[str, Any], event_id: str | None) -> None:
    sample = sample_of(**fields)
    assert name(roles.find_event_id(sample, sample.columns["y",])) == event_id


DATES = ["2026-01-01", "2026-01-02"]
TIMES = ["2026-01-01T10:00:00Z", "2026-01-02 11:30:00.5+02:00"]


@pytest.mark.parametrize(
    ("fields", "timestamp"),
    [
        ({"day": DATES, "at": TIMES}, "at"),
        ({"day": DATES, "n": [1, 2]}, "day"),
        ({"created_at": [1_767_000_000, 1_767_000_001.5]}, "created_at"),
        ({"product": [1_767_000_000, 1_767_000_001]}, None),
        ({"at": [*TIMES, None]}, None),
        ({"at": ["2026-01-01", "soon"]}, None),
        ({"at": ["2026-13-01", "2026-01-02"]}, None),
        ({"at": ["20260101", "20260102"]}, None),
        ({"planned_at": ["2026-07-01T10:00", "2026-01-01T10:00"], "day": DATES}, "day"),
    ],
)
def test_a_timestamp_is_an_instant_in_every_event_and_past(
    fields: dict[str, Any], timestamp: str | None
) -> None:
    assert name(roles.find_timestamp(sample_of(**fields), NOW)) == timestamp


@pytest.mark.parametrize(
    ("values", "positive"),
    [
        (["no", "yes"], "yes"),
        (["N", "Y"], "Y"),
        (["<=50K", ">50K"], ">50K"),
        (["True", "False"], "True"),
        (["a", "b", "a"], "b"),
        (["b", "a"], "a"),
        (["good", "won", "won"], "good"),
    ],
)
def test_the_positive_value_is_named_so_or_the_rarer_one(values: list[str], positive: str) -> None:
    assert roles.positive_value(sample_of(y=values).columns["y",]) == positive


@pytest.mark.parametrize(
    ("field", "values", "expected"),
    [
        ("sent_at", [1_767_000_000_000, 1_767_000_000_001], True),
        ("sent_at", [1_767_000_000, 1_767_000_001], False),
        ("sent_at", [1_767_000_000_000, 5], False),
        ("amount", [1_767_000_000_000, 1_767_000_000_001], False),
        ("sent_at", ["2026-01-01", "2026-01-02"], False),
    ],
)
def test_milliseconds_are_told_from_seconds(field: str, values: list[Any], expected: bool) -> None:
    assert roles.is_milliseconds(sample_of(**{field: values}).columns[field,]) is expected
