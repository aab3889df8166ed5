from dataclasses import replace
from pathlib import Path

import pytest

from stream_ml.runtime.clock import ManualClock
from stream_ml.serving.fed import FedReplica, FeedReader
from stream_ml.serving.loading import load_snapshot
from stream_ml.weights.feed import Chunk, Interval, decode_chunk, feed_topic
from stream_ml.weights.variant_state import VariantState
from tests.clicks import event
from tests.scripted import NAME, ScriptedWriter

EVENT = event(3)


@pytest.fixture
def writer(tmp_path: Path) -> ScriptedWriter:
    writer = ScriptedWriter(tmp_path)
    writer.begin()
    writer.learn()
    writer.publish()
    writer.snapshot()
    return writer


@pytest.fixture
def fed(writer: ScriptedWriter) -> FedReplica:
    announced = state_of(writer).snapshots[-1]
    loaded = load_snapshot(writer.store, announced, writer.plan.fingerprint)
    return FedReplica(NAME, loaded, ManualClock())


def state_of(writer: ScriptedWriter) -> VariantState:
    return writer.journal.state.variants["v1"]


def chunks_of(writer: ScriptedWriter) -> list[Chunk]:
    return [decode_chunk(value) for _, value in writer.delta()]


def prediction(fed: FedReplica) -> float:
    return float(fed.replica.score([EVENT])[0]["prediction"])


def test_deltas_may_come_in_any_order_of_their_chunks_and_more_than_once(
    writer: ScriptedWriter, fed: FedReplica
) -> None:
    writer.learn()
    chunks = chunks_of(writer)
    assert len(chunks) > 1
    fed.take([*reversed(chunks), *chunks], state_of(writer))
    assert (fed.replica.step, fed.lost) == (2, "")
    assert prediction(fed) == writer.prediction(EVENT)


def test_a_gap_says_which_step_would_help_and_leaves_the_rows_alone(
    writer: ScriptedWriter, fed: FedReplica
) -> None:
    before = fed.replica.digest()
    writer.learn()
    chunks_of(writer)  # lost
    writer.learn()
    fed.take(chunks_of(writer), state_of(writer))
    assert "steps 2 to 2 were lost" in fed.lost
    assert fed.needed_step == 2
    assert fed.replica.digest() == before


def test_an_image_replaces_all_rows(writer: ScriptedWriter, fed: FedReplica) -> None:
    before = fed.replica
    chunk = chunks_of(writer)[0]
    image: Interval = replace(chunk.interval, image=True, to_step=9)
    row = (77).to_bytes(8, "little") + b"\0\0\x80\x3f" * 2
    fed.take([Chunk(image, 0, 1, chunk.score_state, row, b"")], state_of(writer))
    assert (fed.replica.rows, fed.replica.step) == (1, 9)
    assert fed.replica is not before, "what is being served is never half replaced"
    assert before.rows > 1


def test_a_reader_that_reached_the_ends_has_returned_everything_before_them(writer: ScriptedWriter) -> None:
    reader = FeedReader(writer.log, feed_topic(NAME), NAME, {0: 0})
    ends = reader.ends()
    assert not reader.reached(ends)
    found = reader.poll(0)
    assert reader.reached(ends)
    assert {chunk.interval.to_step for chunk in found} == {1}
    writer.publish()
    assert reader.reached(ends)
    assert not reader.reached(reader.ends())
    reader.close()
