"""
The bytes of a journal's line, and the line that bytes are.

A line is one JSON object whose first key is the checksum (xxh3-64 of the bytes that follow it) and whose
second is the format version; a release reads every format up to its own.
"""

from __future__ import annotations

from typing import Annotated

import orjson
import xxhash
from pydantic import Discriminator, TypeAdapter, ValidationError

from stream_ml.errors import InvalidRecord
from stream_ml.weights.lines import Line, NewerFormat

FORMAT = 1
_HEAD = b'{"checksum":"'
_CHECKSUM_DIGITS = 16
_BODY = len(_HEAD) + _CHECKSUM_DIGITS + len(b'",')

_LINE: TypeAdapter[Line] = TypeAdapter(Annotated[Line, Discriminator("line")])


def encode_line(line: Line) -> bytes:
    """Return the bytes of *line*."""
    body = orjson.dumps(line, default=list, option=orjson.OPT_NON_STR_KEYS)
    rest = b'"format":%d,%b' % (FORMAT, body[1:])
    return b'%b%016x",%b' % (_HEAD, xxhash.xxh3_64_intdigest(rest), rest)


def line_checksum(line: Line | None) -> int:
    """Return what a line is recognised by; 0 for a damaged one."""
    return 0 if line is None else xxhash.xxh3_64_intdigest(encode_line(line))


def decode_line(data: bytes | None) -> Line:
    """
    Return the line that *data* holds.

    Raises:
        InvalidRecord: damaged, or not one of ours.
        NewerFormat: a later release wrote it.
    """
    if data is None or not data.startswith(_HEAD):
        raise InvalidRecord("journal: not a line of ours; something else writes into this topic")
    rest = data[_BODY:]
    if data[len(_HEAD) : _BODY] != b'%016x",' % xxhash.xxh3_64_intdigest(rest):
        raise InvalidRecord(f"journal: checksum of a line differs: {data[:80]!r}…")
    current = b'"format":%d,' % FORMAT
    if not rest.startswith(current):
        _refuse_format(rest)
    try:
        return _LINE.validate_json(b"{" + rest[len(current) :], strict=True)
    except ValidationError as error:
        raise InvalidRecord(f"journal: {error}") from error


def _refuse_format(rest: bytes) -> None:
    try:
        written = orjson.loads(b"{" + rest)["format"]
    except (orjson.JSONDecodeError, KeyError) as error:
        raise InvalidRecord("journal: a line without a format version") from error
    raise NewerFormat(f"journal: a line has format {written}, we read up to {FORMAT}; upgrade this process")
