"""
The feed: interval deltas, cut into chunks that fit a record, and put together again.

A delta ``(from_step, to_step]`` carries every row that changed in it, absolutely, as of ``to_step``. Every
partition of the feed gets at least one chunk of every delta, so that a delta that is complete proves that all
those sent before it were either seen or lost.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from typing import ClassVar, NamedTuple

import orjson
import xxhash
from pydantic import ConfigDict, TypeAdapter, ValidationError

from stream_ml.errors import CannotContinue, InvalidRecord
from stream_ml.weights.lines import NewerFormat
from stream_ml.weights.rows import ID_BYTES, ROW_BYTES
from stream_ml.weights.variant_state import VariantState

FORMAT = 1
MAX_CHUNK_BYTES = 900_000
# magic, format version, length of the header; then xxh3-64 of header and body.
_PREFIX = struct.Struct("<4sHHQ")
_MAGIC = b"SMLD"


def feed_topic(model: str) -> str:
    """Return the name of the feed of *model*."""
    return f"{model}.weights"


@dataclass(frozen=True, slots=True, kw_only=True)
class Interval:
    """
    What every chunk of a delta says about it; chunks belong together iff all of this is equal.

    Attributes:
        epoch: of the writer.
        from_step, to_step: the rows that changed in ``(from_step, to_step]``.
        learned_at: unix seconds when *to_step* was learned.
        image: whether these are all rows of the stream, which replace those of the reader.
        layout, shard, incarnation: Redis mode; a variant in memory is one stream.
    """

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid")
    variant: str
    fingerprint: str
    epoch: int
    from_step: int
    to_step: int
    learned_at: float
    image: bool = False
    layout: int = 0
    shard: int = 0
    incarnation: int = 0


class _Header(NamedTuple):
    """Chunk *chunk* of *of*; the lengths of score state and ids removed in its body, the rest are rows."""

    interval: Interval
    chunk: int
    of: int
    score_state: int
    removed: int


@dataclass(frozen=True, slots=True)
class Chunk:
    """
    A part of a delta that fits a record.

    Attributes:
        chunk, of: which, and how many there are.
        score_state: in the first chunk only.
        rows: 16 bytes each. removed: ids, 8 bytes each.
    """

    interval: Interval
    chunk: int
    of: int
    score_state: bytes
    rows: bytes
    removed: bytes


@dataclass(frozen=True, slots=True)
class Delta:
    """A whole delta, as the replica's ``apply`` wants it."""

    interval: Interval
    score_state: bytes
    rows: bytes
    removed: bytes


_HEADER: TypeAdapter[_Header] = TypeAdapter(_Header)


def encode_chunk(chunk: Chunk) -> bytes:
    """Return the bytes of *chunk*, its row bytes copied once."""
    header = orjson.dumps(
        [chunk.interval, chunk.chunk, chunk.of, len(chunk.score_state), len(chunk.removed)],
    )
    digest = xxhash.xxh3_64(header)
    for part in (chunk.score_state, chunk.removed, chunk.rows):
        digest.update(part)
    prefix = _PREFIX.pack(_MAGIC, FORMAT, len(header), digest.intdigest())
    return b"".join((prefix, header, chunk.score_state, chunk.removed, chunk.rows))


