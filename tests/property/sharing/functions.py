"""The functions of a shard: what a server does for one request, as one step, on data that never change."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

from tests.property.sharing.events import KEYS, PARTITIONS, Blob
from tests.property.sharing.rules import Rules

LOG = 3  # versions that the change log reaches back
PAGE = 2  # keys a page

Identity = tuple[int, int]  # of a server: its process, and its reign as a master
Place = tuple[int, int]  # layout, shard
Rows = dict[int, int]


class Fence(NamedTuple):
    next: int = 0
    epoch: int = 0
    owner: str = ""


class Shard(NamedTuple):
    """One shard's keys on a server. *changed*: by row, the version that changed it last."""

    identity: Identity
    incarnation: int
    version: int
    rows: Rows
    changed: dict[int, int]
    log_from: int
    fences: tuple[Fence, ...]
    blobs: dict[int, Blob]


class Data(NamedTuple):
    """All that a server holds."""

    shards: dict[Place, Shard]
    staged: dict[tuple[Place, int], Rows]


EMPTY = Data({}, {})


class Look(NamedTuple):
    """The fences."""


class Take(NamedTuple):
    partition: int
    epoch: int
    owner: str


class Push(NamedTuple):
    partition: int
    epoch: int
    owner: str
    first: int
    next: int
    rows: Rows
    home: bool
    blob: Blob | None


class Page(NamedTuple):
    cursor: int


class Changes(NamedTuple):
    since: int


class Adopt(NamedTuple):
    identity: Identity
    incarnation: int


class Stage(NamedTuple):
    lease: int
    rows: Rows


class Restore(NamedTuple):
    """The last act of a restore: *expected* rows were staged under *lease*."""

    lease: int
    expected: int
    identity: Identity
    incarnation: int
    version: int
    fences: tuple[Fence, ...]
    blobs: dict[int, Blob]


class Close(NamedTuple):
    """Another layout is in force."""


Request = Look | Take | Push | Page | Changes | Adopt | Stage | Restore | Close


@dataclass(frozen=True, slots=True)
class Answer:
    kind: str
    identity: Identity
    incarnation: int = 0
    version: int = 0
    rows: Rows = field(default_factory=dict)
    cursor: int = 0
    fences: tuple[Fence, ...] = ()
    blobs: dict[int, Blob] = field(default_factory=dict)


