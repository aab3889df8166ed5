"""A sample of a user's own events, column by column, for whoever proposes a model file."""

from __future__ import annotations

import random
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property
from statistics import fmean
from typing import Any

Path = tuple[str, ...]

# As deep as an expression can name.
MOST_NESTED = 16
# Numbers that are instants in seconds: 1990 to 2100; a thousand times that are milliseconds.
EPOCH_SECONDS = (631_152_000, 4_102_444_800)
# Out of a thousand values, this many may be odd ones.
NEARLY_ALL = 0.99
ISO_8601 = re.compile(r"\d{4}-\d\d-\d\d([T ]\d\d:\d\d.*)?")


@dataclass(slots=True)
class Array:
    """Stands for a JSON array, which no expression can read."""


@dataclass
class Column:
    """
    The values of one field.

    Attributes:
        rows: of the sample, in which the field has a value.
        values: parallel to *rows*; str, int, float, bool or Array.
        events: in the sample, with or without this field.
    """

    path: Path
    events: int = 0
    rows: list[int] = field(default_factory=list)
    values: list[Any] = field(default_factory=list)

    @cached_property
    def counts(self) -> Counter[str]:
        """How often each value stands there, as a category's text."""
        return Counter(category_text(value) for value in self.values)

    @cached_property
    def numbers(self) -> list[float]:
        """Its numbers, ascending."""
        return sorted(value for value in self.values if _is_number(value))

    @property
    def missing_share(self) -> float:
        """Share of the events that lack the field."""
        return 1 - len(self.values) / self.events

    @property
    def distinct_share(self) -> float:
        """Distinct values by values: 1 where none repeats."""
        return len(self.counts) / len(self.values)

    def all_of(self, *types: type) -> bool:
        """Say whether every value is one of *types* (a bool is no int)."""
        return all(type(value) in types for value in self.values)

    @cached_property
    def is_number(self) -> bool:
        """Whether all values are numbers."""
        return self.all_of(int, float)

    @cached_property
    def is_whole(self) -> bool:
        """Whether all values are whole numbers."""
        return self.is_number and all(value == int(value) for value in self.values)

    @cached_property
    def instants(self) -> list[datetime]:
        """Its values as instants; none unless nearly all of them are."""
        parsed = [instant for instant in map(_instant, self.values) if instant is not None]
        return parsed if len(parsed) >= NEARLY_ALL * len(self.values) else []

    @cached_property
    def mean_words(self) -> float:
        """Mean number of words of its texts."""
        return fmean(len(str(value).split()) for value in self.values)

    def quantile(self, share: float) -> float:
        """Return the number that *share* of the numbers do not exceed."""
        return self.numbers[min(int(share * len(self.numbers)), len(self.numbers) - 1)]


@dataclass(frozen=True)
class Sample:
    """
    Events, column by column.

    Attributes:
        events: in the sample.
        seen: events it was drawn from.
    """

    events: int
    seen: int
    columns: Mapping[Path, Column]


def take_sample(events: Iterable[Mapping[str, Any]], size: int) -> Sample:
    """Return a sample of at most *size* events, evenly from all of them; the same for the same events."""
    # Files are sorted more often than not: the first events are like each other, not like the rest.
    chance = random.Random(0)
    kept: list[tuple[int, Mapping[str, Any]]] = []
    seen = 0
    for seen, event in enumerate(events, start=1):
        if len(kept) < size:
            kept.append((seen, event))
        elif (at := chance.randrange(seen)) < size:
            kept[at] = (seen, event)
    kept.sort(key=lambda numbered: numbered[0])
    return Sample(len(kept), seen, _columns([event for _, event in kept]))


def category_text(value: Any) -> str:
    """Return the text that *value* has as a category."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and value == int(value):
        return str(int(value))
    return str(value)


def _columns(events: Sequence[Mapping[str, Any]]) -> dict[Path, Column]:
    columns: dict[Path, Column] = {}
    for row, event in enumerate(events):
        for path, value in _leaves(event, ()):
            column = columns.setdefault(path, Column(path, len(events)))
            if value is not None:
                column.rows.append(row)
                column.values.append(value)
    return columns


def _leaves(value: Mapping[str, Any], path: Path) -> Iterator[tuple[Path, Any]]:
    for name, inner in value.items():
        if isinstance(inner, dict) and len(path) < MOST_NESTED - 1:
            yield from _leaves(inner, (*path, name))
        else:
            yield (*path, name), Array() if isinstance(inner, list | dict) else inner


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _instant(value: Any) -> datetime | None:
    if _is_number(value):
        low, high = EPOCH_SECONDS
        return datetime.fromtimestamp(value, UTC) if low <= value <= high else None
    if not isinstance(value, str) or not ISO_8601.fullmatch(value):
        return None
    try:
        return datetime.fromisoformat(value)
    except ValueError:
        return None
