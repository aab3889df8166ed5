"""
A model file proposed from a sample: readable, sensible, and a beginning rather than an end.

Nothing is learned into the model here: the sample decides which features there are and where their
buckets end.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from itertools import combinations, pairwise
from statistics import fmean
from typing import Any

from stream_ml.errors import ConfigError
from stream_ml.features.model_file import RESERVED_SLOT
from stream_ml.features.problems import did_you_mean
from stream_ml.features.proposals import roles
from stream_ml.features.proposals.explained import explained_share
from stream_ml.features.proposals.sample import Array, Column, Path, Sample, category_text, take_sample
from stream_ml.features.proposals.suggestions import (
    Feature,
    features_of,
    groups_of,
    is_continuous,
    is_long_text,
    is_nearly_unique,
    name_of,
    part_of,
    percent,
    slot_of,
)
from stream_ml.features.typed import quoted

# Enough for ten buckets and the mean label of a hundred categories.
SAMPLE_EVENTS = 20_000
# What explains so much of the label was hardly known before it.
LEAK = 0.9
# Crosses are looked for among the fields that explain most, of at most so many values each.
CROSS_FIELDS, CROSS_VALUES, MOST_CROSSES, CROSSES_A_FIELD = 8, 200, 4, 2
# A cross must explain that much more of the label than its better part.
CROSS_GAIN = 0.005
# A whole number is a name rather than a quantity if each value by itself explains that much more.
NAME_GAIN = 0.01


@dataclass
class Proposal:
    """
    What a model file is to hold.

    Attributes:
        events: in the sample; drawn from *seen* ones.
        keys: of the top of the file: expression or word, and comment.
        left_out: fields, each with the reason.
    """

    name: str
    events: int
    seen: int
    loss: str
    keys: dict[str, tuple[str, str]] = field(default_factory=dict)
    features: list[Feature] = field(default_factory=list)
    left_out: list[tuple[str, str]] = field(default_factory=list)


def propose(
    name: str,
    events: Iterable[Mapping[str, Any]],
    *,
    now: datetime,
    label: str | None = None,
    size: int = SAMPLE_EVENTS,
) -> Proposal:
    """
    Return a proposal.

    Args:
        name: of the model.
        events: of which a sample is drawn evenly.
        now: no event happened later.
        label: the field that is learned; None looks for one.
        size: of the sample.

    Raises:
        ConfigError: there are no events, no field looks like a label, or none is fit for a feature.
    """
    sample = take_sample(events, size)
    if not sample.events:
        raise ConfigError("there are no events to look at")
    chosen = _label(sample, label)
    proposer = _Proposer(sample, chosen, now)
    proposal = Proposal(
        name, sample.events, sample.seen, "logistic" if len(chosen.counts) == 2 else "squared"
    )
    proposer.fill(proposal)
    if not proposal.features:
        reasons = "; ".join(f"{name}: {reason}" for name, reason in proposal.left_out)
        raise ConfigError(f"no field is fit for a feature\n  detail: {reasons or 'there is only the label'}")
    return proposal


def _label(sample: Sample, wanted: str | None) -> Column:
    if wanted is None:
        found = roles.find_label(sample)
        if found is None:
            raise ConfigError("no field has two values, as a label has\n  hint: name one with --label FIELD")
        return found
    by_name = {".".join(path): column for path, column in sample.columns.items()}
    if wanted not in by_name:
        raise ConfigError(f"no event has a field {wanted!r}\n  hint: {did_you_mean(wanted, by_name)}")
    column = by_name[wanted]
    if len(column.counts) < 2 or not (len(column.counts) == 2 or column.is_number):
        detail = f"the field {wanted!r} has {len(column.counts)} values"
        raise ConfigError(f"{detail}\n  hint: a label is a number, or one of two values")
    return column


class _Proposer:
    def __init__(self, sample: Sample, label: Column, now: datetime) -> None:
        self.sample = sample
        self.label = label
        self.label_expression, self.targets = _target(label)
        self.event_id = roles.find_event_id(sample, label)
        self.timestamp = roles.find_timestamp(sample, now)
        self.groups: dict[Path, list[str]] = {}

    def fill(self, proposal: Proposal) -> None:
        proposal.keys = self._keys()
        kept = []
        for column in self.sample.columns.values():
            if column is self.label or column is self.event_id:
                continue
            reason = self._reason_against(column)
            if reason:
                proposal.left_out.append((name_of(column), reason))
            else:
                kept.append(column)
                proposal.features.extend(features_of(column))
                proposal.features.extend(self._as_name(column))
        proposal.features.extend(self._crosses(kept))
        proposal.features = _with_own_names(proposal.features)

    def _keys(self) -> dict[str, tuple[str, str]]:
        keys = {}
        if self.event_id is not None:
            keys["event_id"] = (name_of(self.event_id), "no two events share it: a repeat is learned once")
        if self.timestamp is not None:
            keys["timestamp"] = (name_of(self.timestamp), "an instant in every event")
        mean = fmean(self.targets.values())
        shown = percent(mean) + " are 1" if len(self.label.counts) == 2 else f"mean {mean:.4g}"
        keys["label"] = (self.label_expression, shown)
        if self.label.missing_share > 0:
            keys["unlabelled"] = ("skip", f"{percent(self.label.missing_share)} of the events have no label")
        return keys

    def _reason_against(self, column: Column) -> str:
        """Return why the field makes no feature; "" if it does."""
        if not column.values:
            return "always missing"
        if not all(column.path):
            return "a field without a name"
        if any(isinstance(value, Array) for value in column.values):
            return "an array, which no expression reads"
        if len(column.counts) == 1:
            return f"always {next(iter(column.counts))}" + (" or missing" if column.missing_share else "")
        if _counts_rows(column):
            return "counts the events"
        if roles.is_milliseconds(column):
            return "milliseconds since 1970: let the producer send seconds, or ISO 8601 text"
        if roles.is_time(column):
            return ""
        share = self._explained(column)
        if share > LEAK:
            return f"tells {percent(share)} of the label: was it known before?"
        return self._reason_against_values(column)

    def _reason_against_values(self, column: Column) -> str:
        is_name = column.all_of(str) and not is_long_text(column)
        is_number_id = column.is_whole and roles.ID_NAMES.search(column.path[-1]) is not None
        if (is_name or is_number_id) and is_nearly_unique(column):
            return "nearly every event has another one: nothing learned of it comes again"
        return ""

    def _as_name(self, column: Column) -> list[Feature]:
        """Return the number as a category too, where it names (an agent, a shop) more than it measures."""
        if not (column.is_whole and is_continuous(column)):
            return []
        by_value = explained_share(
            self.targets, column.rows, [category_text(value) for value in column.values]
        )
        gain = by_value - self._explained(column)
        comment = f"each value by itself explains {percent(gain)} more of the label"
        return (
            [Feature(f"{slot_of(column.path)}_value", name_of(column), comment)] if gain > NAME_GAIN else []
        )

    def _groups(self, column: Column) -> list[str]:
        if column.path not in self.groups:
            self.groups[column.path] = groups_of(column)
        return self.groups[column.path]

    def _explained(self, column: Column) -> float:
        return explained_share(self.targets, column.rows, self._groups(column))

    def _crosses(self, kept: list[Column]) -> list[Feature]:
        """Return crosses of fields that explain the label better together than the better one alone."""
        small = [c for c in kept if not roles.is_time(c) and len(set(self._groups(c))) <= CROSS_VALUES]
        alone = {column.path: self._explained(column) for column in small}
        best = sorted(small, key=lambda column: -alone[column.path])[:CROSS_FIELDS]
        gains = []
        for one, other in combinations(best, 2):
            rows, groups = self._paired(one, other)
            gain = explained_share(self.targets, rows, groups) - max(alone[one.path], alone[other.path])
            if gain >= CROSS_GAIN:
                gains.append((gain, one, other))
        gains.sort(key=lambda found: -found[0])
        used: Counter[Path] = Counter()
        chosen: list[Feature] = []
        for gain, one, other in gains:
            if max(used[one.path], used[other.path]) < CROSSES_A_FIELD and len(chosen) < MOST_CROSSES:
                used.update((one.path, other.path))
                chosen.append(_cross(gain, one, other))
        return chosen

    def _paired(self, one: Column, other: Column) -> tuple[list[int], list[str]]:
        """Return the rows that have both fields, and the pair of their categories."""
        others = dict(zip(other.rows, self._groups(other), strict=True))
        ones = zip(one.rows, self._groups(one), strict=True)
        pairs = [(row, f"{group}\x1f{others[row]}") for row, group in ones if row in others]
        return [row for row, _ in pairs], [pair for _, pair in pairs]


def _target(label: Column) -> tuple[str, dict[int, float]]:
    """Return the label's expression, and its value by row."""
    name = name_of(label)
    if label.is_number and (len(label.counts) > 2 or set(label.counts) in ({"0", "1"}, {"-1", "1"})):
        return name, {
            row: max(float(v), 0.0) if len(label.counts) == 2 else float(v) for row, v in _pairs(label)
        }
    if label.is_number:
        high = label.numbers[-1]
        return f"{name} == {high:g}", {row: float(value == high) for row, value in _pairs(label)}
    if label.all_of(bool):
        return f"bool({name})", {row: float(value) for row, value in _pairs(label)}
    positive = roles.positive_value(label)
    return f"{name} == {quoted(positive)}", {
        row: float(category_text(v) == positive) for row, v in _pairs(label)
    }


def _pairs(column: Column) -> Iterable[tuple[int, Any]]:
    return zip(column.rows, column.values, strict=True)


def _counts_rows(column: Column) -> bool:
    """Say whether the whole numbers go up one by one, or by the steps of an even sample."""
    return column.is_whole and column.distinct_share == 1 and all(a < b for a, b in pairwise(column.values))


def _cross(gain: float, one: Column, other: Column) -> Feature:
    slot = f"{slot_of(one.path)}_{slot_of(other.path)}"
    comment = f"explain {percent(gain)} more of the label than the better one alone"
    return Feature(slot, f"cross({part_of(one)}, {part_of(other)})", comment)


def _with_own_names(features: list[Feature]) -> list[Feature]:
    """Number the slots whose names came out the same."""
    taken = {RESERVED_SLOT}
    named = []
    for feature in features:
        slot, number = feature.slot, 1
        while slot in taken:
            number += 1
            slot = f"{feature.slot}_{number}"
        taken.add(slot)
        named.append(Feature(slot, feature.expression, feature.comment))
    return named
