"""Records made of events: one event each, or the consecutive events that share the value of a field."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import orjson

from stream_ml.streams.events_from_files import Event, event_bytes

# Below the brokers' default of 1 MiB, with room for a record's key and envelope.
MAX_RECORD_BYTES = 900_000
MAX_RECORD_EVENTS = 1_000


@dataclass(frozen=True, slots=True)
class PackedRecord:
    """
    What is sent as one record.

    Attributes:
        value: the events, one a line.
        events: how many.
        broken: how many of them are no JSON objects; they are sent all the same, the learner says why not.
        rest: its events belong with those of the record before, which is full.
    """

    key: bytes | None
    value: bytes
    events: int
    broken: int
    rest: bool = False


def pack(
    events: Iterable[Event],
    *,
    key: str | None = None,
    record_by: str | None = None,
    max_bytes: int = MAX_RECORD_BYTES,
    max_events: int = MAX_RECORD_EVENTS,
) -> Iterator[PackedRecord]:
    """
    Yield the records that hold *events*, in their order.

    Args:
        key: field whose value keys the record (its first event's); None: that of *record_by*.
        record_by: field whose consecutive equal values share a record; None: a record an event.
        max_bytes, max_events: of a record; what would be more begins another (a single event may be larger).
    """
    lines: list[bytes] = []
    size = broken = 0
    rest = False
    first: dict[str, Any] | None = None
    for event in events:
        fields, line = _fields(event), event_bytes(event)
        full = len(lines) >= max_events or size + len(line) > max_bytes
        differs = record_by is None or _differ(first, fields, record_by)
        if lines and (full or differs):
            yield PackedRecord(_key(first, key or record_by), b"\n".join(lines), len(lines), broken, rest)
            rest = not differs
            lines, size, broken = [], 0, 0
        if not lines:
            first = fields
        lines.append(line)
        size += len(line) + 1
        broken += fields is None
    if lines:
        yield PackedRecord(_key(first, key or record_by), b"\n".join(lines), len(lines), broken, rest)


def _fields(event: Event) -> dict[str, Any] | None:
    """Return the event's fields; None where it is no JSON object."""
    if isinstance(event, dict):
        return event
    try:
        parsed = orjson.loads(event)
    except orjson.JSONDecodeError:
        return None
    return parsed if isinstance(parsed, dict) else None


def _differ(first: dict[str, Any] | None, second: dict[str, Any] | None, field: str) -> bool:
    # An event without the field, or a broken one, shares a record with nobody.
    if first is None or second is None or first.get(field) is None:
        return True
    return bool(first[field] != second.get(field))


def _key(fields: dict[str, Any] | None, field: str | None) -> bytes | None:
    value = fields.get(field) if fields and field else None
    if value is None:
        return None
    return value.encode() if isinstance(value, str) else orjson.dumps(value)
