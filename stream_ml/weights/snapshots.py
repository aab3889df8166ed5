"""
The store of snapshots: ``<model>/<variant>/<epoch>-<step>-<checksum>.safetensors`` below any fsspec URL.

A name is never overwritten. A file that no valid line of the journal announces does not exist for anyone.
"""

from __future__ import annotations

import errno
import fcntl
import glob
import os
import re
import sys
import tempfile
from collections.abc import Collection, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from math import inf
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, NamedTuple, Protocol, Self

import fsspec
from fsspec.implementations.local import LocalFileSystem

from stream_ml.errors import ConfigError, RecoverableError
from stream_ml.weights.artefact import (
    ArtefactReader,
    ArtefactWriter,
    CorruptSnapshot,
    Manifest,
    Parts,
    SnapshotGone,
)

KEEP = 3
_PARTIAL = ".partial"
# Base classes of what S3 clients (botocore) and those of other clouds (aiohttp) raise beside OSError.
_CLIENT_ERRORS = {"botocore.exceptions": ("BotoCoreError", "ClientError"), "aiohttp": ("ClientError",)}
# Errors that say something of one file, and nothing of the store.
_OF_THIS_FILE = {errno.EIO, errno.EISDIR, errno.ELOOP}
_NAME = re.compile(r"([^/]+)/([^/]+)/(\d+)-(\d+)-([0-9a-f]{32})\.safetensors")


class StoreUnavailable(RecoverableError):
    """The store cannot be read or written now (full, forbidden, away); nothing is lost by trying later."""


class SnapshotName(NamedTuple):
    """A snapshot's name; as text, it is the path below the store's URL."""

    model: str
    variant: str
    epoch: int
    step: int
    checksum: str

    def __str__(self) -> str:
        return f"{self.model}/{self.variant}/{self.epoch}-{self.step}-{self.checksum}.safetensors"

    @classmethod
    def parse(cls, text: str) -> Self:
        """Return the name that *text* is; ValueError if it is none."""
        found = _NAME.fullmatch(text)
        if found is None:
            raise ValueError(f"{text} is no snapshot's name: MODEL/VARIANT/EPOCH-STEP-CHECKSUM.safetensors")
        return cls(found[1], found[2], int(found[3]), int(found[4]), found[5])


class Retained(NamedTuple):
    """
    What a retention run did.

    Attributes:
        kept: names that verify, newest first.
        bad: named by an error each; they stay until they are older than all that is kept.
        removed: names.
    """

    kept: list[SnapshotName]
    bad: list[CorruptSnapshot]
    removed: list[SnapshotName]


class Loadable(Protocol):
    """What rows are loaded into: a native ``Learner`` or ``Replica``, empty."""

    def load_rows(self, rows: bytes | memoryview) -> None:
        """Put rows in; later ones win."""

    def load_removed(self, ids: bytes | memoryview) -> None:
        """Take rows out."""

    def digest(self) -> dict[str, Any]:
        """Return rows (their count) and rows_hash."""


def load(snapshot: ArtefactReader, into: Loadable) -> Parts:
    """
    Load the rows of *snapshot*, verified, and return its other parts.

    Raises:
        CorruptSnapshot: what was loaded so far is to be thrown away.
    """
    for rows in _read_ahead(snapshot.rows()):
        into.load_rows(rows)
    parts = snapshot.parts()
    into.load_removed(parts.removed)
    found, manifest = into.digest(), snapshot.manifest
    if (found["rows"], found["rows_hash"]) != (manifest.total_rows, manifest.rows_hash):
        raise CorruptSnapshot(
            f"snapshot {manifest.variant} step {manifest.step}: {found['rows']} rows of hash "
            f"{found['rows_hash']} were loaded, manifest says {manifest.total_rows} of {manifest.rows_hash}"
        )
    return parts


def _read_ahead(pieces: Iterator[memoryview]) -> Iterator[memoryview]:
    """Yield *pieces*; a thread reads and verifies the next one while the caller works on the last."""
    with ThreadPoolExecutor(1, "read-ahead") as reader:
        coming = reader.submit(next, pieces, None)
        while (piece := coming.result()) is not None:
            coming = reader.submit(next, pieces, None)
            yield piece


