"""The tables of docs/load.md, made from the results files."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import orjson

from loadtest.report import shown
from loadtest.results import FOLDER, rows_table, table, with_tables

PAGE = Path(__file__).parents[1] / "docs" / "load.md"
# What a person sizes by: words, the results file, the figure.
SIZING = (
    ("events of 39 fields a second, JSON → updated rows, one core", "learn", "events_per_second"),
    ("the same, two cores", "learn", "events_per_second_two_cores"),
    ("the same from Kafka, the broker on the same two cores", "ingest", "events_per_second_packed"),
    ("the same with rows in Redis, one core each for learner and Redis", "learn-redis", "events_per_second"),
    ("calls a second for one score each, one core, p99 ≤ 10 ms", "serve", "knee_calls_per_second"),
    ("calls a second for 50 scores each, one core, p99 ≤ 10 ms", "scenarios", "held_calls_per_second"),
    ("scores a second of these, one core", "scenarios", "held_scores_per_second"),
    ("changed rows a second that a predictor applies beside them", "serve", "feed_rows_per_second"),
    ("memory of a live row, slack of a growing table included, bytes", "memory", "bytes_per_row"),
    ("memory of a row in Redis, bytes", "learn-redis", "bytes_per_row"),
    ("a predictor's start → its first score, 51.2 million rows, s", "recover", "seconds_to_first_score"),
)


def made(page: str, folder: Path = FOLDER) -> str:
    """Return the page with its tables made anew; one whose results are not there yet is empty."""
    parts: Mapping[str, Callable[[Path], Iterable[str]]] = {
        "scenarios": lambda folder: _rows(folder, "scenarios"),
        "sizing": _sizing,
        "endurance": lambda folder: _rows(folder, "endurance"),
    }
    for name, lines in parts.items():
        tables = "".join(f"{line}\n" for line in lines(folder))
        page = with_tables(page, tables, f"<!-- {name}:begin -->", f"<!-- {name}:end -->")
    return page


def refresh() -> None:
    """Write the tables into the page."""
    PAGE.write_text(made(PAGE.read_text()))


def _read(folder: Path, name: str) -> dict[str, Any]:
    path = folder / f"{name}.json"
    found: dict[str, Any] = orjson.loads(path.read_bytes()) if path.exists() else {}
    return found


def _rows(folder: Path, name: str) -> Iterable[str]:
    if result := _read(folder, name):
        yield f"{result['machine']} · commit {result['commit']} · load {result['load_average']}"
        yield ""
        yield from rows_table(result)


def _sizing(folder: Path) -> Iterable[str]:
    results = {name: _read(folder, name) for _, name, _ in SIZING}
    lines = [
        [words, shown(results[name][figure]), f"`{name}`"]
        for words, name, figure in SIZING
        if figure in results[name]
    ]
    yield from table(["measured", "figure", "by `loadtest`"], lines)
