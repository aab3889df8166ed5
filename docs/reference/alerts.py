"""The pages of what is promised and of what rings, from the rules."""

from __future__ import annotations

import re
from collections import defaultdict
from pathlib import Path
from typing import Any

import yaml

from docs.reference.markdown import head, page, prose, table

_ROOT = Path(__file__).parents[2]
_RULES = _ROOT / "helm" / "stream-ml" / "alerts"
_RUNBOOKS = _ROOT / "docs" / "runbooks"
_OBJECTIVE = re.compile(r'((?:^ *# .*\n)+) *- record: (\S+)\n *expr: "([^"]+)"', re.MULTILINE)
_PREFIX = "stream_ml:objective:"
_SEVERITIES = ("critical", "warning", "info")


def objectives_text() -> str:
    """Return the page of the objectives."""
    using: dict[str, set[str]] = defaultdict(set)
    for rule in (rule for rules in _alerts().values() for rule in rules):
        for name in re.findall(rf"{_PREFIX}\w+", rule["expr"]):
            using[name].add(rule["alert"])
    rows = [
        (f"`{name.removeprefix(_PREFIX)}`", figure, meaning, ", ".join(map(_linked, sorted(using[name]))))
        for name, figure, meaning in objectives()
    ]
    return page(
        head("Objectives", "`helm/stream-ml/alerts/objectives.yaml`"),
        f"What is promised, each figure once, recorded as `{_PREFIX}NAME`: alerts compare with it, "
        "dashboards draw it. Change the figure in that file; see [operations](../operations.md#objectives).",
        table(("objective", "figure", "meaning", "judged by"), rows),
    )


def objectives() -> list[tuple[str, str, str]]:
    """Return name, figure and meaning of each objective."""
    source = (_RULES / "objectives.yaml").read_text(encoding="utf-8")
    return [
        (name, figure, prose(re.sub(r"^ *# ", "", comment, flags=re.MULTILINE)))
        for comment, name, figure in _OBJECTIVE.findall(source)
    ]


def runbooks_text() -> str:
    """Return the index of the runbooks."""
    parts = []
    for file, rules in _alerts().items():
        severities: dict[str, set[str]] = defaultdict(set)
        for rule in rules:
            severities[rule["alert"]].add(rule["labels"]["severity"])
        rows = [
            (f"[{name}]({name}.md)", _in_order(found), _meaning(name)) for name, found in severities.items()
        ]
        parts.append(page(f"## {file}", table(("alert", "severity", "means"), rows)))
    return page(
        head("Runbooks", "`helm/stream-ml/alerts/` and the pages"),
        "A page for every alert: what it means, how to see it, what to do, what happens if nothing is done. "
        "`critical`: get up; `warning`: in the morning; `info`: to know. How alerts are loaded is in "
        "[operations](../operations.md#alerts).",
        *parts,
    )


def _alerts() -> dict[str, list[dict[str, Any]]]:
    """Return the rules that ring, by file."""
    found = {}
    for path in sorted(_RULES.glob("*.yaml")):
        groups = yaml.safe_load(path.read_text(encoding="utf-8"))["groups"]
        rules = [rule for group in groups for rule in group["rules"] if "alert" in rule]
        if rules:
            found[path.stem] = rules
    return found


def _in_order(severities: set[str]) -> str:
    return ", ".join(each for each in _SEVERITIES if each in severities)


def _linked(alert: str) -> str:
    return f"[{alert}](../runbooks/{alert}.md)"


def _meaning(alert: str) -> str:
    """Return the first sentence of an alert's page."""
    words = prose((_RUNBOOKS / f"{alert}.md").read_text(encoding="utf-8").split("\n\n")[1])
    return re.split(r"(?<=\.) ", words)[0].rstrip(":.") + "."
