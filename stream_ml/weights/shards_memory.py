"""Shards in this process: what Redis does, said in Python, for tests and for a look at what it should do."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import wraps
from typing import Any, TypeVar

import numpy as np

from stream_ml.weights.shards import (
    NO_ROWS,
    Answer,
    FeatureIds,
    Fence,
    Identity,
    Image,
    Owner,
    Push,
    Rows,
)

LOG_VERSIONS = 1000

Call = TypeVar("Call", bound=Callable[..., Any])


def _one_at_a_time(call: Call) -> Call:
    """Let *call* have the shards to itself, as a call of Redis has."""

    @wraps(call)
    def alone(self: MemoryShards, *given: Any) -> Any:
        with self._lock:
            return call(self, *given)

    return alone  # type: ignore[return-value]


@dataclass(slots=True)
class _Shard:
    identity: Identity
    incarnation: int
    version: int
    rows: dict[int, tuple[np.float32, np.float32]]
    log_from: int
    log: dict[int, FeatureIds] = field(default_factory=dict)
    fences: dict[int, Fence] = field(default_factory=dict)
    blobs: dict[int, bytes] = field(default_factory=dict)
    lease: int = 0
    home: str = ""


class MemoryShards:
    """
    One "server" for all shards; thread-safe.

    Attributes:
        identity: changes when the server is another one; rows go back only if a test says so.
        evicts: whether the server may drop rows.
    """

    def __init__(self, count: int) -> None:
        self.count = count
        self.identity = Identity("process-1", "reign-1")
        self.evicts = False
        self._lock = threading.RLock()
        self._shards: dict[int, _Shard] = {}
        self._staged: dict[tuple[int, int], dict[int, tuple[np.float32, np.float32]]] = {}
        self._settled: dict[int, str] = {}

    @_one_at_a_time
    def look(self, shard: int) -> Answer:
        refused = self._refused(shard)
        if refused and shard not in self._shards:
            return replace(refused, home=self._settled.get(shard, ""))
        return self._told(refused.kind if refused else "fences", shard)

    @_one_at_a_time
    def probe(self, shard: int) -> Answer:
        return self.look(shard)

    @_one_at_a_time
    def settle(self, shard: int, home: str) -> Answer:
        if shard in self._shards:
            return self._told("exists", shard)
        self._settled[shard] = home
        return Answer("settled", self.identity, home=home)

    @_one_at_a_time
    def take(self, shard: int, owner: Owner) -> Answer:
        if refused := self._refused(shard):
            return refused
        fences = self._shards[shard].fences
        fence = fences.get(owner.partition, Fence())
        if owner[1:] <= (fence.epoch, fence.owner):
            return self._told("fenced", shard)
        fences[owner.partition] = Fence(fence.next, owner.epoch, owner.name)
        return self._told("taken", shard)

    @_one_at_a_time
    def pull(self, ids: Sequence[FeatureIds]) -> list[Answer]:
        return [self._refused(shard) or self._pulled(shard, wanted) for shard, wanted in enumerate(ids)]

    @_one_at_a_time
    def push(self, owner: Owner, pushes: Sequence[Push]) -> list[Answer]:
        return [
            self._refused(shard) or Answer(self._push(self._shards[shard], owner, push), self.identity)
            for shard, push in enumerate(pushes)
        ]

    @_one_at_a_time
    def changes(self, shard: int, since: int) -> Answer:
        if refused := self._refused(shard):
            return refused
        held = self._shards[shard]
        if not held.log_from <= since <= held.version:
            return self._told("behind", shard)
        parts = [ids for version, ids in held.log.items() if version > since]
        return replace(
            self._told("changes", shard), rows=_rows(held, np.unique(np.concatenate([NO_ROWS.ids, *parts])))
        )

    @_one_at_a_time
    def page(self, shard: int, cursor: int, rows: int) -> Answer:
        if refused := self._refused(shard):
            return refused
        ids = np.fromiter(self._shards[shard].rows, np.uint64)
        after = cursor + rows if cursor + rows < len(ids) else 0
        return replace(
            self._told("page", shard),
            rows=_rows(self._shards[shard], ids[cursor : cursor + rows]),
            cursor=after,
        )

    @_one_at_a_time
    def adopt(self, shard: int, identity: Identity, incarnation: int) -> Answer:
        if shard not in self._shards:
            return Answer("empty", self.identity)
        if identity != self.identity:
            return Answer("moved", self.identity)
        held = self._shards[shard]
        if incarnation > held.incarnation:
            held.identity, held.incarnation = identity, incarnation
        return self._told("adopted", shard)

    @_one_at_a_time
    def stage(self, shard: int, lease: int, rows: Rows) -> Answer:
        if shard in self._shards:
            return Answer("exists", self.identity)
        staged = self._staged.setdefault((shard, lease), {})
        staged.update({int(id): (z, n) for id, (z, n) in zip(rows.ids, rows.values, strict=True)})
        return Answer("staged", self.identity)

    @_one_at_a_time
    def unstage(self, shard: int, lease: int) -> Answer:
        if shard in self._shards and self._shards[shard].lease == lease:
            return Answer("exists", self.identity)
        self._staged.pop((shard, lease), None)
        return Answer("unstaged", self.identity)

    @_one_at_a_time
    def restore(self, shard: int, lease: int, rows: int, at: tuple[Identity, int], image: Image) -> Answer:
        if shard in self._shards:
            return Answer("exists", self.identity)
        if at[0] != self.identity:
            return Answer("empty", self.identity)
        staged = self._staged.get((shard, lease), {})
        if len(staged) != rows:
            return Answer("short", self.identity)
        self._staged.pop((shard, lease), None)
        held = _Shard(at[0], at[1], image.version, staged, image.version)
        held.fences.update(image.fences)
        held.blobs.update(image.blobs)
        held.lease, held.home = lease, image.home
        self._shards[shard] = held
        self._settled.pop(shard, None)
        return self._told("restored", shard)

    @_one_at_a_time
    def close(self, shard: int) -> Answer:
        if refused := self._refused(shard):
            return refused
        del self._shards[shard]
        return Answer("closed", self.identity)

    def _refused(self, shard: int) -> Answer | None:
        held = self._shards.get(shard)
        if self.evicts:
            return Answer("evicts", self.identity)
        if held is None:
            return Answer("empty", self.identity)
        return None if held.identity == self.identity else Answer("moved", self.identity)

    def _told(self, kind: str, shard: int) -> Answer:
        held = self._shards[shard]
        blobs: Mapping[int, bytes] = dict(held.blobs)
        told = (held.incarnation, held.version, dict(held.fences), blobs)
        return Answer(kind, self.identity, *told, count=len(held.rows), home=held.home)

    def _pulled(self, shard: int, ids: FeatureIds) -> Answer:
        return Answer("rows", self.identity, rows=_rows(self._shards[shard], ids))

    def _push(self, held: _Shard, owner: Owner, push: Push) -> str:
        fence = held.fences.get(owner.partition, Fence())
        if (fence.epoch, fence.owner) != owner[1:]:
            return "fenced"
        if push.next <= fence.next:
            return "duplicate"
        if push.first != fence.next or (push.home and push.blob is None):
            return "recut"
        if len(push.rows.ids):
            self._add(held, push.rows)
        held.fences[owner.partition] = fence._replace(next=push.next)
        if push.home and push.blob is not None:
            held.blobs[owner.partition] = push.blob
        return "applied"

    def _add(self, held: _Shard, rows: Rows) -> None:
        zero = np.float32(0)
        for id, (dz, dn) in zip(rows.ids, rows.values, strict=True):
            z, n = held.rows.get(int(id), (zero, zero))
            held.rows[int(id)] = (z + dz, n + dn)
        held.version += 1
        held.log[held.version] = rows.ids
        while held.version - held.log_from > LOG_VERSIONS:
            held.log_from += 1
            held.log.pop(held.log_from, None)


def _rows(held: _Shard, ids: FeatureIds) -> Rows:
    zero = np.float32(0)
    values = [held.rows.get(int(id), (zero, zero)) for id in ids]
    return Rows(ids, np.array(values, np.float32).reshape(-1, 2))
