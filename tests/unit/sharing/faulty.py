"""Shards in memory that are called from many threads and, when asked to, fail as servers on a network do."""

from __future__ import annotations

import copy
import threading
from collections.abc import Callable, Sequence
from random import Random
from typing import TypeVar

from stream_ml.weights.shards import Answer, FeatureIds, Identity, Image, Owner, Push, Rows, ShardUnavailable
from stream_ml.weights.shards_memory import MemoryShards

Result = TypeVar("Result")


class FaultyShards(MemoryShards):
    """
    Shards whose calls may not arrive, or arrive and are not answered, each shard by itself.

    Attributes:
        chance: of either, a call and shard. away: shards that nobody reaches.
        before: called before each call with its name, by the thread that calls; a test may hold it there.
        refused: how many pushes got which answer.
    """

    def __init__(self, count: int, dice: Random | None = None) -> None:
        super().__init__(count)
        self._dice, self._one_at_a_time = dice or Random(0), threading.RLock()
        self.chance = 0.0
        self.away: set[int] = set()
        self.before: Callable[[str], None] = lambda _: None
        self.pushes: dict[str, int] = {}

    # -- what happens to servers -----------------------------------------------------------------------

    def copied(self) -> object:
        """Return what the shards hold now, as a replica that is held there has it."""
        with self._one_at_a_time:
            return copy.deepcopy(self._shards)

    def promote(self, replica: object) -> None:
        """Let another server answer from now on, which holds *replica*."""
        with self._one_at_a_time:
            assert isinstance(replica, dict)
            self._shards = copy.deepcopy(replica)
            self.identity = Identity(self.identity.process + "'", self.identity.reign + "'")

    def lose(self, shard: int) -> None:
        """Let a shard come back empty."""
        with self._one_at_a_time:
            self._shards.pop(shard, None)
            self._settled.pop(shard, None)

    # -- the port -------------------------------------------------------------------------------------

    def look(self, shard: int) -> Answer:
        return self._called("look", shard, lambda: super(FaultyShards, self).look(shard))

    def settle(self, shard: int, home: str) -> Answer:
        return self._called("settle", shard, lambda: super(FaultyShards, self).settle(shard, home))

    def take(self, shard: int, owner: Owner) -> Answer:
        return self._called("take", shard, lambda: super(FaultyShards, self).take(shard, owner))

    def pull(self, ids: Sequence[FeatureIds]) -> list[Answer]:
        def one(shard: int) -> Answer:
            return self._refused(shard) or self._pulled(shard, ids[shard])

        return self._all("pull", one)

    def push(self, owner: Owner, pushes: Sequence[Push]) -> list[Answer]:
        def one(shard: int) -> Answer:
            answer = self._refused(shard) or Answer(
                self._push(self._shards[shard], owner, pushes[shard]), self.identity
            )
            self.pushes[answer.kind] = self.pushes.get(answer.kind, 0) + 1
            return answer

        return self._all("push", one)

    def changes(self, shard: int, since: int) -> Answer:
        return self._called("changes", shard, lambda: super(FaultyShards, self).changes(shard, since))

    def page(self, shard: int, cursor: int, rows: int) -> Answer:
        return self._called("page", shard, lambda: super(FaultyShards, self).page(shard, cursor, rows))

    def adopt(self, shard: int, identity: Identity, incarnation: int) -> Answer:
        return self._called(
            "adopt", shard, lambda: super(FaultyShards, self).adopt(shard, identity, incarnation)
        )

    def stage(self, shard: int, lease: int, rows: Rows) -> Answer:
        return self._called("stage", shard, lambda: super(FaultyShards, self).stage(shard, lease, rows))

    def unstage(self, shard: int, lease: int) -> Answer:
        return self._called("unstage", shard, lambda: super(FaultyShards, self).unstage(shard, lease))

    def restore(self, shard: int, lease: int, rows: int, at: tuple[Identity, int], image: Image) -> Answer:
        return self._called(
            "restore", shard, lambda: super(FaultyShards, self).restore(shard, lease, rows, at, image)
        )

    def close(self, shard: int) -> Answer:
        return self._called("close", shard, lambda: super(FaultyShards, self).close(shard))

    # -- faults ---------------------------------------------------------------------------------------

    def _all(self, name: str, one: Callable[[int], Answer]) -> list[Answer]:
        """Call every shard, each with its own luck; what was not answered is raised after all were called."""
        self.before(name)
        answers, failure = [], None
        for shard in range(self.count):
            try:
                answers.append(self._lucky(shard, lambda shard=shard: one(shard)))  # type: ignore[misc]
            except ShardUnavailable as error:
                failure = error
        if failure is not None:
            raise failure
        return answers

    def _called(self, name: str, shard: int, call: Callable[[], Result]) -> Result:
        self.before(name)
        return self._lucky(shard, call)

    def _lucky(self, shard: int, call: Callable[[], Result]) -> Result:
        with self._one_at_a_time:
            if shard in self.away or self._dice.random() < self.chance:
                raise ShardUnavailable(f"shard {shard} was not reached")
            result = call()
            if self._dice.random() < self.chance:
                raise ShardUnavailable(f"shard {shard} has not answered")
            return result
