"""What a load test found: one object for scripts, one table for people, both with machine, method, commit."""

from __future__ import annotations

import os
import platform
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson
from rich.console import Console
from rich.table import Table

Value = str | int | float | bool | None
ORIGIN = {"name", "quick", "seed", "method", "machine", "commit", "load_average", "measured_at"}
NO_FIGURES = ORIGIN | {"bars", "cases"}


@dataclass(frozen=True, slots=True)
class Report:
    """
    One run of one load test.

    Attributes:
        figures: the results by their fixed names, and whatever else the run wants said.
        bars: the figures' names → what the bar asks, as a text that begins with ≥ or ≤ or =.
        rows: one mapping a contestant or case, all with the same keys; what the printed table shows. Named
            ``cases`` in the object where ``rows`` is a figure.
        load_average: of the minute before the run; above a few tenths something else disturbed it.
    """

    name: str
    method: str
    seed: int
    quick: bool
    figures: Mapping[str, Value]
    bars: Mapping[str, str] = field(default_factory=dict)
    rows: Sequence[Mapping[str, Value]] = ()
    load_average: float = 0.0

    def as_object(self) -> dict[str, Any]:
        """Return the one object that ``--json`` prints and that a results file holds."""
        return {
            "name": self.name,
            **self.figures,
            "bars": dict(self.bars),
            "cases" if "rows" in self.figures else "rows": [dict(row) for row in self.rows],
            "quick": self.quick,
            "seed": self.seed,
            "method": self.method,
            "machine": machine(),
            "commit": commit(),
            "load_average": round(self.load_average, 2),
            "measured_at": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        }


def save(result: Mapping[str, Any], path: Path) -> None:
    """Write a results file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(orjson.dumps(result, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE))


def show(result: Mapping[str, Any], console: Console) -> None:
    """Print the rows, then the figures beside their bars, then how it was measured."""
    rows: Sequence[Mapping[str, Value]] = result["cases" if "cases" in result else "rows"]
    if rows:
        table = Table(*rows[0], title=result["name"])
        for row in rows:
            table.add_row(*map(shown, row.values()))
        console.print(table)
    for name in (name for name in result if name not in NO_FIGURES and result[name] is not rows):
        bar = bar_of(result, name)
        console.print(f"{name:32} {shown(result[name]):>14}" + (f"   bar {bar}" if bar else ""))
    origin = [result["machine"], f"load {result['load_average']}"]
    origin += [f"commit {result['commit']}", f"seed {result['seed']}"]
    console.print(result["method"])
    console.print(" · ".join(origin + ["quick: figures of a short run"] * result["quick"]))


def shown(value: Value) -> str:
    """Return a figure as a person reads it: three or four digits that count."""
    if value is None:
        return "–"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return value
    if abs(value) >= 1_000:
        return f"{value:,.0f}"
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def bar_of(result: Mapping[str, Any], figure: str) -> str:
    """Return what the bar asks of *figure*, and that it is missed, if it is; "" without a bar."""
    bar: str = result["bars"].get(figure, "")
    if not bar or _is_met(result[figure], *bar.split()):
        return bar
    return f"{bar} (missed)"


def _is_met(value: Value, relation: str, asked: str) -> bool:
    if isinstance(value, bool):
        return shown(value) == asked
    if not isinstance(value, int | float):
        return False
    return {"≥": value >= float(asked), "≤": value <= float(asked), "=": value == float(asked)}[relation]


def machine() -> str:
    """Name processor, cores, memory and the versions that matter."""
    gibibytes = int(_value("/proc/meminfo", "MemTotal").removesuffix(" kB") or 0) / 2**20
    system = f"Linux {platform.release().split('-')[0]}, Python {platform.python_version()}"
    return f"{_value('/proc/cpuinfo', 'model name')}, {os.cpu_count()} cores, {gibibytes:.0f} GiB, {system}"


def commit() -> str:
    """Return the short hash of the checkout, with ``+`` where tracked files differ from it."""

    def git(*arguments: str) -> str:
        command = ["git", "-C", str(Path(__file__).parent), *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()

    changed = git("status", "--porcelain", "--untracked-files=no")
    return (git("rev-parse", "--short", "HEAD") or "unknown") + ("+" if changed else "")


def _value(path: str, name: str) -> str:
    """Return what a file of ``name: value`` lines says, "" where there is no such file or line."""
    lines = Path(path).read_text().splitlines() if Path(path).exists() else []
    return next((line.partition(":")[2].strip() for line in lines if line.startswith(name)), "")
