"""Shards in Redis or Redis Cluster, through the server-side library; a shard's keys have one hash tag."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any, TypeVar

import numpy as np
from redis import Redis, RedisCluster
from redis.exceptions import ResponseError

from stream_ml.weights.redis.access import KEYS, asked
from stream_ml.weights.redis.library import NAME, load
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
    ShardUnavailable,
)

# Without an answer for so long, all servers may have other addresses by now.
_ANEW_SECONDS = 10.0
# Hashes that the rows of a shard lie in, and those looked at to tell how much memory all of them take.
_BUCKETS, _SAMPLED = 65_536, 256
Result = TypeVar("Result")
Call = tuple[int, str, tuple[Any, ...]]


class RedisShards:
    """The shards of one layout of a variant."""

    def __init__(
        self,
        client: Redis | RedisCluster,
        variant: str,
        layout: int,
        count: int,
        connect_anew: Callable[[], Redis | RedisCluster] | None = None,
    ) -> None:
        """*connect_anew*: by the URL of the settings, where none of the client's servers answers for long."""
        self.count = count
        self._client, self._connect_anew = client, connect_anew
        self._answered_at, self._anew = time.monotonic(), threading.Lock()
        self._prefix = f"{variant}/{layout}"

    def look(self, shard: int) -> Answer:
        return self._one(shard, "look")

    def probe(self, shard: int) -> Answer:
        return self._one(shard, "probe")

    def settle(self, shard: int, home: str) -> Answer:
        return self._one(shard, "settle", home)

    def take(self, shard: int, owner: Owner) -> Answer:
        return self._one(shard, "take", *owner)

    def pull(self, ids: Sequence[FeatureIds]) -> list[Answer]:
        answers = self._all([(shard, "pull", (_ids(wanted),)) for shard, wanted in enumerate(ids)])
        return [_answer(told, wanted) for told, wanted in zip(answers, ids, strict=True)]

    def push(self, owner: Owner, pushes: Sequence[Push]) -> list[Answer]:
        calls: list[Call] = [
            (shard, "push", (*owner, *push[:2], *_packed(push.rows), int(push.home), push.blob or b""))
            for shard, push in enumerate(pushes)
        ]
        return [_answer(told) for told in self._all(calls)]

    def changes(self, shard: int, since: int) -> Answer:
        answer = self._one(shard, "changes", since)
        if answer.kind != "changes":
            return answer
        return replace(answer, version=answer.cursor, cursor=int(answer.cursor < answer.version))

    def page(self, shard: int, cursor: int, rows: int) -> Answer:
        *head, heads, found, after = self._call(shard, "page", cursor, rows)
        return _answer([*head, *_of_buckets(heads, found), after])

    def adopt(self, shard: int, identity: Identity, incarnation: int) -> Answer:
        return self._one(shard, "adopt", *identity, _place(incarnation))

    def stage(self, shard: int, lease: int, rows: Rows) -> Answer:
        return self._one(shard, "stage", lease, *_packed(rows), lease=lease)

    def unstage(self, shard: int, lease: int) -> Answer:
        return self._one(shard, "unstage", lease, lease=lease)

    def restore(self, shard: int, lease: int, rows: int, at: tuple[Identity, int], image: Image) -> Answer:
        meta: list[Any] = ["home", image.home]
        for partition, fence in image.fences.items():
            meta += [
                f"f:{partition}",
                fence.next,
                f"e:{partition}",
                fence.epoch,
                f"o:{partition}",
                fence.owner,
            ]
        for partition, blob in image.blobs.items():
            meta += [f"b:{partition}", blob]
        told = (*at[0], _place(at[1]), rows, image.version, lease, *meta)
        return self._one(shard, "restore", *told, lease=lease)

    def close(self, shard: int) -> Answer:
        return self._one(shard, "close")

    def keys(self, shard: int, lease: int = 0) -> list[str]:
        """Return the shard's keys as the library wants them; *lease*: of the staged rows."""
        tag = f"{{{self._prefix}/{shard}}}"
        return [f"{tag}:meta", f"{tag}:rows:", f"{tag}:log", f"{tag}:staged:{lease}"]

    def bytes(self, shard: int) -> int:
        """Return about how much memory the rows of *shard* take, by a sample of its buckets."""
        meta, names = self.keys(shard)[:2]
        lease = asked(lambda: self._client.hget(meta, "rows"))
        if not isinstance(lease, bytes):
            return 0
        names_of = (
            names.encode() + lease + b":" + upper.to_bytes(2, "little")
            for upper in range(0, _BUCKETS, _BUCKETS // _SAMPLED)
        )
        taken = [asked(lambda name=name: self._client.memory_usage(name)) or 0 for name in names_of]  # type: ignore[misc]
        return int(sum(taken) / len(taken) * _BUCKETS)

    def _one(self, shard: int, name: str, *arguments: Any, lease: int = 0) -> Answer:
        return _answer(self._call(shard, name, *arguments, lease=lease))

    def _call(self, shard: int, name: str, *arguments: Any, lease: int = 0) -> Any:
        call = (f"{NAME}_{name}", KEYS, *self.keys(shard, lease), *arguments)
        return self._with_library(lambda: self._client.fcall(*call))

    def _all(self, calls: Sequence[Call]) -> list[Any]:
        """Call a function on every shard, all at once; the calls are sent before the first answer is read."""

        def run() -> list[Any]:
            pipeline = self._client.pipeline(transaction=False)
            for shard, name, arguments in calls:
                pipeline.fcall(f"{NAME}_{name}", KEYS, *self.keys(shard), *arguments)
            return pipeline.execute()

        return self._with_library(run)

    def _with_library(self, call: Callable[[], Result]) -> Result:
        """Call; where a server began empty it has no library: give it that and call again."""
        try:
            result = asked(call)
            self._answered_at = time.monotonic()
            return result
        except ShardUnavailable:
            self._find_again()
            raise
        except ResponseError as error:
            if "Function not found" not in str(error):
                raise
        asked(lambda: load(self._client))
        return asked(call)

    def _find_again(self) -> None:
        """
        Connect anew, from time to time, while nothing answers.

        A client of a cluster forgets the URL: where all addresses changed at once it would look for ever.
        """
        if self._connect_anew is None or not self._anew.acquire(blocking=False):
            return
        try:
            if time.monotonic() - self._answered_at > _ANEW_SECONDS:
                self._answered_at = time.monotonic()
                with suppress(ShardUnavailable):
                    self._client = self._connect_anew()
        finally:
            self._anew.release()


def _place(place: int) -> str:
    return f"{place:020}"


def _ids(ids: FeatureIds) -> bytes:
    return np.ascontiguousarray(ids, "<u8").tobytes()


def _packed(rows: Rows) -> tuple[bytes, bytes]:
    return _ids(rows.ids), np.ascontiguousarray(rows.values, "<f4").tobytes()


def _of_buckets(heads: bytes, found: bytes) -> tuple[bytes, bytes]:
    """Return ids and values, packed, of the rows of whole buckets, as the library's page has them."""
    each = np.frombuffer(heads, [("upper", "<u2"), ("rows", "<u4")])
    rows = np.frombuffer(found, [("lower", "u1", 6), ("values", "<f4", 2)])
    ids = np.empty(len(rows), [("lower", "u1", 6), ("upper", "<u2")])
    ids["lower"], ids["upper"] = rows["lower"], np.repeat(each["upper"], each["rows"])
    return ids.tobytes(), rows["values"].tobytes()


def _answer(told: Any, ids: FeatureIds | None = None) -> Answer:
    kind, process, reign, flat, packed, values, cursor = told
    meta = dict(zip(flat[::2], flat[1::2], strict=True))
    partitions = [int(key[2:]) for key in meta if key.startswith(b"f:")]
    rows = NO_ROWS
    if values:
        rows = Rows(
            np.frombuffer(packed, "<u8") if ids is None else ids, np.frombuffer(values, "<f4").reshape(-1, 2)
        )
    return Answer(
        kind.decode(),
        Identity(process.decode(), reign.decode()),
        int(meta.get(b"incarnation", 0)),
        int(meta.get(b"version", 0)),
        {partition: _fence(meta, partition) for partition in partitions},
        {int(key[2:]): blob for key, blob in meta.items() if key.startswith(b"b:")},
        rows,
        int(cursor),
        int(meta.get(b"count", 0)),
        meta.get(b"home", b"").decode(),
    )


def _fence(meta: dict[bytes, bytes], partition: int) -> Fence:
    epoch, owner = meta.get(b"e:%d" % partition, b"0"), meta.get(b"o:%d" % partition, b"")
    return Fence(int(meta[b"f:%d" % partition]), int(epoch), owner.decode())
