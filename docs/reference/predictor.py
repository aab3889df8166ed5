"""The reference of the predictor's service, from the IDL's comments."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from docs.reference.markdown import head, page, prose, table

IDL = Path(__file__).parents[2] / "schemas" / "predictor.thrift"
_CLIENTS = """
The IDL is [predictor.thrift](../../schemas/predictor.thrift); Thrift's compiler makes clients of it for
other languages. From Python, `stream_ml.serving.client.PredictorClient` has these calls, with several
addresses, retries and time limits.
"""
_FLAGS = re.MULTILINE | re.DOTALL
_DOC = r"/\*\*((?:(?!\*/).)*)\*/\s*"
_TYPE = r"([\w<>]+)"
_RECORD = re.compile(_DOC + r"(struct|exception)\s+(\w+)\s*\{(.*?)^\}", _FLAGS)
_FIELD = re.compile(_DOC + rf"(\d+):\s*(required|optional|)\s*{_TYPE}\s+(\w+)(?:\s*=\s*(\w+))?", _FLAGS)
_CALL = re.compile(
    _DOC + rf"{_TYPE}\s+(\w+)\(((?:(?!/\*\*|\)).|/\*\*.*?\*/)*)\)(?:\s*throws\s*\((.*?)\))?,", _FLAGS
)
_THROWN = re.compile(r"\d+:\s*(\w+)\s+\w+")


@dataclass(frozen=True)
class Field:
    """A field of a struct, or an argument of a call."""

    id: int
    name: str
    type: str
    need: str
    default: str
    meaning: str


@dataclass(frozen=True)
class Record:
    """A struct or an exception."""

    kind: str
    name: str
    meaning: str
    fields: tuple[Field, ...]


@dataclass(frozen=True)
class Call:
    """A call of the service, with the names of the exceptions that may come instead of *returns*."""

    name: str
    returns: str
    meaning: str
    arguments: tuple[Field, ...]
    throws: tuple[str, ...]


def records(idl: str) -> list[Record]:
    """Return the structs and exceptions, in the order of the IDL."""
    return [
        Record(kind, name, prose(doc), tuple(_fields(body))) for doc, kind, name, body in _RECORD.findall(idl)
    ]


def calls(idl: str) -> list[Call]:
    """Return the calls of the service."""
    service = idl[idl.index("\nservice ") :]
    return [
        Call(name, returns, prose(doc), tuple(_fields(arguments)), tuple(_THROWN.findall(throws)))
        for doc, returns, name, arguments, throws in _CALL.findall(service)
    ]


def _fields(body: str) -> Iterator[Field]:
    for doc, number, need, kind, name, default in _FIELD.findall(body):
        yield Field(int(number), name, kind, need, default, prose(doc))


def text() -> str:
    """Return the page."""
    idl = IDL.read_text(encoding="utf-8")
    known = {record.name for record in records(idl)}
    return page(
        head("Predictor: reference", "`schemas/predictor.thrift`"),
        prose(re.findall(_DOC, idl, _FLAGS)[0]),
        _CLIENTS,
        "## Calls",
        *(_call(call, known) for call in calls(idl)),
        "## Structs",
        *(_record(record, known) for record in records(idl) if record.kind == "struct"),
        "## Exceptions",
        *(_record(record, known) for record in records(idl) if record.kind == "exception"),
    )


def _call(call: Call, known: set[str]) -> str:
    throws = ", ".join(_linked(name, known) for name in call.throws)
    return page(
        f"### {call.name}",
        call.meaning,
        _arguments(call, known),
        f"Returns {_linked(call.returns, known)}" + (f"; or, as an exception, {throws}." if throws else "."),
    )


def _arguments(call: Call, known: set[str]) -> str:
    rows = [
        (str(each.id), f"`{each.name}`", _linked(each.type, known), each.meaning) for each in call.arguments
    ]
    return table(("id", "argument", "type", "meaning"), rows) if rows else ""


def _record(record: Record, known: set[str]) -> str:
    rows = [
        (str(each.id), f"`{each.name}`", _linked(each.type, known), _given(each), each.meaning)
        for each in record.fields
    ]
    return page(
        f"### {record.name}", record.meaning, table(("id", "field", "type", "given", "meaning"), rows)
    )


def _given(field: Field) -> str:
    return f"optional, `{field.default}`" if field.default else field.need.replace("required", "always")


def _linked(kind: str, known: set[str]) -> str:
    """Return a type, linked to where the page describes what it is of."""
    of = re.search(r"\w+(?=>*$)", kind)
    if of is None or of[0] not in known:
        return f"`{kind}`"
    return f"[`{kind}`](#{of[0].lower()})"
