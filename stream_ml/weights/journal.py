"""The journal of a model in its topic: `JournalReader` follows it, `JournalWriter` appends to it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from types import TracebackType
from typing import NamedTuple, Self

from stream_ml.errors import CannotContinue, InvalidRecord, RecoverableError
from stream_ml.streams.log import Fetch, Log
from stream_ml.weights.line_bytes import decode_line, encode_line, line_checksum
from stream_ml.weights.lines import Announced, Line, Snapshot, journal_and_offset
from stream_ml.weights.state import JournalState
from stream_ml.weights.verdicts import Validity, Verdict

_POLL_RECORDS = 5000
_FIRST_WINDOW = 2000
_WINDOW_GROWTH = 8
_SILENCE_SECONDS = 30.0


def journal_topic(model: str) -> str:
    """Return the name of the journal of *model*."""
    return f"{model}.journal"


class Entry(NamedTuple):
    """A line that was read, and whether it counts; None where the record is damaged (and void)."""

    offset: int
    line: Line | None
    verdict: Verdict


class JournalReader:
    """
    Follows a journal; `state` is what it says up to what `poll` has returned.

    One thread at a time. ``JournalReader(log, topic)`` reads from the first line on; `open` begins at the
    newest snapshot line, `before` where a variant was not there yet, and `replay` makes a second reader that
    begins where a given snapshot does.
    """

    def __init__(self, log: Log, topic: str, state: JournalState | None = None) -> None:
        self.state = state or JournalState()
        self._log, self._topic = log, topic
        self._reader = log.reader(topic, {0: self.state.next_offset})

    @classmethod
    def open(cls, log: Log, topic: str) -> Self:
        """
        Return a reader that begins where the newest snapshot line lets it, or else with the first line.

        Raises:
            CannotContinue: the beginning was trimmed, and no snapshot line states what held there.
        """
        for newest in _snapshots_backwards(log, topic):
            return cls(log, topic, JournalState.as_of(newest))
        if first := log.bounds(topic, 0).first:
            raise CannotContinue(
                f"{topic}: its first {first} lines were trimmed and no snapshot line says what held then; "
                "delete the topic, then `stream-ml learn SETTINGS --accept-loss` begins a new one from the "
                "snapshot store"
            )
        return cls(log, topic)

    @classmethod
    def before(cls, log: Log, topic: str, variant: str) -> Self | None:
        """Return a reader that begins where *variant* was not there yet; None if such lines were trimmed."""
        if log.bounds(topic, 0).first == 0:
            return cls(log, topic)
        for line in _snapshots_backwards(log, topic):
            if variant not in {said.variant for said in line.in_force.variants}:
                return cls(log, topic, JournalState.as_of(line))
        return None

    def replay(self, snapshot: Announced) -> JournalReader:
        """
        Return a second reader, whose entries hold every step line after *snapshot* of this journal.

        Raises:
            CannotContinue: lines that the replay needs were trimmed.
        """
        journal, first = journal_and_offset(snapshot.as_of)
        # One of an earlier journal was announced again by the first line of this one.
        first = first if journal == self.state.journal else 0
        bounds = self._log.bounds(self._topic, 0)
        if first < bounds.first:
            raise CannotContinue(
                f"{self._topic}: lines from {first} on were trimmed, so {snapshot.name} cannot be followed"
            )
        if first == 0:
            return JournalReader(self._log, self._topic)
        for _, line in _lines(self._log, self._topic, first, bounds.next):
            if isinstance(line, Snapshot) and line.name == snapshot.name:
                return JournalReader(self._log, self._topic, JournalState.as_of(line))
        raise CannotContinue(f"{self._topic}: no line after {first} announces {snapshot.name}")

    def poll(self, timeout_seconds: float) -> list[Entry]:
        """
        Return the lines that came, each judged and taken into `state`.

        Raises:
            NewerFormat: a later release writes here.
            LogTruncated: the next line was trimmed; begin again with `open`.
        """
        return [entry for _, entry in self.poll_dated(timeout_seconds)]

    def poll_dated(self, timeout_seconds: float) -> list[tuple[float, Entry]]:
        """Return what `poll` does, each with when it came to the journal, unix seconds; raises as it does."""
        entries = []
        for fetch in self._reader.poll(_POLL_RECORDS, timeout_seconds):
            for stamp, offset, value in zip(fetch.timestamps_ms, fetch.offsets, fetch.values, strict=True):
                line = _decoded(value)
                entries.append((stamp / 1e3, Entry(offset, line, self.state.apply(offset, line))))
        return entries

    def read_to_end(self) -> list[Entry]:
        """
        Return all lines that are in the journal now.

        Raises:
            RecoverableError: they are there, but do not arrive; safe to retry.
        """
        entries: list[Entry] = []
        end = self._log.bounds(self._topic, 0).next
        while self.state.next_offset < end:
            came = self.poll(_SILENCE_SECONDS)
            if not came:
                raise RecoverableError(
                    f"{self._topic}: lines up to {end} do not arrive, {self.state.next_offset} is next"
                )
            entries += came
        return entries

    def close(self) -> None:
        """Leave; idempotent."""
        self._reader.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class JournalWriter:
    """Appends lines; whether one counts is known only when it has been read back."""

    def __init__(self, log: Log, topic: str) -> None:
        self._topic = topic
        self._writer = log.writer()

    def append(self, line: Line, on_delivered: Callable[[int], None] | None = None) -> int:
        """
        Queue *line* and return its size in bytes; *on_delivered* gets its offset, from any thread.

        Raises:
            Undeliverable: this or an earlier line was refused for good; the process must end.
        """
        delivered = None if on_delivered is None else lambda partition, offset: on_delivered(offset)
        value = encode_line(line)
        self._writer.send(self._topic, value, partition=0, on_delivered=delivered)
        return len(value)

    def flush(self, timeout_seconds: float) -> None:
        """Return once every line is acknowledged; raises as `append` does."""
        self._writer.flush(timeout_seconds)

    def close(self) -> None:
        """Flush and leave; idempotent."""
        self._writer.close()


def first_after(log: Log, topic: str, unix_seconds: float) -> int:
    """Return the offset of the first line that came to the journal after *unix_seconds*, or its end."""
    bounds = log.bounds(topic, 0)
    for fetch in _fetches(log, topic, bounds.first, bounds.next):
        for offset, timestamp_ms in zip(fetch.offsets, fetch.timestamps_ms, strict=True):
            if timestamp_ms > unix_seconds * 1e3:
                return offset
    return bounds.next


def dated(log: Log, topic: str) -> Iterator[tuple[float, int, Line | None]]:
    """Yield every line that there still is: unix seconds when it came, its offset, what it says."""
    bounds = log.bounds(topic, 0)
    for fetch in _fetches(log, topic, bounds.first, bounds.next):
        for stamp, offset, value in zip(fetch.timestamps_ms, fetch.offsets, fetch.values, strict=True):
            yield stamp / 1e3, offset, _decoded(value)


def _decoded(value: bytes | None) -> Line | None:
    try:
        return decode_line(value)
    except InvalidRecord:
        return None


def _lines(log: Log, topic: str, first: int, end: int) -> Iterator[tuple[int, Line | None]]:
    """Yield the lines of ``[first, end)``."""
    for fetch in _fetches(log, topic, first, end):
        for offset, value in zip(fetch.offsets, fetch.values, strict=True):
            if offset < end:
                yield offset, _decoded(value)


def _fetches(log: Log, topic: str, first: int, end: int) -> Iterator[Fetch]:
    """Yield the records of ``[first, end)``, and perhaps some after them."""
    reader = log.reader(topic, {0: first})
    try:
        while first < end:
            fetches = reader.poll(_POLL_RECORDS, _SILENCE_SECONDS)
            if not fetches:
                raise RecoverableError(f"{topic}: lines from {first} to {end} do not arrive")
            yield from fetches
            first = fetches[-1].next
    finally:
        reader.close()


def _snapshots_backwards(log: Log, topic: str) -> Iterator[Snapshot]:
    """Yield, newest first, the snapshot lines that can be followed and count by what they state."""
    bounds = log.bounds(topic, 0)
    end, window = bounds.next, _FIRST_WINDOW
    while end > bounds.first:
        start = max(bounds.first, end - window)
        found = [entry for entry in _lines(log, topic, start, end) if isinstance(entry[1], Snapshot)]
        for offset, line in reversed(found):
            assert isinstance(line, Snapshot)
            as_of = journal_and_offset(line.as_of)[1]
            if bounds.first <= as_of <= offset and _stands(log, topic, bounds.first, offset, line):
                yield line
        end, window = start, window * _WINDOW_GROWTH


def _stands(log: Log, topic: str, first: int, offset: int, snapshot: Snapshot) -> bool:
    """
    Return whether *snapshot*, the line at *offset*, counts and what it states is about this journal.

    One of a writer that was superseded does not, nor one whose writer had read what the broker then lost.
    """
    state, stated = JournalState.as_of(snapshot), snapshot.in_force.last_line
    before = state.next_offset - 1
    for at, line in _lines(log, topic, max(before, first), offset):
        if at > before:
            state.apply(at, line)
        elif stated and line_checksum(line) != stated:
            return False
    return state.apply(offset, snapshot).validity is not Validity.VOID
