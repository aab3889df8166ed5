"""
Scans of events, kept in a directory: who learns a range again need neither read nor scan it.

A scan rests on the bytes of the records and on what a plan says of features and roles, and on nothing that is
learned. So it is found by `Plan.scan_fingerprint`, the topic's identity, the offsets and the checksum of the
values that the journal names; whatever is not found, or is damaged, is read and scanned as ever.

    DIR/<scan fingerprint>/<hash of the topic's id>/00000001.scans
"""

from __future__ import annotations

import fcntl
import logging
import os
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, NamedTuple, Self

import xxhash

from stream_ml._native import Plan
from stream_ml.streams.log import Topic
from stream_ml.streams.scan_segments import (
    KeptScan,
    Origin,
    ScannedRange,
    Stored,
    UnusableSegment,
    read_index,
    write_segment,
)

log = logging.getLogger(__name__)

# Held in memory until it is written; a run that is killed loses so much.
SEGMENT_BYTES = 64 << 20
DEFAULT_MAX_BYTES = 10_000_000_000


class Found(NamedTuple):
    """Kept scans as `Learner.learn_scanned` takes them; *newest_ms*: of the ranges' last records."""

    scans: list[tuple[int, bytes]]
    newest_ms: int


class ScanCache:
    """
    The scans of one topic by one plan; belongs to one thread. Several processes may share a directory.

    What goes wrong with the directory is logged and costs time alone.

    Attributes:
        found, kept: ranges that were there, and that were added.
    """

    def __init__(self, directory: Path, plan: Plan, topic: Topic, max_bytes: int = DEFAULT_MAX_BYTES) -> None:
        """
        Find out what *directory* holds.

        Args:
            max_bytes: of all files in the directory. The longest unused ones of other plans and topics make
                room; when none is left, nothing more is kept.
        """
        self._directory, self._max_bytes = directory, max_bytes
        self._origin = Origin(plan.scan_fingerprint, topic.id)
        self._folder = directory / plan.scan_fingerprint / xxhash.xxh3_64_hexdigest(topic.id.encode())
        self._index: dict[ScannedRange, tuple[Path, Stored]] = {}
        self._open: tuple[Path, BinaryIO] | None = None
        self._unwritten: list[KeptScan] = []
        self._unwritten_bytes = 0
        self._keeping = True
        self.found = self.kept = 0
        if topic.id:
            self._read_folder()
        else:
            self._give_up(f"the broker gives {topic.name} no identity")

    def find(self, ranges: Sequence[ScannedRange]) -> Found | None:
        """Return the scans of all *ranges*, or None if one is not there."""
        try:
            found = [self._index[wanted] for wanted in ranges]
        except KeyError:
            return None
        scans = []
        for wanted, (path, stored) in zip(ranges, found, strict=True):
            try:
                scans.append((wanted.partition, self._read(path, stored)))
            except OSError as error:
                self._ignore(path, str(error))
                return None
        self.found += len(ranges)
        return Found(scans, max(stored.newest_ms for _, stored in found))

    def distrust(self, ranges: Sequence[ScannedRange], why: str) -> None:
        """Take back that *ranges* were found: one is damaged. Nothing of their files is found any more."""
        self.found -= len(ranges)
        for path in {self._index[wanted][0] for wanted in ranges}:
            self._ignore(path, why)

    def keep(self, scans: Sequence[KeptScan]) -> None:
        """Keep *scans*, unless they are there, or there is no more room."""
        if not self._keeping:
            return
        new = [kept for kept in scans if kept.range not in self._index]
        self._unwritten += new
        self._unwritten_bytes += sum(len(kept.scan) for kept in new)
        if self._unwritten_bytes >= SEGMENT_BYTES:
            self._write()

    def close(self) -> None:
        """Write what is left; idempotent."""
        if self._unwritten:
            self._write()
        self._close_segment()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _read_folder(self) -> None:
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            for partial in self._folder.glob("*.partial"):
                _remove_abandoned(partial)
            for path in sorted(self._folder.glob("*.scans")):
                self._read_segment(path)
        except OSError as error:
            self._give_up(str(error))

    def _read_segment(self, path: Path) -> None:
        try:
            with path.open("rb") as file:
                index = read_index(file, self._origin)
            os.utime(path)  # the longest unused one is removed first
        except (OSError, UnusableSegment) as error:
            self._ignore(path, str(error))
            return
        self._index.update((scanned, (path, stored)) for scanned, stored in index.items())

    def _ignore(self, path: Path, why: str) -> None:
        log.warning("%s is ignored: %s", path, why)
        self._index = {scanned: where for scanned, where in self._index.items() if where[0] != path}

    def _read(self, path: Path, stored: Stored) -> bytes:
        """Return the bytes; they are learned in the order of the file, so one file stays open."""
        if self._open is None or self._open[0] != path:
            self._close_segment()
            self._open = path, path.open("rb", buffering=0)
        return os.pread(self._open[1].fileno(), stored.length, stored.at)

    def _close_segment(self) -> None:
        if self._open is not None:
            self._open[1].close()
            self._open = None

    def _write(self) -> None:
        scans, self._unwritten, self._unwritten_bytes = self._unwritten, [], 0
        try:
            self._write_segment(scans)
        except OSError as error:
            self._give_up(str(error))

    def _write_segment(self, scans: Sequence[KeptScan]) -> None:
        partial = self._folder / f"{os.getpid()}.partial"
        try:
            with partial.open("wb") as file:
                fcntl.flock(file, fcntl.LOCK_EX)
                write_segment(file, self._origin, scans)
                file.flush()  # no more: what a failing machine loses of it, the checksums tell
                if not self._make_room(file.tell()):
                    return self._give_up(f"{self._directory} is full, at {self._max_bytes:,} bytes")
                self._name(partial)
                self.kept += len(scans)
        finally:
            partial.unlink(missing_ok=True)

    def _name(self, partial: Path) -> None:
        """Give the file the next free number, which no other process can take meanwhile."""
        numbers = [int(path.stem) for path in self._folder.glob("*.scans") if path.stem.isdigit()]
        number = max(numbers, default=0) + 1
        while True:
            try:
                return os.link(partial, self._folder / f"{number:08}.scans")
            except FileExistsError:
                number += 1

    def _make_room(self, wanted: int) -> bool:
        segments = [(path, path.stat()) for path in self._directory.glob("*/*/*.scans")]
        size = wanted + sum(stat.st_size for _, stat in segments)
        for path, stat in sorted(segments, key=lambda segment: segment[1].st_mtime):
            if size > self._max_bytes and path.parent != self._folder:
                path.unlink()
                size -= stat.st_size
        return size <= self._max_bytes

    def _give_up(self, why: str) -> None:
        log.warning("no more scans are kept: %s", why)
        self._keeping = False


def _remove_abandoned(partial: Path) -> None:
    """Remove what a process left that was killed: nobody has it locked."""
    with partial.open("rb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return
        partial.unlink(missing_ok=True)
