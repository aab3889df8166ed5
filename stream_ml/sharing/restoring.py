"""An empty shard gets its rows: those of the newest snapshot that verifies, or of the variant's beginning."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from functools import cached_property
from typing import Protocol

import numpy as np

from stream_ml._native import Learner, Plan, reserved_rows
from stream_ml.sharing import images
from stream_ml.sharing.mending import Places
from stream_ml.sharing.rows import PACKED, RESERVED_IDS, shard_of
from stream_ml.weights.artefact import ArtefactReader, CorruptSnapshot
from stream_ml.weights.shards import Fence, Image, Rows, Shards, ShardUnavailable
from stream_ml.weights.snapshots import SnapshotStore, load

log = logging.getLogger(__name__)

# Rows of one call.
_PIECE_ROWS = 50_000


class Source(Protocol):
    """What a shard is restored from."""

    def image(self, shard: int) -> Image:
        """Return what the shard holds beside its rows."""

    def rows(self, shard: int) -> Iterator[Rows]:
        """Yield the rows of the shard, in pieces; each id once."""


class StoredShards:
    """
    A snapshot of shards that was whole when it was chosen.

    It raises ShardUnavailable where it is not any more: others take snapshots and remove old ones while this
    one is read. Whoever tries again chooses anew.
    """

    def __init__(self, store: SnapshotStore, name: str, shards: int) -> None:
        self._store, self._name, self._count = store, name, shards

    @cached_property
    def _images(self) -> list[Image]:
        with self._another_next(), self._store.open(self._name) as snapshot:
            return images.decode(snapshot.parts().state)

    @contextmanager
    def _another_next(self) -> Iterator[None]:
        try:
            yield
        except CorruptSnapshot as error:
            raise ShardUnavailable(
                f"{error}, while shards were restored from it; the newest one is read next"
            ) from error

    def image(self, shard: int) -> Image:
        """Return what the shard held beside its rows."""
        return self._images[shard]

    def rows(self, shard: int) -> Iterator[Rows]:
        """Yield the rows of the shard, in pieces; each id once."""
        with self._another_next():
            yield from dealt(self._store, self._name, shard, self._count)


class Beginning:
    """A variant's beginning: its seed's rows, or none; and fences where it began."""

    def __init__(
        self, events: Mapping[int, int], store: SnapshotStore, seed: str | None, shards: int
    ) -> None:
        """
        Read nothing yet.

        Args:
            events: next offset, by partition.
            seed: name of the snapshot, of whatever mode, that the variant began with.
        """
        self._events, self._store, self._seed, self._count = events, store, seed, shards

    def image(self, shard: int) -> Image:
        """Return the fences; every shard has the same."""
        return Image(0, {partition: Fence(at) for partition, at in self._events.items()}, {})

    def rows(self, shard: int) -> Iterator[Rows]:
        """Yield the rows of the shard, in pieces; each id once."""
        return iter(()) if self._seed is None else dealt(self._store, self._seed, shard, self._count)


class AdaptedBeginning(Beginning):
    """The beginning of a variant of another model file than its seed's: each weight is what it was."""

    def __init__(self, events: Mapping[int, int], begun: Callable[[], Learner], shards: int) -> None:
        """*begun*: returns a learner that begins with the seed's rows, adapted."""
        self._events, self._begun, self._count = events, begun, shards

    def rows(self, shard: int) -> Iterator[Rows]:
        """Yield the rows of the shard, in pieces; each id once."""
        learner = self._begun()
        pieces = list(_image(learner))
        reserved = reserved_rows(learner.seal_image().score_state)
        yield from _dealt(pieces, reserved, shard, self._count)


def dealt(store: SnapshotStore, name: str, shard: int, shards: int) -> Iterator[Rows]:
    """Yield those rows of the snapshot *name* that live in *shard*, in pieces; the reserved ones first."""
    with store.open(name) as snapshot:
        parts = snapshot.parts()
        shared = snapshot.manifest.streams is not None
        pieces: Iterator[bytes | memoryview] = snapshot.rows() if shared else _settled(snapshot, parts.plan)
        yield from _dealt(pieces, reserved_rows(parts.score_state), shard, shards)


def _dealt(pieces: Iterable[bytes | memoryview], reserved: bytes, shard: int, shards: int) -> Iterator[Rows]:
    if shard == 0:
        yield Rows(RESERVED_IDS, np.frombuffer(reserved, "<f4").reshape(-1, 2))
    for piece in pieces:
        every = np.frombuffer(piece, PACKED)
        mine = every[shard_of(every["id"], shards) == shard]
        for at in range(0, len(mine), _PIECE_ROWS):
            part = mine[at : at + _PIECE_ROWS]
            yield Rows(np.ascontiguousarray(part["id"]), np.ascontiguousarray(part["values"]))


def _settled(snapshot: ArtefactReader, plan: bytes) -> Iterator[bytes]:
    """Yield each row once: of a learner's memory, which changed meanwhile, later rows override earlier."""
    table = Learner(Plan(plan))
    load(snapshot, table)
    yield from _image(table)


def _image(learner: Learner) -> Iterator[bytes]:
    learner.begin_image()
    while piece := learner.take_image(_PIECE_ROWS):
        yield piece


class Restorer:
    """Restores empty shards; several processes may try, the first that ends is the one."""

    def __init__(
        self,
        shards: Shards,
        places: Places,
        choose: Callable[[int], Source],
        home: Callable[[], str] = lambda: "",
    ) -> None:
        """
        Do nothing yet.

        Args:
            choose: says what a shard is restored from, anew each time.
            home: says which Redis it is restored in, if it is the right one; raises otherwise.
        """
        self._shards, self._places, self._choose, self._home = shards, places, choose, home
        self._given_up: dict[int, set[int]] = {}

    def __call__(self, shard: int) -> None:
        """
        Restore *shard*; whoever still finds it empty afterwards begins anew. One thread a shard.

        Raises:
            ShardUnavailable: it does not answer.
        """
        given_up = self._given_up.setdefault(shard, set())
        while given_up:
            # Rows that nobody will ever read: without this each try that failed leaves a copy of the shard.
            self._shards.unstage(shard, min(given_up))
            given_up.remove(min(given_up))
        # Before a line is written: while the store is away there would be one a try.
        source, home = self._choose(shard), self._home()
        lease = self._places.chore("restore", shard)
        given_up.add(lease)
        answer, count = self._restored(shard, lease, source, home)
        if answer != "restored":
            self._shards.unstage(shard, lease)
        given_up.remove(lease)
        log.info("shard restored", extra={"shard": shard, "rows": count, "answer": answer})

    def _restored(self, shard: int, lease: int, source: Source, home: str) -> tuple[str, int]:
        """Return the last answer, and how many rows were staged."""
        # One source for both: fences of one snapshot with the rows of another would lose events.
        image, count = source.image(shard)._replace(home=home), 0
        for rows in source.rows(shard):
            if self._shards.stage(shard, lease, rows).kind == "exists":
                return "exists", count
            count += len(rows.ids)
        identity = self._shards.look(shard).identity
        place = self._places.incarnation(shard, identity, "restored")
        return self._shards.restore(shard, lease, count, (identity, place), image).kind, count