class SnapshotStore:
    """
    Snapshots below *url*: a folder, or anything that fsspec knows (``s3://…``).

    Raises:
        ConfigError: when it is built: nobody knows such a URL.
        StoreUnavailable: from every method; the same call may succeed later.
    """

    def __init__(self, url: str) -> None:
        try:
            self._fs, self._root = fsspec.core.url_to_fs(url)
        except (ImportError, ValueError) as error:
            raise ConfigError(
                f"snapshot_store: {url} cannot be opened: {error}\n"
                "  hint: a folder, or a URL whose library of fsspec is installed"
            ) from error
        self._local = isinstance(self._fs, LocalFileSystem)
        self._verified: set[SnapshotName] = set()
        self._created: dict[SnapshotName, float] = {}

    def check_writable(self, named_by: str) -> None:
        """
        Find out before long work whether a folder can be written; of any other store only its use tells.

        Raises:
            ConfigError: it cannot; names the option or setting *named_by*.
        """
        if not self._local:
            return
        try:
            Path(self._root).mkdir(parents=True, exist_ok=True)
            tempfile.TemporaryFile(dir=self._root).close()
        except OSError as error:
            raise ConfigError(
                f"{named_by} {self._root}: cannot be written: {error}\n  hint: name another folder"
            ) from error

    def writer(self, model: str, variant: str) -> SnapshotWriter:
        """Return a writer for a new snapshot; where it does not end in a `finish`, no file is left."""
        with _available():
            folder = self._staging(model, variant)
            folder.mkdir(parents=True, exist_ok=True)
            return SnapshotWriter(self, folder)

    def names(self, model: str, variant: str | None = None) -> list[SnapshotName]:
        """Return what is stored, announced or not, newest (highest step, then epoch) first."""
        pattern = f"{glob.escape(self._root)}/{model}/{variant or '*'}/*.safetensors"
        with _available():
            self._fs.invalidate_cache()
            paths = [path.removeprefix(self._root).lstrip("/") for path in self._fs.glob(pattern)]
        found = [SnapshotName.parse(path) for path in paths if _NAME.fullmatch(path)]
        return sorted(found, key=lambda name: (name.step, name.epoch), reverse=True)

    @contextmanager
    def open(self, name: SnapshotName | str) -> Iterator[ArtefactReader]:
        """
        Open a snapshot for reading; its header is verified, and all else as it is read.

        Raises:
            CorruptSnapshot: damaged, or (SnapshotGone) not there.
        """
        name = SnapshotName.parse(str(name))
        with _available(), _damage_told(name):
            try:
                file = self._fs.open(f"{self._root}/{name}", "rb")
            except FileNotFoundError as error:
                raise SnapshotGone(f"snapshot {name}: not in the store") from error
            with file:
                reader = ArtefactReader(file, name.checksum, str(name))
                said = reader.manifest
                if (said.model, said.variant, said.epoch, said.step) != name[:4]:
                    raise CorruptSnapshot(
                        f"snapshot {name}: its manifest says {said.variant} step {said.step}"
                    )
                yield reader

    def verify(self, name: SnapshotName | str) -> Manifest:
        """Read a whole snapshot and return its manifest; raises as `open`."""
        with self.open(name) as snapshot:
            snapshot.verify()
            return snapshot.manifest

    def retain(
        self,
        announced: Sequence[SnapshotName | str],
        keep: int = KEEP,
        created_since: float = inf,
        pinned: Collection[str] = (),
    ) -> Retained:
        """
        Keep the newest *keep* that verify, of one variant's *announced* ones; remove all older files.

        Whoever calls has just read the journal's tail: it is the writer, and these are all announced ones.
        Nothing is removed while fewer than *keep* verify.

        Args:
            created_since: unix seconds; what says of itself that it was created then or later stays too.
            pinned: names that stay however old: variants began with them.
        """
        kept: list[SnapshotName] = []
        bad: list[CorruptSnapshot] = []
        names = {SnapshotName.parse(str(name)) for name in announced}
        for name in sorted(names, key=lambda name: (name.step, name.epoch), reverse=True):
            if len(kept) < keep:
                try:
                    self._verify_once(name)
                    kept.append(name)
                except CorruptSnapshot as error:
                    bad.append(error)
        if len(kept) < keep:
            return Retained(kept, bad, [])
        oldest = kept[-1]
        older = [name for name in self.names(oldest.model, oldest.variant) if name.step < oldest.step]
        old = [name for name in older if str(name) not in pinned and self._created_at(name) < created_since]
        self.remove(old)
        return Retained(kept, bad, old)

    def forget(self, model: str, known: Collection[str], before_epoch: int) -> list[SnapshotName]:
        """
        Remove the snapshots of variants of *model* that are not *known* any more; return their names.

        What was taken in *before_epoch* or later is of a variant that the caller does not know yet: it stays.
        """
        every = [name for name in self.names(model) if name.variant not in known]
        late = {name.variant for name in every if name.epoch >= before_epoch}
        old = [name for name in every if name.variant not in late]
        self.remove(old)
        return old

    def remove(self, names: Collection[SnapshotName]) -> None:
        """Remove snapshots; one that is not there is none."""
        with _available():
            for name in names:
                self._verified.discard(name)
                self._created.pop(name, None)
                if self._fs.exists(f"{self._root}/{name}"):
                    self._fs.rm_file(f"{self._root}/{name}")

    def clean(self, model: str, variant: str) -> int:
        """Remove what dead writers left half-written, and say how much; a living writer's file is locked."""
        removed = 0
        with _available():
            for path in self._staging(model, variant).glob(f"*{_PARTIAL}"):
                with path.open("rb") as file:
                    if _lock(file):
                        path.unlink(missing_ok=True)
                        removed += 1
        return removed

    def publish(self, path: Path, name: SnapshotName) -> None:
        """Give the complete file at *path* its *name*, at once or not at all; *path* is gone then."""
        target = f"{self._root}/{name}"
        with _available():
            if self._fs.exists(target):
                raise StoreUnavailable(f"snapshot {name} exists already and is never overwritten")
            if self._local:
                os.replace(path, target)
                _sync_folder(Path(target).parent)
            else:
                # An object appears when its upload is completed; where it does not, nobody announces it.
                self._fs.put_file(str(path), target)
                path.unlink()

    def _created_at(self, name: SnapshotName) -> float:
        """Return when it says it was created; one that cannot be read is as old as can be."""
        if name not in self._created:
            try:
                with self.open(name) as snapshot:
                    self._created[name] = snapshot.manifest.created_at
            except CorruptSnapshot:
                return -inf
        return self._created[name]

    def _verify_once(self, name: SnapshotName) -> None:
        if name not in self._verified:
            self._created[name] = self.verify(name).created_at
            self._verified.add(name)

    def _staging(self, model: str, variant: str) -> Path:
        if self._local:
            return Path(self._root) / model / variant
        return Path(tempfile.gettempdir()) / "stream-ml-snapshots" / model / variant


