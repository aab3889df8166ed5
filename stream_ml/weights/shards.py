"""
The port to weights that several learners share: rows, fences and blobs in shards, one call a change.

``shards_memory`` keeps them in this process, ``redis`` in Redis; one contract suite runs over both.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from stream_ml.errors import RecoverableError

FeatureIds = npt.NDArray[np.uint64]
Values = npt.NDArray[np.float32]


class ShardUnavailable(RecoverableError):
    """A shard did not answer in time, or nobody answers for it now; safe to retry."""


class Identity(NamedTuple):
    """Which server answers: its process, and its reign as a master; a promotion begins a new one."""

    process: str
    reign: str


class Fence(NamedTuple):
    """Up to where a shard has a partition's events, and who may push the next."""

    next: int = 0
    epoch: int = 0
    owner: str = ""


def next_offsets(shards: Iterable[Mapping[int, Fence]], partition: int) -> list[int]:
    """Return where *shards* go on with *partition*; one without a fence of it has none of its events."""
    return [fences.get(partition, Fence()).next for fences in shards]


class Rows(NamedTuple):
    """ids: uint64, shape (k,). values: z and n, or what to add to them, float32, shape (k, 2)."""

    ids: FeatureIds
    values: Values


NO_ROWS = Rows(np.empty(0, np.uint64), np.empty((0, 2), np.float32))


class Owner(NamedTuple):
    """Who pushes a partition's events; higher pairs of epoch and name win."""

    partition: int
    epoch: int
    name: str


class Push(NamedTuple):
    """
    What the events ``[first, next)`` of a partition add to one shard.

    Attributes:
        home: whether this is the partition's home shard.
        blob: replaces the partition's blob there, not empty; None where that shard is known to be ahead.
    """

    first: int
    next: int
    rows: Rows = NO_ROWS
    home: bool = False
    blob: bytes | None = None


class Image(NamedTuple):
    """
    All that a shard holds beside its rows.

    Attributes:
        home: which Redis has the variant's rows, as the journal names it; in no snapshot.
    """

    version: int
    fences: Mapping[int, Fence]
    blobs: Mapping[int, bytes]
    home: str = ""


@dataclass(frozen=True, slots=True)
class Answer:
    """
    What a shard says.

    Attributes:
        kind: what was done. Of every call but ``adopt``, ``stage``, ``unstage`` and ``restore`` also *moved*
            (another server answers than the shard knows: append an ``incarnation`` line and ``adopt``),
            *empty* (there is no such shard: restore it) or *evicts* (its server may drop rows when memory is
            short); then nothing was touched.
        incarnation, version, fences, blobs, count (of rows), home: as of the call, where its docstring says
            so.
    """

    kind: str
    identity: Identity
    incarnation: int = 0
    version: int = 0
    fences: Mapping[int, Fence] = field(default_factory=dict)
    blobs: Mapping[int, bytes] = field(default_factory=dict)
    rows: Rows = NO_ROWS
    cursor: int = 0
    count: int = 0
    home: str = ""


class Shards(Protocol):
    """
    The shards of one layout of a variant; a row lives in shard ``id % count``.

    Every method raises ShardUnavailable. A call may then have been taken: all of them may be repeated.
    """

    count: int

    def look(self, shard: int) -> Answer:
        """
        Answers *fences*: incarnation, version, fences, blobs, count, home.

        *moved* comes with the same, *empty* with what `settle` named.
        """

    def probe(self, shard: int) -> Answer:
        """As `look`, but raises where the shard's server takes no writes: out of memory, or of replicas."""

    def settle(self, shard: int, home: str) -> Answer:
        """Name the home of a shard that is to be restored: *settled*, or *exists* (the shard is there)."""

    def take(self, shard: int, owner: Owner) -> Answer:
        """
        Raise the owner of a partition: *taken*, or *fenced* (it has that or a higher one).

        With all that ``look`` says.
        """

    def pull(self, ids: Sequence[FeatureIds]) -> list[Answer]:
        """Read the rows of ids, by shard, from all shards at once: *rows*; an unseen id is a zero row."""

    def push(self, owner: Owner, pushes: Sequence[Push]) -> list[Answer]:
        """
        Add rows and move the fence in one step, one push a shard.

        *applied* (first was the fence) · *duplicate* (next is not above the fence) · *recut* (anything else,
        and a home push without blob that would be applied) · *fenced* (not the owner); only *applied* touches
        anything.
        """

    def changes(self, shard: int, since: int) -> Answer:
        """
        Read the rows that versions above *since* changed, absolute: *changes* or *behind*.

        With all that ``look`` says, but for the version, which is that up to which the changes are. Where it
        is not the shard's, as there are too many at once, the answer's cursor is not 0: ask for the others.
        """

    def page(self, shard: int, cursor: int, rows: int) -> Answer:
        """
        Read about *rows* rows from *cursor* (at first 0) on: *page*; cursor 0 in the answer ends it.

        A row that is there all the while is in one page at least. With all that ``look`` says.
        """

    def adopt(self, shard: int, identity: Identity, incarnation: int) -> Answer:
        """
        Let the server that is *identity* answer for the shard, under a higher incarnation.

        *adopted* (also if it has that or a higher one) · *moved* (it is yet another server) · *empty*.
        """

    def stage(self, shard: int, lease: int, rows: Rows) -> Answer:
        """Keep rows of a restore aside, under its lease: *staged*, or *exists* (the shard is there)."""

    def unstage(self, shard: int, lease: int) -> Answer:
        """Remove what was kept aside: *unstaged*, or *exists* (it is the shard now)."""

    def restore(self, shard: int, lease: int, rows: int, at: tuple[Identity, int], image: Image) -> Answer:
        """
        Make the *rows* rows that were staged under *lease* the shard; *at*: what to adopt.

        *restored* · *exists* (somebody was first) · *empty* (yet another server) · *short* (rows are gone).
        """

    def close(self, shard: int) -> Answer:
        """Remove a shard of a layout that is in force no more: *closed*."""
