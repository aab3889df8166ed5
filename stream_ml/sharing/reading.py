"""A shard read whole while others push: pages, completed by what changed since the first."""

from __future__ import annotations

import time
from collections.abc import Callable

from stream_ml.errors import RecoverableError
from stream_ml.sharing.mending import Mender
from stream_ml.weights.shards import Answer, Rows, Shards

# A page waits for pushes that are before it: fewer, larger ones take less time in all.
_PAGE_ROWS = 50_000
_ATTEMPTS = 4
# Of the time that a page took, until the next.
_PAUSE = 1.0


class CannotRead(RecoverableError):
    """A shard moved, or changed faster than it could be read; safe to try later."""


def read_shard(
    shards: Shards,
    mender: Mender,
    shard: int,
    take: Callable[[Rows], None],
    stopping: Callable[[], bool] = lambda: False,
) -> Answer:
    """
    Hand the rows of *shard* to *take*, in pieces; a later one overrides an earlier one of the same id.

    Returns:
        incarnation, version, fences and blobs as of which the rows are.

    Raises:
        CannotRead: what was taken so far is to be thrown away.
        ShardUnavailable: it does not answer.
    """
    for attempt in range(_ATTEMPTS):
        first = mender.look(shard)
        # A first attempt that was too slow is made up for by quicker ones.
        last = _read(shards, shard, first, take, stopping, patient=attempt == 0)
        if last is not None:
            return last
    raise CannotRead(f"shard {shard} could not be read in {_ATTEMPTS} attempts: it moves, or changes fast")


def _read(
    shards: Shards,
    shard: int,
    first: Answer,
    take: Callable[[Rows], None],
    stopping: Callable[[], bool],
    patient: bool,
) -> Answer | None:
    """Return the last answer; None if another incarnation answered, or too much changed meanwhile."""
    cursor = 0
    while True:
        began = time.perf_counter()
        answer = shards.page(shard, cursor, _PAGE_ROWS)
        took = time.perf_counter() - began
        if answer.kind != "page" or answer.incarnation != first.incarnation:
            return None
        take(answer.rows)
        if stopping():
            raise CannotRead("this process is to end")
        cursor = answer.cursor
        if not cursor:
            break
        if patient:
            # Learners wait for pages as pages wait for them: they get the larger part of the time.
            time.sleep(_PAUSE * took)
    since = first.version
    while True:
        last = shards.changes(shard, since)
        if last.kind != "changes" or last.incarnation != first.incarnation:
            return None
        take(last.rows)
        since = last.version
        if not last.cursor:
            return last