class Functions:
    """Runs a request on a server's data; returns the data after it, step by step, and the answer."""

    def __init__(self, rules: Rules) -> None:
        self.rules = rules

    def call(self, data: Data, server: Identity, place: Place, request: Request) -> tuple[list[Data], Answer]:
        """Return what the data become (several only where a rule is broken), and the answer."""
        match request:
            case Stage():
                return self._stage(data, server, place, request)
            case Restore():
                return self._restore(data, server, place, request)
        shard = data.shards.get(place)
        if shard is None:
            if self.rules.a_shard_without_marker_says_so:
                return [], Answer("empty", server)
            shard = Shard(server, 0, 0, {}, {}, 0, (Fence(),) * PARTITIONS, {})
        if isinstance(request, Adopt):
            return self._adopt(data, server, place, shard, request)
        if isinstance(request, Close):
            left = {other: kept for other, kept in data.shards.items() if other != place}
            return [data._replace(shards=left)], Answer("closed", server)
        if self._moved(shard, server):
            return [], Answer("moved", server)
        steps, answer = self._on(shard, server, request)
        return [_with(data, place, step) for step in steps], answer

    def _moved(self, shard: Shard, server: Identity) -> bool:
        rules = self.rules
        process = shard.identity[0] != server[0] and rules.a_server_is_known_by_its_process
        reign = shard.identity[1] != server[1] and rules.a_server_is_known_by_its_reign
        return rules.a_function_knows_its_server and (process or reign)

    def _on(self, shard: Shard, server: Identity, request: Request) -> tuple[list[Shard], Answer]:
        match request:
            case Look():
                return [], _told("fences", server, shard)
            case Take():
                return self._take(shard, server, request)
            case Push():
                return self._push(shard, server, request)
            case Page():
                end = request.cursor + PAGE
                rows = {key: count for key, count in shard.rows.items() if request.cursor <= key < end}
                return [], _told("page", server, shard, rows, end if end < KEYS else 0)
            case Changes():
                if request.since < shard.log_from and self.rules.a_log_that_does_not_reach_back_says_so:
                    return [], _told("behind", server, shard)
                rows = {key: shard.rows[key] for key, at in shard.changed.items() if at > request.since}
                return [], _told("changes", server, shard, rows)
        raise AssertionError(request)

    def _take(self, shard: Shard, server: Identity, take: Take) -> tuple[list[Shard], Answer]:
        fence = shard.fences[take.partition]
        if (take.epoch, take.owner) <= (fence.epoch, fence.owner):
            return [], _told("fenced", server, shard)
        taken = _fenced(shard, take.partition, Fence(fence.next, take.epoch, take.owner))
        return [taken], _told("taken", server, taken)

    def _push(self, shard: Shard, server: Identity, push: Push) -> tuple[list[Shard], Answer]:
        rules, fence = self.rules, shard.fences[push.partition]
        if rules.a_push_names_its_owner and (push.epoch, push.owner) != (fence.epoch, fence.owner):
            return [], _told("fenced", server, shard)
        if push.next <= fence.next:
            touched = [] if rules.a_duplicate_touches_nothing else [self._added(shard, push)]
            return touched, _told("duplicate", server, shard)
        if push.first != fence.next and rules.a_push_begins_at_the_fence:
            return [], _told("recut", server, shard)
        if push.home and push.blob is None and rules.a_home_push_brings_its_blob:
            return [], _told("recut", server, shard)
        added = self._added(shard, push)
        moved = _fenced(added, push.partition, fence._replace(next=push.next))
        steps = [moved] if rules.rows_and_fence_move_in_one_step else [added, moved]
        return steps, _told("applied", server, moved)

    def _added(self, shard: Shard, push: Push) -> Shard:
        version, rows = shard.version + 1, dict(shard.rows)
        for key, count in push.rows.items():
            rows[key] = rows.get(key, 0) + count
        log_from = max(shard.log_from, version - LOG)
        changed = {key: at for key, at in shard.changed.items() if at > log_from}
        changed.update(dict.fromkeys(push.rows, version))
        blobs = dict(shard.blobs)
        if push.home and push.blob is not None:
            blobs[push.partition] = push.blob
        return shard._replace(version=version, rows=rows, changed=changed, log_from=log_from, blobs=blobs)

    def _adopt(
        self, data: Data, server: Identity, place: Place, shard: Shard, adopt: Adopt
    ) -> tuple[list[Data], Answer]:
        if adopt.identity != server and self.rules.an_adoption_names_the_server:
            return [], Answer("moved", server)
        if adopt.incarnation <= shard.incarnation and self.rules.an_incarnation_only_rises:
            return [], _told("adopted", server, shard)
        adopted = shard._replace(identity=server, incarnation=adopt.incarnation)
        return [_with(data, place, adopted)], _told("adopted", server, adopted)

    def _stage(self, data: Data, server: Identity, place: Place, stage: Stage) -> tuple[list[Data], Answer]:
        key = (place, stage.lease if self.rules.staged_rows_carry_the_lease else 0)
        staged = {**data.staged, key: {**data.staged.get(key, {}), **stage.rows}}
        return [data._replace(staged=staged)], Answer("staged", server)

    def _restore(
        self, data: Data, server: Identity, place: Place, last: Restore
    ) -> tuple[list[Data], Answer]:
        if place in data.shards and self.rules.a_restore_finds_no_marker:
            return [], Answer("exists", server)
        if last.identity != server and self.rules.an_adoption_names_the_server:
            return [], Answer("empty", server)
        key = (place, last.lease if self.rules.staged_rows_carry_the_lease else 0)
        rows = data.staged.get(key, {})
        if len(rows) != last.expected and self.rules.staged_rows_are_counted:
            return [], Answer("short", server)
        blobs = last.blobs if self.rules.a_restore_brings_blobs else {}
        shard = Shard(
            server, last.incarnation, last.version, rows, {}, last.version, last.fences, dict(blobs)
        )
        staged = {other: kept for other, kept in data.staged.items() if other != key}
        restored = Data({**data.shards, place: shard}, staged)
        return [restored], _told("restored", server, shard)


def _with(data: Data, place: Place, shard: Shard) -> Data:
    return data._replace(shards={**data.shards, place: shard})


def _fenced(shard: Shard, partition: int, fence: Fence) -> Shard:
    fences = list(shard.fences)
    fences[partition] = fence
    return shard._replace(fences=tuple(fences))


def _told(kind: str, server: Identity, shard: Shard, rows: Rows | None = None, cursor: int = 0) -> Answer:
    return Answer(
        kind,
        server,
        shard.incarnation,
        shard.version,
        rows or {},
        cursor,
        shard.fences,
        shard.blobs,
    )