def decode_chunk(data: bytes | None) -> Chunk:
    """
    Return the chunk that *data* holds.

    Raises:
        InvalidRecord: damaged, or not one of ours.
        NewerFormat: a later release wrote it.
    """
    if data is None or len(data) < _PREFIX.size or data[:4] != _MAGIC:
        raise InvalidRecord("feed: not a delta of ours; something else writes into this topic")
    _, written, header_bytes, checksum = _PREFIX.unpack_from(data)
    if written > FORMAT:
        raise NewerFormat(f"feed: a delta has format {written}, we read up to {FORMAT}; upgrade this process")
    if xxhash.xxh3_64_intdigest(memoryview(data)[_PREFIX.size :]) != checksum:
        raise InvalidRecord("feed: checksum of a delta differs")
    body = _PREFIX.size + header_bytes
    try:
        header = _HEADER.validate_json(data[_PREFIX.size : body], strict=True)
    except ValidationError as error:
        raise InvalidRecord(f"feed: {error}") from error
    removed = body + header.score_state
    rows = removed + header.removed
    if rows > len(data) or header.removed % ID_BYTES or (len(data) - rows) % ROW_BYTES:
        raise InvalidRecord("feed: lengths of a delta do not fit its record")
    state, ids = data[body:removed], data[removed:rows]
    return Chunk(header.interval, header.chunk, header.of, state, data[rows:], ids)


def cut_into_chunks(
    delta: Delta, partitions: int, max_bytes: int = MAX_CHUNK_BYTES
) -> list[tuple[int, Chunk]]:
    """
    Return (partition of the feed, chunk) for all chunks of *delta*; a record of one has at most *max_bytes*.

    An empty delta is a heartbeat: it too goes to every partition.
    """
    head = Chunk(delta.interval, 2**31, 2**31, delta.score_state, b"", b"")
    room = max_bytes - len(encode_chunk(head)) - ROW_BYTES
    assert room >= ROW_BYTES, "the score state alone fills a record"
    row_bytes, id_bytes = room // ROW_BYTES * ROW_BYTES, room // ID_BYTES * ID_BYTES
    parts = [(b"", delta.removed[at : at + id_bytes]) for at in range(0, len(delta.removed), id_bytes)]
    parts += [(delta.rows[at : at + row_bytes], b"") for at in range(0, len(delta.rows), row_bytes)]
    parts += [(b"", b"")] * (partitions - len(parts))
    return [
        (
            at % partitions,
            Chunk(delta.interval, at, len(parts), b"" if at else delta.score_state, rows, removed),
        )
        for at, (rows, removed) in enumerate(parts)
    ]


class Action(Enum):
    """
    What a reader does about a chunk.

    Attributes:
        HOLD: nothing yet; its delta is not complete.
        APPLY: apply the delta (if it is an image: in place of all rows).
        SKIP: nothing; all of it is in the rows already.
        DROP: nothing; its writer was not the writer any more, or its rows are of an older incarnation.
        RESYNC: a delta was lost: load the newest snapshot, then read the feed from the offsets that it names.
    """

    HOLD = "hold"
    APPLY = "apply"
    SKIP = "skip"
    DROP = "drop"
    RESYNC = "resync"


class Outcome(NamedTuple):
    """*delta* is there iff the action is APPLY; *reason* is for people."""

    action: Action
    reason: str = ""
    delta: Delta | None = None


class WrongFingerprint(CannotContinue):
    """A delta was made by another plan than its variant's: never applied, always an error."""