class SnapshotWriter:
    """
    Takes one snapshot: `add_rows` as they come, then `finish`; in any one thread at a time.

    Raises:
        StoreUnavailable: from every method; the half-written file is removed, the next snapshot begins anew.
    """

    def __init__(self, store: SnapshotStore, folder: Path) -> None:
        self._store = store
        handle, path = tempfile.mkstemp(_PARTIAL, dir=folder)
        self._path = Path(path)
        self._file = os.fdopen(handle, "w+b", buffering=1 << 20)
        _lock(self._file)
        self._artefact = ArtefactWriter(self._file)

    def add_rows(self, rows: bytes | memoryview) -> None:
        """Append rows of the image."""
        with self._abandoned_on_error():
            self._artefact.add_rows(rows)

    def finish(
        self, manifest: Manifest, last_rows: bytes, parts: Parts, state: Iterable[bytes] | None = None
    ) -> SnapshotName:
        """
        Complete the image by *last_rows* and *parts*, and store it durably under the name returned.

        Args:
            state: in pieces, what is written for ``parts.state``.
        """
        with self._abandoned_on_error():
            self._artefact.add_rows(last_rows)
            checksum = self._artefact.finish(manifest, parts, state)
            self._file.flush()
            os.fsync(self._file.fileno())
            name = SnapshotName(manifest.model, manifest.variant, manifest.epoch, manifest.step, checksum)
            self._store.publish(self._path, name)
            self._file.close()
        return name

    def abandon(self) -> None:
        """Leave nothing behind; idempotent, and nothing after `finish`."""
        if not self._file.closed:
            with suppress(OSError):  # the folder may be away; the next `clean` that finds it there removes it
                self._path.unlink(missing_ok=True)
            with suppress(OSError):  # closing writes what is buffered, and the disk may be full
                self._file.close()

    @contextmanager
    def _abandoned_on_error(self) -> Iterator[None]:
        try:
            with _available():
                yield
        except StoreUnavailable:
            self.abandon()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.abandon()


@contextmanager
def _damage_told(name: SnapshotName) -> Iterator[None]:
    """Let a file that a disk cannot read any more be a corrupt one: the snapshot before it may do."""
    try:
        yield
    except OSError as error:
        if error.errno not in _OF_THIS_FILE:
            raise
        raise CorruptSnapshot(f"snapshot {name}: cannot be read: {error.strerror}") from error


@contextmanager
def _available() -> Iterator[None]:
    try:
        yield
    except _store_errors() as error:
        raise StoreUnavailable(
            f"snapshot store: {error}; nothing is lost, the next try may succeed"
        ) from error


def _store_errors() -> tuple[type[Exception], ...]:
    """Return what a store raises when it is away: the clients of object stores have errors of their own."""
    known = (
        getattr(sys.modules.get(module), name, None)
        for module, names in _CLIENT_ERRORS.items()
        for name in names
    )
    return (OSError, *(error for error in known if error is not None))


def _lock(file: BinaryIO) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
