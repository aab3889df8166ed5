"""
What a number of the settings may be, and why.

Bounds catch slips, as milliseconds for seconds or a zero too many; they do not say what is wise.
"""

from __future__ import annotations

from typing import Any

from pydantic import Field
from pydantic.config import JsonDict
from pydantic.fields import FieldInfo

TICK = 0.001  # seconds; a loop that waits less only burns its core
HOUR, DAY, CENTURY = 3_600, 86_400, 36_525 * 86_400


def number(default: float, ends: tuple[float, float], description: str, why: str) -> Any:
    """Return a field that is between *ends* or one of them, and *why* nothing else is taken."""
    low, high = ends
    extra: JsonDict = {"bounds": f"at least {low:,} and at most {high:,} ({why})"}
    return Field(default=default, ge=low, le=high, description=description, json_schema_extra=extra)


def bounds(field: FieldInfo) -> str:
    """Return what *field* may be, and why; "" if it is no `number`."""
    extra = field.json_schema_extra
    return str(extra["bounds"]) if isinstance(extra, dict) else ""
