"""What a shard asks for before anything else can be done with it: a server to adopt, rows to restore."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from typing import Protocol

from stream_ml.weights.shards import Answer, Identity, Shards, ShardUnavailable

log = logging.getLogger(__name__)

_ROUNDS = 10


class Places(Protocol):
    """Gives places of journal lines: each is higher than all before, whoever wrote them."""

    def incarnation(self, shard: int, identity: Identity, why: str) -> int:
        """Return the place of a new ``incarnation`` line."""

    def chore(self, chore: str, shard: int | None) -> int:
        """Return the place of a new ``chore`` line: the lease."""


Restore = Callable[[int], None]
Check = Callable[[int, Answer], None]


class Mender:
    """Looks at shards, and mends what hinders the look. Thread-safe."""

    def __init__(
        self, shards: Shards, places: Places, restore: Restore, check: Check = lambda _, __: None
    ) -> None:
        """
        Do nothing yet.

        Args:
            restore: brings an empty shard back; somebody else may be first.
            check: raises where what a shard says of itself is not what it should be.
        """
        self._shards, self._places, self._restore, self._check = shards, places, restore, check
        self._mending = [threading.Lock() for _ in range(shards.count)]

    def look(self, shard: int) -> Answer:
        """
        Return what the shard says of itself, by the server that answers for it from now on.

        Raises:
            ShardUnavailable: it does not answer, or another server does each time.
        """
        for _ in range(_ROUNDS):
            answer = self._look(shard)
            _check_server(shard, answer)
            if answer.kind == "fences":
                return answer
            self.mend(shard, answer)
        raise ShardUnavailable(f"shard {shard} is answered for by another server at every look")

    def mend(self, shard: int, answer: Answer) -> None:
        """
        Do what *answer*, which was none of those hoped for, asks for; one thread a shard.

        Raises:
            ShardUnavailable: it does not answer, or its server may evict rows.
        """
        _check_server(shard, answer)
        if answer.kind not in {"moved", "empty"}:
            return
        with self._mending[shard]:
            # Another thread may have done it: each restore stages all rows, each adoption costs a snapshot.
            answer = self._look(shard)
            if answer.kind == "moved":
                log.warning("another server answers for a shard", extra={"shard": shard})
                place = self._places.incarnation(shard, answer.identity, "another server answers")
                self._shards.adopt(shard, answer.identity, place)
            elif answer.kind == "empty":
                self._restore(shard)

    def _look(self, shard: int) -> Answer:
        answer = self._shards.look(shard)
        self._check(shard, answer)
        return answer


def _check_server(shard: int, answer: Answer) -> None:
    """An absent row is read as a new one: who goes on unlearns in silence."""
    if answer.kind == "evicts":
        raise ShardUnavailable(
            f"the server of shard {shard} may evict rows; learning waits until its maxmemory-policy is "
            "noeviction"
        )