class Assembler:
    """
    Puts the deltas of one stream together and decides what is done about each.

    Attributes:
        position: the step that the reader's rows are as of.
        held_bytes: of the chunks held aside; beyond *max_held_bytes* the oldest delta is given up, and its
            loss is seen as any other.
    """

    def __init__(self, variant: str, fingerprint: str, *, max_held_bytes: int = 1 << 29) -> None:
        self.variant, self.fingerprint = variant, fingerprint
        self.position = 0
        self.incarnation = 0
        self.held_bytes = 0
        self._max_held_bytes = max_held_bytes
        self._held: dict[tuple[Interval, int], dict[int, Chunk]] = {}
        self._reached: dict[int, int] = {}

    def restart(self, step: int, incarnation: int = 0) -> None:
        """Take *step* of a snapshot as position; what was held aside is kept, it may follow on it."""
        self.position, self.incarnation = step, incarnation
        self._reached.clear()
        self._forget_old()

    def offer(self, chunk: Chunk, state: VariantState) -> Outcome:
        """
        Take a chunk in, and say what to do.

        Args:
            chunk: of any delta of the topic, in the order of each partition.
            state: of the variant, from as much of the journal as the reader has read.

        Raises:
            WrongFingerprint: of another plan than the variant's.
        """
        interval = chunk.interval
        if interval.variant != self.variant:
            return Outcome(Action.DROP, f"of variant {interval.variant}")
        if interval.fingerprint != self.fingerprint:
            raise WrongFingerprint(
                f"feed: a delta of {self.variant} is of fingerprint {interval.fingerprint}, "
                f"the variant of {self.fingerprint}"
            )
        delta = self._completed(chunk)
        if delta is None:
            return Outcome(Action.HOLD)
        outcome = self._decide(delta, state)
        if outcome.action is Action.APPLY:
            self.position, self.incarnation = interval.to_step, interval.incarnation
            self._reached[interval.epoch] = interval.to_step
            self._forget_old()
        return outcome

    def believed_a_zombie(self, state: VariantState) -> str:
        """Return why the rows must be thrown away given the claims read since, or "" if they need not."""
        for epoch, step in self._reached.items():
            last = state.last_step_of(epoch)
            if last is not None and step > last:
                return f"rows of epoch {epoch} were believed up to step {step}, but it ended at {last}"
        return ""

    def _decide(self, delta: Delta, state: VariantState) -> Outcome:
        interval = delta.interval
        if interval.incarnation < self.incarnation:
            return Outcome(Action.DROP, f"of incarnation {interval.incarnation}, now {self.incarnation}")
        if interval.incarnation > self.incarnation and not interval.image:
            return Outcome(Action.RESYNC, f"incarnation {interval.incarnation} began without an image")
        last = state.last_step_of(interval.epoch)
        if last is not None and interval.to_step > last:
            return Outcome(
                Action.DROP, f"step {interval.to_step}, but epoch {interval.epoch} ended at {last}"
            )
        if interval.to_step <= self.position and interval.incarnation == self.incarnation:
            # An image too: a valid one of a writer that was slow would take the rows back, and open a gap.
            return Outcome(Action.SKIP)
        if interval.from_step > self.position and not interval.image:
            return Outcome(Action.RESYNC, f"steps {self.position + 1} to {interval.from_step} were lost")
        return Outcome(Action.APPLY, delta=delta)

    def _completed(self, chunk: Chunk) -> Delta | None:
        """Hold *chunk* aside; return its delta if this was the last of it."""
        if chunk.of == 1:
            return Delta(chunk.interval, chunk.score_state, chunk.rows, chunk.removed)
        key = (chunk.interval, chunk.of)
        parts = self._held.setdefault(key, {})
        if chunk.chunk not in parts:
            parts[chunk.chunk] = chunk
            self.held_bytes += _size(chunk)
        if len(parts) < chunk.of:
            self._keep_within_bounds()
            return None
        self._forget(key)
        return _joined([parts[at] for at in range(chunk.of)])

    def _keep_within_bounds(self) -> None:
        while self.held_bytes > self._max_held_bytes:
            self._forget(next(iter(self._held)))

    def _forget_old(self) -> None:
        """Forget what would be skipped if it came to be complete."""
        for key in list(self._held):
            if key[0].to_step <= self.position and key[0].incarnation <= self.incarnation:
                self._forget(key)

    def _forget(self, key: tuple[Interval, int]) -> None:
        self.held_bytes -= sum(_size(chunk) for chunk in self._held.pop(key).values())


def _size(chunk: Chunk) -> int:
    # The Python objects of an empty chunk count too, or a flood of them would be held for nothing.
    return 1000 + len(chunk.score_state) + len(chunk.rows) + len(chunk.removed)


def _joined(chunks: Sequence[Chunk]) -> Delta:
    return Delta(
        chunks[0].interval,
        chunks[0].score_state,
        b"".join(chunk.rows for chunk in chunks),
        b"".join(chunk.removed for chunk in chunks),
    )
