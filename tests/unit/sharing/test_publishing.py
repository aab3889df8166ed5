"""The feed of rows in shards has no gap but where a shard forgot what changed, or began anew."""

from __future__ import annotations

from collections import defaultdict
from contextlib import closing
from itertools import pairwise
from pathlib import Path

import pytest

from stream_ml.sharing import chores
from stream_ml.weights.feed import Interval, decode_chunk, feed_topic
from tests.clicks import event
from tests.unit.sharing.rig import SHARDS, Rig

FEED = feed_topic("clicks")
DELTAS, SNAPSHOTS = 8, 5


def intervals(rig: Rig) -> dict[int, list[Interval]]:
    """Return what the feed has of each shard, in order."""
    found: dict[int, list[Interval]] = defaultdict(list)
    for partition in range(2):
        end = rig.log.bounds(FEED, partition).next
        with closing(rig.log.reader(FEED, {partition: 0})) as reader:
            values = [value for fetch in reader.poll(100_000, 1.0) for value in fetch.values]
        assert len(values) == end
        for chunk in map(decode_chunk, filter(None, values)):
            found[chunk.interval.shard].append(chunk.interval)
    return found


def test_a_snapshot_newer_than_what_was_sent_leaves_no_gap(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Or every reader would load it, at each snapshot."""
    monkeypatch.setattr(chores, "_RETRY_SECONDS", 0.02)
    rig = Rig(tmp_path, overrides={"publish_interval_seconds": 0.2, "snapshot_interval_seconds": 0.02})
    life = rig.life()
    sent = 0

    def published() -> bool:
        nonlocal sent
        rig.send([event(number) for number in range(sent, sent + 20)])
        sent += 20
        life.wait_until(rig.all_pushed)
        return all(rig.log.bounds(FEED, partition).next >= DELTAS for partition in range(2))

    life.wait_until(published)
    assert len(life.sharing._chores._newest.announced()) >= SNAPSHOTS
    life.end()
    found = intervals(rig)
    assert found.keys() == set(range(SHARDS))
    for shard, each in found.items():
        assert len(each) > 1
        for before, after in pairwise(each):
            assert after.from_step <= before.to_step, f"steps of shard {shard} are in no delta"
