"""Which field of a sample is the label, the event id, the timestamp: told from values first, names second."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

from stream_ml.features.proposals.sample import EPOCH_SECONDS, Column, Sample

LABEL_NAMES = re.compile(
    r"(^|_)(label|target|y|class|outcome|response|clicked|click|converted|conversion|bought|purchased|redeemed"
    r"|cancell?ed|churn(ed)?|fraud|default(ed)?|survived|income|accepted|returned|success|won)$",
    re.IGNORECASE,
)
FLAG_NAMES = re.compile(r"^(is|has|was|did)_", re.IGNORECASE)
ID_NAMES = re.compile(r"(?i:(^|[_-])(id|uuid|guid|key)$)|[a-z](Id|ID)$")
TIME_NAMES = re.compile(r"time|date|stamp|(^|_)(ts|at|day|epoch|created|occurred)($|_)", re.IGNORECASE)
# Of two values, the one that a model is asked about.
POSITIVE_TEXTS = re.compile(r"^(y|yes|true|t|1|positive|pos|good|won|win|up|success|>.*)$", re.IGNORECASE)


def find_label(sample: Sample) -> Column | None:
    """Return the field that looks most like a label: it has two values, and best a label's name."""
    binary = [column for column in sample.columns.values() if len(column.counts) == 2]
    for names in (LABEL_NAMES, FLAG_NAMES):
        named = [column for column in binary if names.search(column.path[-1])]
        if named:
            return named[-1]
    # A data set's last column is its label more often than any other.
    return binary[-1] if binary else None


def find_event_id(sample: Sample, label: Column) -> Column | None:
    """Return the field that every event has, named as an id, and no two events share."""
    for column in sample.columns.values():
        is_unique = len(column.values) == sample.events and column.distinct_share == 1
        named = ID_NAMES.search(column.path[-1])
        if column is not label and is_unique and named and column.all_of(int, str):
            return column
    return None


def is_time(column: Column) -> bool:
    """Say whether the field holds instants; numbers need a name that says so too."""
    return bool(column.instants) and (not column.is_number or TIME_NAMES.search(column.path[-1]) is not None)


def is_milliseconds(column: Column) -> bool:
    """Say whether the field counts milliseconds since 1970, which no expression reads."""
    low, high = EPOCH_SECONDS
    named = TIME_NAMES.search(column.path[-1]) is not None
    return named and column.is_whole and 1000 * low <= column.numbers[0] <= column.numbers[-1] <= 1000 * high


def find_timestamp(sample: Sample, now: datetime) -> Column | None:
    """Return the field that says when the event happened: in every event, and best with the time of day."""
    instants = [c for c in sample.columns.values() if is_time(c) and len(c.values) == sample.events]
    # What lies in the future is planned, it did not happen; the learner refuses such an event.
    happened = [c for c in instants if max(map(_with_zone, c.instants)) <= now + timedelta(days=1)]
    with_hours = [c for c in happened if has_time_of_day(c)]
    return next(iter(with_hours or happened), None)


def _with_zone(instant: datetime) -> datetime:
    return instant if instant.tzinfo else instant.replace(tzinfo=UTC)


def has_time_of_day(column: Column) -> bool:
    """Say whether the instants are more than dates."""
    return any(instant.hour or instant.minute for instant in column.instants)


def positive_value(label: Column) -> str:
    """Return which of a binary label's two texts counts 1: by its words, else the rarer one."""
    named = [text for text in label.counts if POSITIVE_TEXTS.match(text)]
    return named[0] if len(named) == 1 else min(sorted(label.counts), key=lambda text: label.counts[text])
