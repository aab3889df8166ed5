"""Events out of files: what becomes of a cell, a line, a row, and what is refused."""

import gzip
import io
import lzma
import zipfile
from collections.abc import Callable
from datetime import date, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import fsspec
import pyarrow
import pyarrow.parquet
import pytest

from stream_ml.errors import ConfigError
from stream_ml.streams.events_from_files import event_bytes, format_of, read_events, value_of_cell

CSV = b"user,price,bought\nana,1.50,1\n\nbo,,0\n"
CSV_EVENTS = [{"user": "ana", "price": 1.5, "bought": 1}, {"user": "bo", "bought": 0}]


def written(folder: Path, name: str, content: bytes) -> str:
    (folder / name).write_bytes(content)
    return str(folder / name)


@pytest.mark.parametrize(
    ("cell", "value"),
    [
        ("12", 12),
        ("-3", -3),
        ("1.50", 1.5),
        ("1e3", 1000.0),
        ("007", "007"),
        ("+1", "+1"),
        (".5", ".5"),
        ("1_000", "1_000"),
        ("1e999", "1e999"),
        ("9007199254740992", 9007199254740992),
        ("9007199254740993", "9007199254740993"),
        ("true", True),
        ("FALSE", False),
        ("Yes", "Yes"),
        ("١", "١"),
    ],
)
def test_a_cell_is_a_number_only_where_json_would_say_so(cell: str, value: object) -> None:
    assert value_of_cell(cell) == value
    assert type(value_of_cell(cell)) is type(value)


def zipped(content: bytes, *names: str) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name in names or ("inner.csv",):
            archive.writestr(name, content)
    return buffer.getvalue()


def encrypted(content: bytes) -> bytes:
    """A file that says of itself, in both its headers, that it is encrypted."""
    whole = bytearray(zipped(content))
    for mark, at in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        whole[whole.index(mark) + at] |= 1
    return bytes(whole)


def parquet(**columns: pyarrow.Array) -> bytes:
    # One name twice is given as a and a_.
    table = pyarrow.Table.from_arrays(list(columns.values()), [name.rstrip("_") for name in columns])
    pyarrow.parquet.write_table(table, buffer := io.BytesIO())
    return buffer.getvalue()


def test_what_an_archive_holds_beside_its_one_file_does_not_count(tmp_path: Path) -> None:
    packed = zipped(CSV, "sales/", "sales/2025.csv", "__MACOSX/sales/._2025.csv")
    assert list(read_events(written(tmp_path, "a.csv.zip", packed))) == CSV_EVENTS


@pytest.mark.parametrize("library", [None, "zstandard_file"])
def test_zstandard_is_refused_where_nothing_reads_it_well(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, library: str | None
) -> None:
    monkeypatch.delitem(fsspec.compression.compr, "zstd", raising=False)
    if library:
        opener = type(library, (), {})
        monkeypatch.setitem(fsspec.compression.compr, "zstd", opener)
    path = written(tmp_path, "a.jsonl.zst", b"(\xb5/\xfd$")
    with pytest.raises(ConfigError, match=r"needs backports\.zstd\n  hint: pip install"):
        list(read_events(path))


@pytest.mark.parametrize(
    ("name", "pack"),
    [("a.csv", bytes), ("a.csv.gz", gzip.compress), ("a.csv.xz", lzma.compress), ("a.csv.zip", zipped)],
)
def test_a_csv_file_is_read_whatever_its_compression(
    tmp_path: Path, name: str, pack: Callable[[bytes], bytes]
) -> None:
    assert list(read_events(written(tmp_path, name, pack(CSV)))) == CSV_EVENTS


@pytest.mark.parametrize("delimiter", [b",", b";", b"\t", b"|"])
def test_the_delimiter_is_the_one_the_header_uses(tmp_path: Path, delimiter: bytes) -> None:
    path = written(tmp_path, "a.csv", CSV.replace(b",", delimiter))
    assert list(read_events(path)) == CSV_EVENTS


