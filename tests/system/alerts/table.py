"""`python -m tests.system.alerts.table`: writes what the last run with full counts saw into docs/soak.md."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson

from tests.alerts import ROOT

RECORD, PAGE = ROOT / "docs/results/soak.json", ROOT / "docs/soak.md"
BEGIN, END = "<!-- faults:begin -->\n", "<!-- faults:end -->"
_TEST = "test_faults_ring_as_they_should_and_nothing_else_does"
_HEAD = """| fault | rings | beside it | rings after, s | silent after it was mended, s | an hour is, s |
|---|---|---|---|---|---|
"""


def table(record: Mapping[str, Any]) -> str:
    """Return the table of every fault in *record*, as `make soak` keeps it."""
    groups = {name: seen for name, seen in record["figures"].items() if name.startswith(_TEST)}
    return _HEAD + "".join(_line(name, seen) for group in groups.values() for name, seen in group.items())


def _line(name: str, seen: Mapping[str, Any]) -> str:
    alert, beside = f"[{seen['alert']}](runbooks/{seen['alert']}.md)", ", ".join(seen["beside"])
    times = (seen["rings_after_seconds"], seen["silent_after_seconds"], round(seen["hours_are_seconds"]))
    return f"| {name} | {alert} | {beside or '–'} | {' | '.join(map(str, times))} |\n"


def written(page: str, record: Mapping[str, Any]) -> str:
    """Return *page* with the table of *record* in its place."""
    head, rest = page.split(BEGIN)
    return head + BEGIN + table(record) + END + rest.split(END)[1]


if __name__ == "__main__":
    PAGE.write_text(written(PAGE.read_text(), orjson.loads(RECORD.read_bytes())))
