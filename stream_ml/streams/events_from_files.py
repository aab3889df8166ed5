"""
Events out of files: JSON lines, CSV and Parquet, compressed or not, on any store that fsspec reads.

One conversion for everyone: what ``init`` looks at is what ``send`` pushes.
"""

from __future__ import annotations

import codecs
import csv
import io
import lzma
import re
import sys
import zipfile
import zlib
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from functools import lru_cache
from itertools import chain
from pathlib import PurePosixPath
from typing import IO, Any, cast

import fsspec
import orjson

from stream_ml.errors import ConfigError

Event = dict[str, Any] | bytes

FORMATS = {
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".json": "jsonl",
    ".csv": "csv",
    ".tsv": "csv",
    ".parquet": "parquet",
    ".pq": "parquet",
}
COMPRESSIONS = {".gz", ".bz2", ".xz", ".zip", ".zst", ".lzma"}

# What spreadsheets, databases and pandas write for "nothing". A cell that means one of these words by
# its letters (NA for Namibia) needs another value of *missing*.
MISSING = frozenset({"", "NULL", "null", "NA", "N/A", "NaN", "nan", "\\N"})

# JSON's own numbers. A leading zero ("007") is a name, not a number, and stays text.
NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*)(?P<fraction>\.[0-9]+)?(?P<exponent>[eE][+-]?[0-9]+)?")

# A float64 holds every whole number up to here; a longer one is a name made of digits.
LARGEST_WHOLE_NUMBER = 2**53
LONGEST_WHOLE_NUMBER = len(f"-{LARGEST_WHOLE_NUMBER}")