@pytest.mark.parametrize(
    ("header", "names"),
    [
        (b'"user,\nname";"a, b, c";bought', ["user,\nname", "a, b, c", "bought"]),
        (b'"user\r\n\r\nname",price,bought', ["user\r\n\r\nname", "price", "bought"]),
        (b'"say ""a;b;c;d""",price,bought', ['say "a;b;c;d"', "price", "bought"]),
        (b'user;size 5",x;bought', ["user", 'size 5",x', "bought"]),
    ],
)
def test_a_name_in_quotes_may_have_line_breaks_and_delimiters(
    tmp_path: Path, header: bytes, names: list[str]
) -> None:
    cells = b"\nana;1.5;1\n" if header.count(b";") == 2 and b'""' not in header else b"\nana,1.5,1\n"
    path = written(tmp_path, "a.csv", header + cells + cells)
    assert list(read_events(path)) == [dict(zip(names, ["ana", 1.5, 1], strict=True))] * 2


def test_a_row_that_does_not_fit_is_named_by_its_line_also_below_a_long_header(tmp_path: Path) -> None:
    path = written(tmp_path, "a.csv", b'"a\nb",c\n1,2\n1\n')
    with pytest.raises(ConfigError, match=r"a\.csv:4: 1 cells under a header of 2"):
        list(read_events(path))


def test_a_quote_that_never_ends_is_no_csv(tmp_path: Path) -> None:
    path = written(tmp_path, "a.csv", b'"a,b\n' + b"1,2\n" * 100_000)
    with pytest.raises(ConfigError, match=r"a\.csv"):
        list(read_events(path))


def test_cells_are_trimmed_unquoted_and_left_out_where_they_say_nothing(tmp_path: Path) -> None:
    path = written(
        tmp_path, "a.csv", b'\xef\xbb\xbfname, city,score\r\n" x ", "a, ""b""\nc",NA\r\nNULL,Oslo,1\r\n'
    )
    assert list(read_events(path)) == [{"name": "x", "city": 'a, "b"\nc'}, {"city": "Oslo", "score": 1}]


def test_the_words_for_nothing_can_be_chosen(tmp_path: Path) -> None:
    path = written(tmp_path, "a.csv", b"country,price\nNA,-\n")
    assert list(read_events(path, missing=frozenset({"-"}))) == [{"country": "NA"}]


def test_columns_that_pandas_numbered_and_its_index_get_names(tmp_path: Path) -> None:
    assert list(read_events(written(tmp_path, "a.csv", b"0,1\nx,2\n"))) == [{"0": "x", "1": 2}]
    assert list(read_events(written(tmp_path, "b.csv", b",a\n0,x\n"))) == [{"column_1": 0, "a": "x"}]


def test_lines_of_json_pass_untouched_and_blank_ones_are_skipped(tmp_path: Path) -> None:
    path = written(tmp_path, "a.jsonl", b'{"a": 1.0 }\n\n  {"b":2}\r\nnot json\n')
    assert list(read_events(path)) == [b'{"a": 1.0 }', b'{"b":2}', b"not json"]


def test_a_byte_order_mark_is_of_the_file_and_not_of_its_first_event(tmp_path: Path) -> None:
    path = written(tmp_path, "a.jsonl", b'\xef\xbb\xbf{"a": 1}\r\n\xef\xbb\xbf{"a": 2}\r\n')
    assert list(read_events(path)) == [b'{"a": 1}', b'\xef\xbb\xbf{"a": 2}']


def test_a_cell_of_very_many_digits_is_text(tmp_path: Path) -> None:
    digits = "9" * 5000
    assert list(read_events(written(tmp_path, "a.csv", f"a\n{digits}\n".encode()))) == [{"a": digits}]


def test_parquet_values_within_values_become_what_json_can_hold(tmp_path: Path) -> None:
    inner = pyarrow.struct([("cost", pyarrow.decimal128(5, 2)), ("raw", pyarrow.list_(pyarrow.binary()))])
    row = {"took": timedelta(seconds=90), "more": {"cost": Decimal("1.50"), "raw": [b"x", None]}}
    schema = pyarrow.schema([("took", pyarrow.duration("ms")), ("more", inner)])
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist([row], schema), tmp_path / "a.parquet")
    (event,) = read_events(str(tmp_path / "a.parquet"))
    assert event_bytes(event) == b'{"took":90.0,"more":{"cost":1.5,"raw":["x",null]}}'


