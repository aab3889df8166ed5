"""The rules of helm/stream-ml/alerts/ as tests read them, and the same in less time."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[1]
FILES = sorted((ROOT / "helm/stream-ml/alerts/").glob("*.yaml"))
RUNBOOKS = ROOT / "docs/runbooks/"
# [5m], also of a subquery; offset 1h.
_WINDOW = re.compile(r"(\[|:|\boffset\s+)(\d+)(ms|[smhdwy])(?=[\]:]|\b)")
_SECONDS = {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800, "y": 31_536_000}
_OBJECTIVE_SECONDS = re.compile(r"stream_ml:objective:\w+_seconds")


def rules(files: list[Path] = FILES) -> Iterator[dict[str, Any]]:
    """Yield every rule of *files*."""
    for path in files:
        for group in yaml.safe_load(path.read_text())["groups"]:
            yield from group["rules"]


def alerts() -> list[dict[str, Any]]:
    """Return the rules that ring."""
    return [rule for rule in rules() if "alert" in rule]


def scaled(text: str, factor: float) -> str:
    """
    Return a file of rules with all durations divided by *factor*, at least a millisecond each.

    There are three kinds: windows and offsets, `for`, and objectives in seconds.
    """
    document = yaml.safe_load(text)
    for group in document["groups"]:
        for rule in group["rules"]:
            rule["expr"] = _WINDOW.sub(lambda w: w[1] + _shorter(w[2], w[3], factor), rule["expr"])
            if "for" in rule:
                count, unit = re.findall(r"\d+|[a-z]+", rule["for"])
                rule["for"] = _shorter(count, unit, factor)
            if _OBJECTIVE_SECONDS.fullmatch(rule.get("record", "")):
                rule["expr"] = repr(float(rule["expr"]) / factor)
    return yaml.safe_dump(document, sort_keys=False)


def _shorter(count: str, unit: str, factor: float) -> str:
    return f"{max(1, round(1000 * int(count) * _SECONDS[unit] / factor))}ms"
