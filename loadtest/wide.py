"""Events of which every feature is new, made faster than they are learned: what a table grows by."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from stream_ml._native import Plan
from stream_ml.features.plan import compile_model

Numbers = NDArray[np.uint64]
Bytes = NDArray[np.uint8]
TOKENS = 5
EVENTS_PER_RECORD = 64
ROWS_PER_RECORD = TOKENS * EVENTS_PER_RECORD
# Of what is made at a time.
ROWS_TOGETHER = 1_000_000
# 2024-01-01; an event a millisecond.
FIRST_TIME_MS = 1_704_067_200_000
_HEX = np.frombuffer(b"0123456789abcdef", dtype=np.uint8)
MODEL_FILE = """\
name      = "wide"
event_id  = "id"
timestamp = "time"
label     = "y"

[features]
token = "split(tokens, ' ')"

[learner]
duplicate_window = {window}
"""


@dataclass(frozen=True, slots=True)
class Wide:
    """
    The wide stream: event i has id i and the TOKENS tokens from number TOKENS * i on.

    Attributes:
        window: event ids that its model remembers.
    """

    window: int = 0

    def model_file(self) -> str:
        """Return the model file's text."""
        return MODEL_FILE.format(window=self.window)

    def plan(self) -> Plan:
        """Return its model, compiled."""
        return Plan(compile_model(self.model_file()).plan_bytes)

    def records(self, rows: int) -> Iterator[bytes]:
        """Yield records of EVENTS_PER_RECORD lines each, until they brought *rows* features."""
        for record in range(-(-rows // ROWS_PER_RECORD)):
            yield _record(record * EVENTS_PER_RECORD)


def random_rows(count: int) -> Iterator[bytes]:
    """Yield *count* rows of the wire format with ids of a generator, z 0.5 and n 1."""
    ids = np.random.default_rng(1)
    for first in range(0, count, ROWS_TOGETHER):
        rows = np.empty(min(ROWS_TOGETHER, count - first), dtype=[("id", "<u8"), ("z", "<f4"), ("n", "<f4")])
        rows["id"] = ids.integers(1, 2**64 - 1, len(rows), dtype=np.uint64)
        rows["z"], rows["n"] = 0.5, 1.0
        yield rows.tobytes()


def _record(first: int) -> bytes:
    """Return the events from number *first* on, one a line, each of one length."""
    event = np.arange(first, first + EVENTS_PER_RECORD, dtype=np.uint64)
    token = np.arange(first * TOKENS, (first + EVENTS_PER_RECORD) * TOKENS, dtype=np.uint64)
    time_ms = event + np.uint64(FIRST_TIME_MS)
    words = _hexadecimal(token, 9).reshape(EVENTS_PER_RECORD, TOKENS, 9)
    spaced = np.concatenate([words, np.full((*words.shape[:2], 1), ord(" "), np.uint8)], axis=2)
    columns = [
        _text(b'{"id":"'),
        _hexadecimal(event, 10),
        _text(b'","time":'),
        _decimal(time_ms // np.uint64(1000), 10),
        _text(b"."),
        _decimal(time_ms % np.uint64(1000), 3),
        _text(b',"y":'),
        _decimal(event % np.uint64(2), 1),
        _text(b',"tokens":"'),
        spaced.reshape(EVENTS_PER_RECORD, -1),
        _text(b'"}\n'),
    ]
    return np.concatenate(columns, axis=1).tobytes()


def _text(text: bytes) -> Bytes:
    return np.broadcast_to(np.frombuffer(text, dtype=np.uint8), (EVENTS_PER_RECORD, len(text)))


def _hexadecimal(number: Numbers, digits: int) -> Bytes:
    shifts = np.arange(digits)[::-1].astype(np.uint64) * np.uint64(4)
    return np.take(_HEX, (number[:, None] >> shifts) & np.uint64(15))


def _decimal(number: Numbers, digits: int) -> Bytes:
    powers = np.uint64(10) ** np.arange(digits)[::-1].astype(np.uint64)
    return np.take(_HEX, (number[:, None] // powers) % np.uint64(10))
