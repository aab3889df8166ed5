"""Which features suit one field of a sample."""

from __future__ import annotations

import math
import re
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass

from stream_ml.features.proposals import roles
from stream_ml.features.proposals.sample import Column, Path, category_text
from stream_ml.features.typed import Field, quoted

# A whole number with so few values is a category as it stands.
FEW_VALUES = 12
BUCKETS = 10
# Fewer say little about how the numbers lie.
FEW_EDGES = 3
# A tail is heavy when the 99th percentile is that many times the median (or 1) away.
HEAVY_TAIL = 20
# Texts of so many words are looked at word by word.
LONG_TEXT_WORDS = 2.5
# Where nearly every value is another one, nothing learned from it comes again.
NEARLY_UNIQUE = 0.9
# A missing value that is rarer, or more common, is not worth a feature.
WORTH_MISSING = 0.01
SEPARATORS = (",", ";", "|")
CODE_NAMES = re.compile(
    r"(?<!per)(^|[_-])(id|code|zip|postcode|no|nr|number|week|month|year|hour|day|type|class)$", re.IGNORECASE
)


@dataclass(frozen=True, slots=True)
class Feature:
    """
    A proposed slot.

    Attributes:
        comment: what in the sample speaks for it.
    """

    slot: str
    expression: str
    comment: str


def name_of(column: Column) -> str:
    """Return the field as an expression names it."""
    return str(Field(column.path))


def slot_of(path: Path) -> str:
    """Return a slot's name made of a field's."""
    return re.sub(r"[^\w.-]+", "_", "_".join(path)).strip("_")[:80] or "field"


def percent(share: float) -> str:
    """Return a share for people: 0.1234 is 12.3 %."""
    return f"{100 * share:.3g} %"


def features_of(column: Column) -> list[Feature]:
    """Return the features that suit the field."""
    slot, name = slot_of(column.path), name_of(column)
    if roles.is_time(column):
        return _time_features(slot, name, column)
    if is_continuous(column):
        features = _number_features(slot, name, column)
    elif separator := _separator(column):
        features = [Feature(slot, f"split({name}, {quoted(separator)})", "a list")]
    elif is_long_text(column):
        features = [Feature(slot, f"words({name})", f"{column.mean_words:.0f} words")]
    else:
        features = [Feature(slot, name, _category_comment(column))]
    if WORTH_MISSING <= column.missing_share <= 1 - WORTH_MISSING:
        comment = f"missing in {percent(column.missing_share)}"
        features.append(Feature(f"{slot}_missing", f"missing({name})", comment))
    return features


def part_of(column: Column) -> str:
    """Return the field as part of a cross."""
    return _bucket(column) if is_continuous(column) else name_of(column)


def groups_of(column: Column) -> list[str]:
    """Return the category of each value, as ``part_of`` would make it."""
    if not is_continuous(column):
        return [category_text(value) for value in column.values]
    edges = edges_of(column)
    return [str(bisect_right(edges, value)) for value in column.values]


def is_continuous(column: Column) -> bool:
    """Say whether the field is a quantity: a number that is no code and has many values."""
    is_code = column.is_whole and CODE_NAMES.search(column.path[-1]) is not None
    return column.is_number and not is_code and not (column.is_whole and len(column.counts) <= FEW_VALUES)


def is_long_text(column: Column) -> bool:
    """Say whether the field holds sentences rather than names."""
    return column.all_of(str) and column.mean_words >= LONG_TEXT_WORDS and column.distinct_share > 0.2


def is_nearly_unique(column: Column) -> bool:
    """Say whether a value hardly ever comes again."""
    return column.distinct_share > NEARLY_UNIQUE and len(column.values) > FEW_VALUES


def edges_of(column: Column) -> tuple[float, ...]:
    """Return the edges that part the numbers into about ten parts of one size; rounded, ascending."""
    edges = _edges(column.numbers)
    if len(edges) >= FEW_EDGES:
        return edges
    # Most numbers are the smallest one: tell it from the rest, and part the rest.
    above = column.numbers[bisect_right(column.numbers, column.numbers[0]) :]
    return tuple(sorted({above[0], *(edge for edge in _edges(above) if edge > above[0])}))


def _edges(ascending: Sequence[float]) -> tuple[float, ...]:
    rounded = {_rounded(ascending[share * len(ascending) // BUCKETS]) for share in range(1, BUCKETS)}
    # An edge at the smallest number would leave the bucket below it empty.
    return tuple(sorted(edge for edge in rounded if edge > ascending[0]))


def _rounded(number: float) -> float:
    """Return the number to two digits, as a person would write an edge."""
    if number == 0:
        return 0
    digits = 1 - math.floor(math.log10(abs(number)))
    return round(number, digits)


def _written(number: float) -> str:
    return str(int(number)) if number == int(number) else repr(number)


def _bucket(column: Column) -> str:
    return f"bucket({name_of(column)}, {', '.join(_written(edge) for edge in edges_of(column))})"


def _number_features(slot: str, name: str, column: Column) -> list[Feature]:
    low, middle, high = column.numbers[0], column.quantile(0.5), column.numbers[-1]
    comment = f"{low:g} to {high:g}, median {middle:g}"
    if not _has_heavy_tail(column):
        return [Feature(slot, _bucket(column), comment)]
    features = [Feature(slot, f"log_bucket({name}, 2)", f"{comment}: a heavy tail")]
    if low >= 0:
        features.append(Feature(f"{slot}_log", f"log1p({name})", "the same as a number"))
    return features


def _has_heavy_tail(column: Column) -> bool:
    sizes = sorted(map(abs, column.numbers))
    middle, high = sizes[len(sizes) // 2], sizes[len(sizes) * 99 // 100]
    return column.is_whole and high > HEAVY_TAIL * max(middle, 1)


def _time_features(slot: str, name: str, column: Column) -> list[Feature]:
    features = [Feature(f"{slot}_weekday", f"weekday({name})", "0 is Monday, UTC")]
    if roles.has_time_of_day(column):
        features.insert(
            0, Feature(f"{slot}_hour", f"hour({name})", "UTC; hour(…, 2) for two hours east of it")
        )
    return features


def _separator(column: Column) -> str:
    """Return what parts the pieces of a list; "" where the field holds none."""
    if not column.all_of(str):
        return ""
    for separator in SEPARATORS:
        lists = [value.split(separator) for value in column.values if separator in value]
        pieces = {piece.strip() for pieces in lists for piece in pieces}
        # A list's pieces come again in other lists; a sentence's rarely do.
        if 2 * len(lists) > len(column.values) and 2 * len(pieces) < len(column.counts):
            return separator
    return ""


def _category_comment(column: Column) -> str:
    common, count = column.counts.most_common(1)[0]
    shown = common if len(common) <= 30 else common[:29] + "…"
    kinds = "" if column.is_number or column.all_of(str) or column.all_of(bool) else ", of mixed types"
    return f"{len(column.counts):,} values{kinds}, {percent(count / len(column.values))} {shown}"
