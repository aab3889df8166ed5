"""
The file of a snapshot: safetensors, written front to back while its rows are being taken.

The header must come first but is known last, so room for it is reserved and filled with spaces, as the
format allows. It holds the checksum of every tensor, and the tensors leave no gap: the checksum of the length
and the header alone, which is the artefact's, covers every byte of the file.

Tensors: ``rows.00000`` … (U8, k x 16; a later row overrides an earlier one of the same id), ``removed`` (U64;
ids that are not rows after all), ``state``, ``score_state``, ``model``, ``plan`` (U8).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, BinaryIO, ClassVar, Literal, NamedTuple

import orjson
import xxhash
from pydantic import ConfigDict, TypeAdapter, ValidationError

from stream_ml.errors import CannotContinue, StreamMlError
from stream_ml.weights.lines import Layout, NewerFormat, Seed
from stream_ml.weights.rows import ROW_BYTES

FORMAT = 1
# 1 Mi rows; a reader holds one tensor at a time.
TENSOR_BYTES = 1 << 24
# 8 bytes of length and the header; about 160 bytes a tensor, so room for some 1,600: 26 GB of rows.
HEAD_BYTES = 1 << 18
# What a reader takes in at most: the limit of the format's own library.
MAX_HEAD_BYTES = 100_000_000
# Of one call of the system: while it copies, a kernel may let nobody else have the core.
_PIECE_BYTES = 1 << 18
_LENGTH_BYTES = 8
_PARTS = ("removed", "state", "score_state", "model", "plan")


class CorruptSnapshot(StreamMlError):
    """An artefact is not what its name says; it is skipped, never repaired or deleted for it."""


class SnapshotGone(CorruptSnapshot):
    """It is not in the store: removed, or never finished."""


class Stream(NamedTuple):
    """Of which incarnation and version a shard's rows are."""

    incarnation: int
    version: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """
    What a snapshot is.

    Attributes:
        epoch, step: the writer that took it, and the last step it holds.
        events, feed: per partition, the next offset; of the feed, the first record of the first delta whose
            end lies beyond *step*.
        total_rows, rows_hash: of the live rows, as the table's digest gives them.
        learned_at, created_at: unix seconds when *step* was learned, and when this was sealed.
        layout, streams: of rows in Redis, the latter by shard; *epoch* and *step* are then the place of the
            chore that took the snapshot.
        topic_id: of the events that *events* are offsets of; None where nobody wrote it down.
        label_breaker: what the label breaker knew of the label rate; None where it did not look.
    """

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid")
    model: str
    variant: str
    fingerprint: str
    seed: Seed | None
    epoch: int
    step: int
    events: dict[int, int]
    feed: dict[int, int]
    total_rows: int
    rows_hash: int
    learned_at: float
    created_at: float
    layout: Layout | None = None
    streams: tuple[Stream, ...] | None = None
    topic_id: str | None = None
    label_breaker: dict[str, int | float] | None = None


class Parts(NamedTuple):
    """
    What a snapshot holds beside its rows.

    Attributes:
        removed: ids, 8 bytes each.
        state, score_state: opaque, of the learner.
        model, plan: text of the model file, and the plan's canonical bytes.
    """

    removed: bytes
    state: bytes
    score_state: bytes
    model: bytes
    plan: bytes


class _Tensor(NamedTuple):
    name: str
    dtype: Literal["U8", "U64"]
    shape: list[int]
    start: int
    end: int
    checksum: str


class _Metadata(NamedTuple):
    manifest: Manifest
    checksums: dict[str, str]


_METADATA: TypeAdapter[_Metadata] = TypeAdapter(_Metadata)


