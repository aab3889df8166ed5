"""What a learner of rows that lie elsewhere refuses; it touches nothing then."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from stream_ml._native import Learner, PartitionLearner, blob_watermark, score_state
from tests.clicks import MODEL, events
from tests.unit.native.rows_elsewhere import COUNTING, TIMED, Rows, learn, learner_of, plan_of, scanned


def damaged_rows(rows: list[bytes]) -> Iterator[tuple[list[Any], str]]:
    yield rows[:-1], "rows of 2 shards, the batch has 3"
    yield [*rows, b""], "rows of 4 shards"
    yield [rows[0][:-1], *rows[1:]], "shard 0: .* bytes for"
    yield [rows[0], rows[1] + bytes(8), rows[2]], "shard 1: .* bytes for"
    for bad in [(np.nan, 0), (np.inf, 0), (0, np.nan), (0, -1), (0, np.inf)]:
        end = np.array(bad, np.float32).tobytes()
        yield [*rows[:2], rows[2][:-8] + end], "shard 2: row .* is damaged"
        yield [end + rows[0][8:], *rows[1:]], "shard 0: row 0 is damaged"


def test_rows_that_are_not_the_batchs_are_refused_and_nothing_is_touched() -> None:
    learner, rows = learner_of(MODEL), Rows()
    learn(learner, rows, [events(100)])
    batch = scanned(learner, events(100, 100))
    good, before, metrics = rows.pull(batch), learner.state(), learner.metrics()
    for bad, why in damaged_rows(good):
        with pytest.raises(ValueError, match=why):
            learner.learn(batch, bad)
        assert learner.state() == before
        assert learner.metrics() == pytest.approx(metrics, nan_ok=True)
    straight, expected = learner_of(MODEL), Rows()
    learn(straight, expected, [events(100), events(100, 100)])
    rows.add(learner.learn(batch, good)[1])
    assert rows.rows == expected.rows


def test_a_batch_of_another_plan_or_partition_or_layout_is_refused() -> None:
    learner = learner_of(MODEL)
    for other, why in [
        (learner_of(COUNTING), "and plan"),
        (PartitionLearner(plan_of(MODEL), partition=6, shards=3), "of partition 6"),
        (learner_of(MODEL, shards=2), "rows of 2 shards|the batch has 2"),
    ]:
        batch = scanned(other, events(10))
        with pytest.raises(ValueError, match=why):
            learner.learn(batch, learner_rows(learner, 10))
    assert learner.metrics()["learned"] == 0


def learner_rows(learner: PartitionLearner, count: int) -> list[bytes]:
    return Rows().pull(scanned(learner, events(count)))


@pytest.mark.parametrize(
    ("setting", "why"), [("expire_after_seconds = 60", "expire_after_seconds"), ("max_rows = 5", "max_rows")]
)
def test_a_model_that_no_partition_can_follow_alone_is_refused(setting: str, why: str) -> None:
    with pytest.raises(ValueError, match=f"{why}.*cannot be had where several learners share the rows"):
        learner_of(TIMED.replace("[learner]", f"[learner]\n{setting}"))


def test_there_is_a_shard_and_as_many_timestamps_as_values() -> None:
    with pytest.raises(ValueError, match="0 shards"):
        learner_of(MODEL, shards=0)
    for call in (learner_of(MODEL).scan, learner_of(MODEL).remember):
        with pytest.raises(ValueError, match="2 values, 1 timestamps"):
            call([b"{}", b"{}"], [0])


def test_every_damage_to_a_state_is_refused_and_nothing_is_touched() -> None:
    learner = learner_of(MODEL)
    learn(learner, Rows(), [events(60)])
    state = learner.state()
    memory = Learner(plan_of(MODEL))
    memory.begin_image()
    for end in range(0, len(state), 397):
        flipped = bytearray(state)
        flipped[end] ^= 1 << end % 8
        for bad in (state[:end], bytes(flipped)):
            with pytest.raises(ValueError, match="a partition's state"):
                learner.load_state(bad)
            with pytest.raises(ValueError, match="a partition's state"):
                blob_watermark(bad)
    with pytest.raises(ValueError, match="of plan"):
        learner.load_state(learner_of(COUNTING).state())
    whole = memory.seal_image().state
    with pytest.raises(ValueError, match="a partition's state"):
        learner.load_state(whole)
    assert learner.state() == state


@pytest.mark.parametrize(
    ("rows", "why"),
    [
        (b"", "0 bytes for 3 rows"),
        (bytes(16), "16 bytes for 3 rows"),
        (bytes(32), "32 bytes for 3 rows"),
        (np.array([0, 0, 0, -1, 0, 0], np.float32).tobytes(), "row 1 is damaged"),
        (np.array([np.nan, 0, 0, 0, 0, 0], np.float32).tobytes(), "row 0 is damaged"),
    ],
)
def test_a_score_state_is_made_of_three_sound_rows(rows: bytes, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        score_state(plan_of(MODEL), rows, 0)
