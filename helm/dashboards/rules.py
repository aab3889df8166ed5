"""What dashboards take from the rules: which alerts there are, and what is promised."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import yaml

_ALERTS = Path(__file__).parents[1] / "stream-ml" / "alerts"


def _rules() -> Iterator[dict[str, Any]]:
    for path in sorted(_ALERTS.glob("*.yaml")):
        for group in yaml.safe_load(path.read_text())["groups"]:
            yield from group["rules"]


@cache
def alert_names() -> str:
    """Return a regular expression of our alerts' names: others ring in the same Prometheus."""
    return "|".join(sorted({rule["alert"] for rule in _rules() if "alert" in rule}))


@cache
def promised(name: str) -> float:
    """Return an objective's figure, for thresholds: Grafana compares with no series."""
    found = [float(rule["expr"]) for rule in _rules() if rule.get("record") == f"stream_ml:objective:{name}"]
    return found[0]