class ArtefactWriter:
    """Writes one artefact into *file*, which is empty and can seek; the file stays the caller's."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._tensors: list[_Tensor] = []
        self._end = self._start = 0
        self._digest = xxhash.xxh3_128()
        file.write(b" " * HEAD_BYTES)

    def add_rows(self, rows: bytes | memoryview) -> None:
        """Append *rows*; a call with all of them and many with a few give the same bytes."""
        view = memoryview(rows)
        while view:
            part = view[: TENSOR_BYTES - (self._end - self._start)]
            self._put(part)
            view = view[len(part) :]
            if self._end - self._start == TENSOR_BYTES:
                self._close_rows()

    def finish(self, manifest: Manifest, parts: Parts, state: Iterable[bytes] | None = None) -> str:
        """
        Append *parts*, fill in the header, and return the artefact's checksum (32 hex digits).

        Args:
            state: in pieces, what is written for ``parts.state``: a large one is never in memory as a whole.
        """
        if self._end > self._start:
            self._close_rows()
        for name, part in zip(_PARTS, parts, strict=True):
            for piece in state if name == "state" and state is not None else (part,):
                self._put(piece)
            size = self._end - self._start
            if name == "removed":
                self._close(name, "U64", [size // 8])
            else:
                self._close(name, "U8", [size])
        head = self._head(manifest)
        self._file.seek(0)
        self._file.write(head)
        return xxhash.xxh3_128_hexdigest(head)

    def _put(self, part: bytes | memoryview) -> None:
        self._file.write(part)
        self._digest.update(part)
        self._end += len(part)

    def _close_rows(self) -> None:
        rows = (self._end - self._start) // ROW_BYTES
        self._close(f"rows.{len(self._tensors):05}", "U8", [rows, ROW_BYTES])

    def _close(self, name: str, dtype: Literal["U8", "U64"], shape: list[int]) -> None:
        self._tensors.append(_Tensor(name, dtype, shape, self._start, self._end, self._digest.hexdigest()))
        self._start = self._end
        self._digest.reset()

    def _head(self, manifest: Manifest) -> bytes:
        checksums = {tensor.name: tensor.checksum for tensor in self._tensors}
        said = orjson.dumps([manifest, checksums], default=list, option=orjson.OPT_NON_STR_KEYS).decode()
        header: dict[str, object] = {"__metadata__": {"format": str(FORMAT), "manifest": said}}
        for tensor in self._tensors:
            offsets = [tensor.start, tensor.end]
            header[tensor.name] = {"dtype": tensor.dtype, "shape": tensor.shape, "data_offsets": offsets}
        encoded = orjson.dumps(header).ljust(HEAD_BYTES - _LENGTH_BYTES)
        if len(encoded) > HEAD_BYTES - _LENGTH_BYTES:
            raise CannotContinue(f"snapshot: {len(self._tensors)} tensors do not fit the header's room")
        return len(encoded).to_bytes(_LENGTH_BYTES, "little") + encoded


class ArtefactReader:
    """
    Reads one artefact from *file*, verifying everything on the way; *name* is for messages.

    Raises:
        CorruptSnapshot: here, or from any method: the bytes are not those that *checksum* names.
        NewerFormat: a later release wrote it.
    """

    def __init__(self, file: BinaryIO, checksum: str, name: str) -> None:
        self._file, self._name = file, name
        length = file.read(_LENGTH_BYTES)
        head = length + file.read(min(int.from_bytes(length, "little"), MAX_HEAD_BYTES))
        if xxhash.xxh3_128_hexdigest(head) != checksum:
            raise CorruptSnapshot(f"snapshot {name}: its header is not the one that its name stands for")
        self._body = len(head)
        header: dict[str, Any] = orjson.loads(head[_LENGTH_BYTES:])
        self._check_format(int(header["__metadata__"]["format"]))
        try:
            metadata = _METADATA.validate_json(header.pop("__metadata__")["manifest"], strict=True)
        except ValidationError as error:
            raise CorruptSnapshot(f"snapshot {name}: {error}") from error
        self.manifest, checksums = metadata
        self._tensors = [_tensor(key, entry, checksums[key]) for key, entry in header.items()]

    def rows(self) -> Iterator[memoryview]:
        """Yield the rows in their order, some 16 MB at a time, each verified."""
        for tensor in self._tensors:
            if tensor.name.startswith("rows."):
                yield self._read(tensor)

    def parts(self) -> Parts:
        """Return everything but the rows."""
        found = {tensor.name: tensor for tensor in self._tensors}
        return Parts(*(bytes(self._read(found[name])) for name in _PARTS))

    def verify(self) -> None:
        """Read everything, or raise."""
        for tensor in self._tensors:
            self._read(tensor)
        if self._file.read(1):
            raise CorruptSnapshot(f"snapshot {self._name}: bytes after its end")

    @property
    def sizes(self) -> dict[str, int]:
        """Bytes of each tensor."""
        return {tensor.name: tensor.end - tensor.start for tensor in self._tensors}

    def _check_format(self, written: int) -> None:
        if written > FORMAT:
            raise NewerFormat(
                f"snapshot {self._name} has format {written}, we read up to {FORMAT}; upgrade this process"
            )

    def _read(self, tensor: _Tensor) -> memoryview:
        self._file.seek(self._body + tensor.start)
        data = self._in_pieces(tensor.end - tensor.start)
        if xxhash.xxh3_128_hexdigest(data) != tensor.checksum:
            raise CorruptSnapshot(f"snapshot {self._name}: checksum of {tensor.name} differs")
        return data

    def _in_pieces(self, size: int) -> memoryview:
        """Return the next *size* bytes, or those that there are."""
        data = memoryview(bytearray(size))
        read = 0
        while count := self._file.readinto(data[read : read + _PIECE_BYTES]):  # type: ignore[attr-defined]
            read += count
        return data[:read]


def _tensor(name: str, entry: dict[str, Any], checksum: str) -> _Tensor:
    start, end = entry["data_offsets"]
    return _Tensor(name, entry["dtype"], entry["shape"], start, end, checksum)