BOOLS = {"true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False}
DELIMITERS = ",;\t|"
PARQUET_ROWS_A_BATCH = 10_000


def read_events(
    path: str, file_format: str | None = None, *, missing: frozenset[str] = MISSING
) -> Iterator[Event]:
    """
    Yield the events of a file, in its order.

    Args:
        path: a file or an fsspec URL; compressed by its extension (gz, bz2, xz, zip); ``-`` is standard
            input (JSON lines, unless *file_format* says otherwise).
        file_format: ``jsonl``, ``csv`` or ``parquet``; None goes by the extension.
        missing: the CSV cells that mean "nothing": their keys are left out of the event.

    Returns:
        The bytes of a line of JSON lines, as they are (unchecked); else a dict that JSON can hold.

    Raises:
        ConfigError: there is no such file, or it is not what it claims to be.
    """
    kind = file_format or ("jsonl" if path == "-" else format_of(path))
    if kind not in {"jsonl", "csv", "parquet"}:
        raise ConfigError(f"unknown format {kind!r}\n  hint: jsonl, csv or parquet")
    with _opened(path) as file:
        if kind == "csv":
            yield from _csv_events(file, path, missing)
        elif kind == "parquet":
            yield from _parquet_events(file, path)
        else:
            yield from _json_lines(file, path)


def format_of(path: str) -> str:
    """Return the format that the extension of *path* stands for (a compression's set aside)."""
    suffixes = [suffix.lower() for suffix in PurePosixPath(path).suffixes]
    named = [suffix for suffix in suffixes if suffix not in COMPRESSIONS]
    if not named or named[-1] not in FORMATS:
        raise ConfigError(
            f"{path}: the extension names no format\n  hint: say --format jsonl, csv or parquet"
        )
    return FORMATS[named[-1]]


def event_bytes(event: Event) -> bytes:
    """Return the event as one line of JSON, as a producer pushes it."""
    return event if isinstance(event, bytes) else orjson.dumps(event)


# Cells repeat: looking one up is several times as fast as reading it again.
@lru_cache(maxsize=100_000)
def value_of_cell(cell: str) -> str | int | float | bool:
    """Return what a CSV cell says: a number where it is one, true or false, else its text."""
    match = NUMBER.fullmatch(cell)
    if match is None:
        return BOOLS.get(cell, cell)
    if match["fraction"] is None and match["exponent"] is None:
        whole = int(cell) if len(cell) <= LONGEST_WHOLE_NUMBER else LARGEST_WHOLE_NUMBER + 1
        return whole if abs(whole) <= LARGEST_WHOLE_NUMBER else cell
    number = float(cell)
    return number if abs(number) != float("inf") else cell


# What the standard library says of compressed files that are not what they claim to be.
_DAMAGED = (zlib.error, lzma.LZMAError, zipfile.BadZipFile)


@contextmanager
def _opened(path: str) -> Iterator[IO[bytes]]:
    if path == "-":
        yield sys.stdin.buffer
        return
    try:
        with _decompressed(path) as file:
            yield file
    except FileNotFoundError:
        raise ConfigError(f"{path}: no such file") from None
    except (OSError, EOFError, *_DAMAGED) as error:
        raise ConfigError(f"{path}: cannot be read: {error}") from error
    except (ImportError, ValueError) as error:
        # fsspec's words for a compression or store whose library is not installed, or an unknown one.
        raise ConfigError(f"{path}: cannot be opened: {error}") from error


@contextmanager
def _decompressed(path: str) -> Iterator[IO[bytes]]:
    suffix = PurePosixPath(path).suffix.lower()
    if suffix == ".zip":
        with fsspec.open(path, "rb") as archive, zipfile.ZipFile(archive) as files:
            member = _only_member(files, path)
            with files.open(member) as file:
                yield file
        return
    # Else fsspec reads the compressed bytes as they are; or by the package zstandard, which knows no lines
    # and takes a broken file for a whole one.
    if suffix == ".zst" and getattr(fsspec.compression.compr.get("zstd"), "__name__", "") != "ZstdFile":
        raise ConfigError(f"{path}: Zstandard needs backports.zstd\n  hint: pip install backports.zstd")
    with fsspec.open(path, "rb", compression="infer") as file:
        yield cast(IO[bytes], file)


def _only_member(files: zipfile.ZipFile, path: str) -> zipfile.ZipInfo:
    members = [
        # What macOS adds beside each file is no file of the user's.
        each
        for each in files.infolist()
        if not each.is_dir() and not each.filename.startswith("__MACOSX/")
    ]
    if len(members) != 1:
        raise ConfigError(
            f"{path}: {len(members)} files in one archive\n  hint: unzip it, then name each file"
        )
    if members[0].flag_bits & 1:
        raise ConfigError(f"{path}: encrypted\n  hint: unzip it first")
    return members[0]


# What a text begins with that is no lines of JSON in UTF-8.
_NO_LINES = {
    b"[": ("a JSON array, not one object a line", "jq -c '.[]' makes lines of it"),
    codecs.BOM_UTF16_LE: ("UTF-16, not UTF-8", "iconv -f UTF-16 -t UTF-8 converts it"),
    codecs.BOM_UTF16_BE: ("UTF-16, not UTF-8", "iconv -f UTF-16 -t UTF-8 converts it"),
    b"\x1f\x8b": ("compressed by gzip, but not named so", "end its name in .gz, or gunzip it"),
}


def _json_lines(file: IO[bytes], path: str) -> Iterator[bytes]:
    for number, line in enumerate(file, start=1):
        # A mark that some editors put before a text is of the file, not of its first event.
        stripped = (line.removeprefix(codecs.BOM_UTF8) if number == 1 else line).strip()
        if number == 1:
            _check_lines(stripped, path)
        if stripped:
            yield stripped


def _check_lines(first: bytes, path: str) -> None:
    for beginning, (detail, hint) in _NO_LINES.items():
        if first.startswith(beginning):
            raise ConfigError(f"{path}: {detail}\n  hint: {hint}")


def _csv_events(file: IO[bytes], path: str, missing: frozenset[str]) -> Iterator[dict[str, Any]]:
    text = io.TextIOWrapper(file, encoding="utf-8-sig", newline="")
    try:
        head: list[str] = []
        delimiter = max(DELIMITERS, key=lambda each: _columns(text, head, each))
        rows = csv.reader(chain(head, text), delimiter=delimiter, skipinitialspace=True, strict=True)
        names = _column_names(next(rows, []), path)
        for row in rows:
            if row:
                yield _row_event(names, row, missing, f"{path}:{rows.line_num}")
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: not UTF-8: {error}\n  hint: iconv -t UTF-8 converts it") from error
    except csv.Error as error:
        raise ConfigError(f"{path}: not CSV: {error}") from error
    finally:
        text.detach()


def _columns(text: Iterator[str], head: list[str], delimiter: str) -> int:
    """Return how many columns the header has by *delimiter*; adds the lines to *head* that it takes."""

    def taken() -> Iterator[str]:
        for line in text:
            head.append(line)
            yield line

    lines = chain(list(head), taken())
    try:
        # A name in quotes may have delimiters and line breaks; after it comes the delimiter.
        return len(next(csv.reader(lines, delimiter=delimiter, skipinitialspace=True, strict=True), []))
    except csv.Error:
        return 0


def _row_event(names: list[str], row: list[str], missing: frozenset[str], place: str) -> dict[str, Any]:
    if len(row) != len(names):
        raise ConfigError(f"{place}: {len(row)} cells under a header of {len(names)}")
    cells = ((name, cell.strip()) for name, cell in zip(names, row, strict=True))
    return {name: value_of_cell(cell) for name, cell in cells if cell not in missing}


def _column_names(header: Iterable[str], path: str) -> list[str]:
    # pandas leaves the header of its index empty.
    names = [name.strip() or f"column_{at}" for at, name in enumerate(header, start=1)]
    repeated = sorted({name for name in names if names.count(name) > 1})
    numbers = [name for name in names if not isinstance(value_of_cell(name), str)]
    if not names:
        detail = "there is no header"
    elif repeated:
        detail = f"the header repeats {', '.join(repeated)}"
    elif numbers and names != [str(at) for at in range(len(names))]:
        # The numbers from 0 on are what pandas calls columns without a name.
        detail = f"the first line holds values such as {numbers[0]}, not the names of columns"
    else:
        return names
    raise ConfigError(f"{path}: {detail}\n  hint: the first line of a CSV file names its columns, each once")


def _parquet_events(file: IO[bytes], path: str) -> Iterator[dict[str, Any]]:
    try:
        import pyarrow
        import pyarrow.parquet
    except ModuleNotFoundError as error:
        raise ConfigError(
            f"{path}: Parquet needs pyarrow\n  hint: pip install 'stream-ml[parquet]'"
        ) from error
    try:
        table = pyarrow.parquet.ParquetFile(file)
        check_names(table.schema_arrow.names, path)
        for batch in table.iter_batches(PARQUET_ROWS_A_BATCH):
            for row in batch.to_pylist():
                yield without_nothing(row)
    except pyarrow.ArrowInvalid as error:
        raise ConfigError(f"{path}: not Parquet: {error}") from error
    except OverflowError as error:  # a timestamp or a duration that Python has no value for
        raise ConfigError(f"{path}: a value beyond the years 1 to 9999: {error}") from error


def check_names(names: Iterable[str], source: str) -> None:
    """Raise ConfigError if a column of *source* is there twice: an event has one value a name."""
    repeated = sorted(name for name, count in Counter(names).items() if count > 1)
    if repeated:
        raise ConfigError(
            f"{source}: several columns are called {', '.join(repeated)}\n  hint: rename all but one"
        )


def without_nothing(row: dict[str, Any]) -> dict[str, Any]:
    """Return the values of a row as JSON can hold them, without those that are null or not a number."""
    return {name: _json_value(value) for name, value in row.items() if not _is_nothing(value)}


def _is_nothing(value: Any) -> bool:
    # NaN is the only value that differs from itself; pandas writes it for "nothing".
    return value is None or value != value


def _json_value(value: Any) -> Any:
    if isinstance(value, datetime | date | time):
        return value.isoformat()
    if isinstance(value, Decimal):
        return float(value)
    if isinstance(value, timedelta):
        return value.total_seconds()
    if isinstance(value, bytes):
        return value.decode("utf-8", errors="replace")
    if isinstance(value, dict):
        return without_nothing(value)
    if isinstance(value, list | tuple):
        return [_json_value(each) for each in value]
    return value
