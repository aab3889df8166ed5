"""The dashboards of helm/stream-ml/dashboards/ as tests read them: their panels, and what those ask."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from tests.alerts import ROOT

FILES = sorted((ROOT / "helm/stream-ml/dashboards/").glob("*.json"))
# What Grafana puts in place of a name, where everything is chosen.
CHOSEN = {"namespace": ".*", "model": ".*", "__rate_interval": "5m"}


@dataclass(frozen=True)
class Asked:
    """A query of a panel: where it stands, what is asked, and the names of its curves."""

    board: str
    panel: str
    expression: str
    legend: str


def boards() -> dict[str, dict[str, Any]]:
    """Return every dashboard as committed, by its title."""
    return {found["title"]: found for found in (json.loads(path.read_text()) for path in FILES)}


def panels(board: dict[str, Any]) -> list[dict[str, Any]]:
    """Return its panels, but for the heads of rows."""
    return [panel for panel in board["panels"] if panel["type"] != "row"]


def queries() -> Iterator[Asked]:
    """Yield every query of every panel."""
    for title, board in boards().items():
        for panel in panels(board):
            for target in panel["targets"]:
                yield Asked(title, panel["title"], target["expr"], target.get("legendFormat", ""))


def filled(expression: str, **chosen: str) -> str:
    """Return *expression* as Grafana sends it."""
    for name, value in {**CHOSEN, **chosen}.items():
        expression = expression.replace(f"${name}", value)
    return expression


def asked_for_variables(board: dict[str, Any]) -> list[str]:
    """Return the selectors whose labels' values a dashboard lets choose."""
    variables = [each for each in board["templating"]["list"] if each["type"] == "query"]
    found = [re.fullmatch(r"label_values\((.+), (\w+)\)", each["query"]) for each in variables]
    assert all(found), variables
    return [each[1] for each in found if each is not None]
