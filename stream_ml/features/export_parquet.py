"""Parquet with a column a slot, of the values that features are named by: for people and their notebooks."""

from __future__ import annotations

from collections.abc import Sequence
from types import TracebackType
from typing import Any, Self

from stream_ml.errors import ConfigError

Named = Sequence[tuple[str, str, int, float]]


class ParquetExport:
    """
    Writes one row an event; a context manager.

    The columns: ``label``, ``importance``, ``timestamp_us``, and ``features.SLOT`` for every slot: a number
    where the slot multiplies, a text where it names a category, a list of texts where it is a set.
    """

    def __init__(self, path: str, kinds: dict[str, str]) -> None:
        """
        Begin the file.

        Args:
            kinds: of each slot: category, number or set.
        """
        try:
            import pyarrow
            from pyarrow import parquet
        except ModuleNotFoundError as error:
            raise ConfigError("Parquet needs pyarrow\n  hint: pip install 'stream-ml[parquet]'") from error
        types = {
            "number": pyarrow.float32(),
            "category": pyarrow.string(),
            "set": pyarrow.list_(pyarrow.string()),
        }
        self._kinds = kinds
        self._schema = pyarrow.schema(
            [
                ("label", pyarrow.float32()),
                ("importance", pyarrow.float32()),
                ("timestamp_us", pyarrow.int64()),
                *((f"features.{slot}", types[kind]) for slot, kind in kinds.items()),
            ]
        )
        self._new_table = pyarrow.Table.from_pylist
        self._writer = parquet.ParquetWriter(path, self._schema)

    def write(self, rows: list[dict[str, Any]]) -> None:
        """Write rows of `row`."""
        self._writer.write_table(self._new_table(rows, schema=self._schema))

    def row(
        self, label: float, importance: float, timestamp_us: int | None, features: Named
    ) -> dict[str, Any]:
        """Return the row of an event, from its features as (slot, value text, id, x)."""
        found: dict[str, Any] = {"label": label, "importance": importance, "timestamp_us": timestamp_us}
        for slot, value, _, x in features:
            column = f"features.{slot}"
            if self._kinds[slot] == "set":
                found.setdefault(column, []).append(value)
            else:
                found[column] = x if self._kinds[slot] == "number" else value
        return found

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._writer.close()
