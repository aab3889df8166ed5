"""Batches are cut from what was read at fences and at their most records, and lose and repeat nothing."""

from __future__ import annotations

import random

from stream_ml.learning.batch import EventRange
from stream_ml.sharing.queue import Waiting
from stream_ml.streams.log import Fetch


def fetch(offsets: list[int], end: int | None = None) -> Fetch:
    return Fetch(
        partition=3,
        first=offsets[0],
        next=offsets[-1] + 1 if end is None else end,
        offsets=offsets,
        keys=None,
        values=[b"%d" % at for at in offsets],
        timestamps_ms=[at * 10 for at in offsets],
    )


def taken(waiting: Waiting, first: int, limit: int | None = None, most: int = 1000) -> EventRange:
    part = waiting.take(first, limit, most)
    assert part is not None
    return part


def test_without_a_limit_all_that_waits_is_one_batch() -> None:
    waiting = Waiting()
    assert waiting.take(4, None, 10) is None
    waiting.add(fetch([5, 6, 8]))
    waiting.add(fetch([9, 10]))
    part = taken(waiting, 4)
    assert (part.first, part.next, list(part.offsets)) == (4, 11, [5, 6, 8, 9, 10])
    assert (waiting.records, waiting.size) == (0, 0)
    assert waiting.take(11, None, 10) is None


def test_a_batch_ends_exactly_at_the_fence_also_where_the_log_has_a_hole() -> None:
    waiting = Waiting()
    waiting.add(fetch([5, 6, 9]))
    assert (taken(waiting, 5, 8).next, waiting.records) == (8, 1)
    assert taken(waiting, 8, 9).values == []
    assert taken(waiting, 9, 12).next == 10


def test_a_batch_before_the_fence_ends_with_what_was_read() -> None:
    waiting = Waiting()
    waiting.add(fetch([5, 6], end=7))
    assert taken(waiting, 5, 20).next == 7


def test_whatever_the_cuts_every_record_comes_once_and_in_order() -> None:
    dice = random.Random(5)
    for _ in range(300):
        offsets = sorted(dice.sample(range(60), 40))
        waiting, at = Waiting(), 0
        while at < len(offsets):
            count = 1 + dice.randrange(9)
            waiting.add(fetch(offsets[at : at + count]))
            at += count
        fences = sorted(dice.sample(range(1, 60), 3))
        seen, first = list[int](), 0
        while True:
            limit = next((fence for fence in fences if fence > first), None)
            part = waiting.take(first, limit, 1 + dice.randrange(12))
            if part is None:
                break
            assert part.first == first < part.next
            assert all(first <= offset < part.next for offset in part.offsets)
            assert limit is None or part.next <= limit
            assert part.values == [b"%d" % offset for offset in part.offsets]
            seen += part.offsets
            first = part.next
        assert seen == offsets
        assert (waiting.records, waiting.size) == (0, 0)
