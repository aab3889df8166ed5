"""What an expression of PromQL uses, as Prometheus's own grammar has it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

import promql_parser

# Of our processes: declared by us, or by the client library.
_OURS = ("stream_ml_", "process_", "python_")
_GROUPED = re.compile(r"\b(?:by|on|without|ignoring|group_left|group_right)\s*\(([^)]*)\)")


@dataclass(frozen=True)
class Series:
    """What an expression selects: a name, and the values of labels that it asks for."""

    name: str
    matchers: tuple[tuple[str, str], ...]


def selected(expression: str) -> list[Series]:
    """
    Return the series that *expression* selects.

    Raises:
        ValueError: it is no expression.
    """
    found: list[Series] = []

    def see(node: Any) -> None:
        if isinstance(node, promql_parser.VectorSelector):
            matchers = tuple((each.name, each.value) for each in node.matchers.matchers)
            found.append(Series(node.name or "", matchers))

    promql_parser.walk(promql_parser.parse(expression), see)
    return found


def selected_of_ours(expression: str) -> list[Series]:
    """Return those that processes of ours export."""
    return [each for each in selected(expression) if each.name.startswith(_OURS)]


def recorded(expression: str) -> set[str]:
    """Return the names of those that rules record: they have colons."""
    return {each.name for each in selected(expression) if ":" in each.name}


def grouped(expression: str) -> set[str]:
    """Return the labels that *expression* groups or joins by."""
    found = ",".join(_GROUPED.findall(expression)).split(",")
    return {label.strip() for label in found if label.strip()}