def test_parquet_rows_become_what_json_can_hold(tmp_path: Path) -> None:
    table = pyarrow.table(
        {
            "at": [datetime(2026, 1, 2, 3, 4, 5), None],
            "day": [date(2026, 1, 2), date(2026, 1, 3)],
            "price": pyarrow.array([Decimal("1.50"), Decimal("2.25")]),
            "score": [float("nan"), 0.5],
            "name": [b"caf\xc3\xa9", b"x"],
        }
    )
    pyarrow.parquet.write_table(table, tmp_path / "a.parquet")
    first, second = read_events(str(tmp_path / "a.parquet"))
    assert first == {"at": "2026-01-02T03:04:05", "day": "2026-01-02", "price": 1.5, "name": "café"}
    assert second == {"day": "2026-01-03", "price": 2.25, "score": 0.5, "name": "x"}
    assert event_bytes(second) == b'{"day":"2026-01-03","price":2.25,"score":0.5,"name":"x"}'


@pytest.mark.parametrize(
    ("path", "kind"),
    [("a.jsonl.gz", "jsonl"), ("x/b.JSON", "jsonl"), ("s3://c/d.v2.csv.xz", "csv"), ("e.pq", "parquet")],
)
def test_the_format_goes_by_the_extension(path: str, kind: str) -> None:
    assert format_of(path) == kind


@pytest.mark.parametrize(
    ("name", "content", "complaint"),
    [
        ("a.csv", b"a,b\n1,2\n3\n", r"a\.csv:3: 1 cells under a header of 2"),
        ("a.csv", b"a,a\n1,2\n", "repeats"),
        ("a.csv", b"", "no header"),
        ("a.csv", b"39, State-gov, <=50K\n50, Private, >50K\n", "holds values such as 39, not the names"),
        ("a.csv", b"x,true\n1,2\n", "holds values such as true"),
        ("a.csv", b"a,b\n1,\xff\n", "not UTF-8"),
        ("a.csv", b'a,b\n1,"2"3\n', "not CSV"),
        ("a.jsonl", b'[{"a": 1}]', "a JSON array"),
        ("a.jsonl", '{"a": 1}'.encode("utf-16"), "UTF-16"),
        ("a.jsonl", gzip.compress(b'{"a": 1}', mtime=0), "compressed by gzip"),
        ("a.parquet", b"PAR2", "not Parquet"),
        ("a.parquet", parquet(a=pyarrow.array([1]), a_=pyarrow.array([2])), "several columns are called a"),
        (
            "a.parquet",
            parquet(at=pyarrow.array([2**62], pyarrow.timestamp("us"))),
            "beyond the years 1 to 9999",
        ),
        ("a.csv.gz", b"a,b\n1,2\n", "cannot be read"),
        ("a.csv.gz", gzip.compress(b"a,b\n1,2\n", mtime=0)[:10] + b"\xff" * 12, "cannot be read"),
        ("a.csv.xz", b"a,b\n1,2\n", "cannot be read"),
        ("a.csv.zip", b"a,b\n1,2\n", "cannot be read"),
        ("a.csv.zip", zipped(CSV, "a.csv", "b.csv"), "2 files in one archive"),
        ("a.jsonl.zip", zipped(b"", "a/"), "0 files in one archive"),
        ("a.csv.zip", encrypted(CSV), "encrypted"),
        ("a.data", b"a,b\n1,2\n", "names no format"),
    ],
)
def test_a_file_that_is_not_what_it_claims_is_refused(
    tmp_path: Path, name: str, content: bytes, complaint: str
) -> None:
    path = written(tmp_path, name, content)
    with pytest.raises(ConfigError, match=complaint):
        list(read_events(path))


def test_an_absent_file_and_an_unknown_format_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no such file"):
        list(read_events(str(tmp_path / "absent.csv")))
    with pytest.raises(ConfigError, match="cannot be opened"):
        list(read_events("dask://a.csv"))
    with pytest.raises(ConfigError, match="unknown format 'xml'"):
        list(read_events(str(tmp_path / "a.csv"), "xml"))
