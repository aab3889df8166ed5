"""The census data as events, JSON lines: the control in which nothing drifts."""

from __future__ import annotations

import csv
import lzma
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import orjson

FOLDER = Path(__file__).parents[1].parent / "shared" / "data" / "adult"
MODEL = Path(__file__).parent / "data" / "adult.toml"
COLUMNS = (
    *("age", "workclass", "fnlwgt", "education", "education_num", "marital_status", "occupation"),
    *("relationship", "race", "sex", "capital_gain", "capital_loss", "hours_per_week", "native_country"),
    "income",
)
NUMBERS = {"age", "fnlwgt", "education_num", "capital_gain", "capital_loss", "hours_per_week"}
BEGIN = datetime(2026, 1, 1, tzinfo=UTC)
Row = dict[str, Any]


def rows() -> list[Row]:
    """Every row, in the order of the files; an unknown value is not there."""
    return [row for name in ("adult.data.xz", "adult.test.xz") for row in _rows(FOLDER / name)]


def _rows(path: Path) -> Iterator[Row]:
    with lzma.open(path, "rt") as lines:
        for cells in csv.reader(lines, skipinitialspace=True):
            if len(cells) == len(COLUMNS):
                yield {name: _value(name, cell) for name, cell in zip(COLUMNS, cells, strict=True)}


def _value(name: str, cell: str) -> Any:
    if cell == "?":
        return None
    return int(cell) if name in NUMBERS else cell.rstrip(".")


def events(those: Iterable[Row]) -> Iterator[bytes]:
    """Rows in their order as a producer would push them, one a minute."""
    for number, row in enumerate(those):
        at = (BEGIN + timedelta(minutes=number)).isoformat()
        yield orjson.dumps({"event_id": f"a{number}", "timestamp": at, **row})
