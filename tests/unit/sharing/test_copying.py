"""A model moves from a learner's memory to shards, to other ones, and back: nothing is lost or doubled."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from stream_ml._native import PartitionLearner, Plan
from stream_ml.errors import CannotContinue, ConfigError
from stream_ml.learning.parties import Parties
from stream_ml.learning.windows import WindowReader
from stream_ml.runtime.clock import SystemClock
from stream_ml.sharing import blob
from stream_ml.sharing.copying import move
from stream_ml.sharing.variant import KeptShards, SharedVariant
from stream_ml.weights.journal import JournalReader, JournalWriter
from stream_ml.weights.lines import Layout
from stream_ml.weights.shards import Owner, Push, Rows, Shards
from stream_ml.weights.shards_memory import MemoryShards
from tests.clicks import MODEL, event
from tests.unit.learning.rig import Rig as MemoryRig
from tests.unit.sharing.rig import SHARDS, Rig
from tests.unit.sharing.test_learning import rows_of

NewShards = Callable[[int], Shards]
COUNTING = MODEL.replace("[learner]", '[learner]\noptimizer = "counting"')
EVENTS = [event(number) for number in range(900)]


class Both:
    """One model, one log and one store, for learners of either mode."""

    def __init__(self, folder: Path, new_shards: NewShards = MemoryShards, model_text: str = MODEL) -> None:
        self.memory = MemoryRig(folder, model_text=model_text)
        self.shared = Rig(folder, model_text=model_text, new_shards=new_shards)
        self.shared.log, self.shared.store = self.memory.log, self.memory.store

    def send(self, first: int, end: int) -> None:
        self.shared.send(EVENTS[first:end])

    def learn_in_memory(self) -> dict[str, object]:
        life = self.memory.run_to_the_end()
        assert life.all_learned()
        return life.digest

    def learn_in_shards(self) -> None:
        life = self.shared.life()
        life.wait_until(self.shared.all_pushed)
        life.end()

    def parties(self, shards: int | None) -> Parties:
        return self.shared.parties(None if shards is None else Layout(0, shards))

    def move(self, shards: int | None) -> str:
        """Move to so many new shards, or None: to memory."""
        parties, old = self.parties(shards), self.shared.shards
        journal = JournalWriter(self.shared.log, parties.topics.journal.name)

        def take_snapshot(name: str) -> None:
            with JournalReader.open(self.shared.log, parties.topics.journal.name) as reader:
                reader.read_to_end()
                variant = SharedVariant.of(name, reader.state)
            settings = self.shared.settings()
            KeptShards(parties, variant, old, journal, settings, SystemClock()).snapshots.take()

        _, serves = move(parties, journal, take_snapshot)
        if shards is not None:
            self.shared.shards = self.shared.new_shards(shards)
            self.shared.layout = Layout(0, shards)
        return serves


def test_from_memory_to_shards_and_back_every_row_is_the_same_to_the_bit(
    tmp_path: Path, new_shards: NewShards
) -> None:
    both = Both(tmp_path, new_shards)
    both.send(0, 700)
    before = both.learn_in_memory()
    assert both.move(SHARDS) == "v2"
    both.learn_in_shards()
    assert len(rows_of(both.shared)) == before["rows"]
    assert both.move(None) == "v3"
    after = both.learn_in_memory()
    assert (after["rows"], after["rows_hash"]) == (before["rows"], before["rows_hash"])


def test_counts_go_on_exactly_through_every_move_and_repeats_across_one_are_known(
    tmp_path: Path, new_shards: NewShards
) -> None:
    both = Both(tmp_path, new_shards, COUNTING)
    alone = Both(tmp_path / "alone", model_text=COUNTING)
    alone.send(0, 900)
    expected = alone.learn_in_memory()
    both.send(0, 250)
    both.learn_in_memory()
    both.move(4)
    both.send(250, 500)
    both.learn_in_shards()
    both.move(7)
    both.send(500, 700)
    both.learn_in_shards()
    both.move(None)
    both.send(700, 900)
    found = both.learn_in_memory()
    assert (found["rows"], found["rows_hash"]) == (expected["rows"], expected["rows_hash"])


def test_shards_that_disagree_are_moved_once_they_agree(tmp_path: Path, new_shards: NewShards) -> None:
    both = Both(tmp_path, new_shards, COUNTING)
    both.send(0, 300)
    both.learn_in_shards()
    # As a learner leaves them that was killed between two shards.
    owner, shards = Owner(0, 99, "killed"), both.shared.shards
    both.send(300, 400)
    learner = PartitionLearner(Plan(both.shared.model.plan_bytes), partition=0, shards=shards.count)
    WindowReader(both.shared.log, "events", 100).remember(learner.remember, learner.forget, 0, 0, 300)
    learner.load_state(blob.decode(shards.take(0, owner).blobs[0]).state)
    batch = learner.scan(EVENTS[300:310], [0] * 10)
    pulled = shards.pull([np.frombuffer(ids, "<u8") for ids in batch.ids])
    _, added = learner.learn(batch, [each.rows.values.tobytes() for each in pulled])
    pushes = [
        Push(300, 310, Rows(np.frombuffer(ids, "<u8"), np.frombuffer(deltas, "<f4").reshape(-1, 2)))
        for ids, deltas in added
    ]
    assert shards.take(1, owner).kind == "taken"
    # The first shard, which is home, refuses it, as if it had never come.
    assert [
        each.kind for each in shards.push(owner, [pushes[0]._replace(first=299, home=True), *pushes[1:]])
    ] == [
        "recut",
        "applied",
        "fenced",
    ]
    with pytest.raises(CannotContinue, match=r"disagree .*\{0: \[300, 310\]\}"):
        both.move(5)
    both.learn_in_shards()
    assert both.move(7) == "v2"
    both.send(400, 900)
    both.learn_in_shards()
    both.move(None)
    found = both.learn_in_memory()
    alone = Both(tmp_path / "alone", model_text=COUNTING)
    alone.send(0, 900)
    expected = alone.learn_in_memory()
    assert (found["rows"], found["rows_hash"]) == (expected["rows"], expected["rows_hash"])


def test_a_shard_restored_without_a_fence_of_a_partition_has_none_of_its_events(tmp_path: Path) -> None:
    both = Both(tmp_path, model_text=COUNTING)
    rig = both.shared
    rig.overrides["snapshot_interval_seconds"] = 1000
    both.send(0, 100)
    life = rig.life()
    life.wait_until(lambda: rig.all_pushed() and bool(rig.store.names("clicks")))
    life.end()
    rig.log.add_partitions("events", 2)
    rig.partitions = 2
    rig.send(EVENTS[100:200], partition=1)
    both.learn_in_shards()
    # It comes back from the snapshot, which is older than the partition, and no learner was there since.
    shards = rig.shards
    assert isinstance(shards, MemoryShards)
    del shards._shards[1]
    parties = both.parties(SHARDS)
    journal = JournalWriter(rig.log, parties.topics.journal.name)
    with JournalReader.open(rig.log, parties.topics.journal.name) as reader:
        reader.read_to_end()
        variant = SharedVariant.of("v1", reader.state)
    kept = KeptShards(parties, variant, shards, journal, rig.settings(), SystemClock())
    assert 1 not in kept.mender.look(1).fences
    with pytest.raises(CannotContinue, match=r"disagree .*1: \[0, 100\]"):
        both.move(5)
    both.learn_in_shards()
    assert both.move(5) == "v2"


def test_what_cannot_be_moved_says_why(tmp_path: Path) -> None:
    both = Both(tmp_path)
    with pytest.raises(ConfigError, match="no variant of clicks serves yet"):
        both.move(3)
    both.send(0, 300)
    life = both.memory.in_background()
    life.wait_until_learned()
    with pytest.raises(CannotContinue, match="still learns v1"):
        both.move(3)
    with pytest.raises(ConfigError, match="in a learner's memory already"):
        both.move(None)
    life.end()
    with pytest.raises(ConfigError, match=r"in a learner's memory, by the settings in 3 shards"):
        both.shared.life()
    both.move(3)
    with pytest.raises(ConfigError, match="in 3 shards in Redis already"):
        both.move(3)
    with pytest.raises(ConfigError, match="in 3 shards in Redis, by the settings in a learner's memory"):
        both.memory.run_to_the_end()
    both.shared.layout = Layout(0, 4)
    with pytest.raises(ConfigError, match="in 3 shards in Redis, by the settings in 4 shards"):
        both.shared.life()


def test_a_learner_of_what_was_moved_ends_to_be_started_again(tmp_path: Path) -> None:
    both = Both(tmp_path)
    both.send(0, 100)
    life = both.shared.life()
    life.wait_until(both.shared.all_pushed)
    old = both.shared.shards
    both.move(5)
    for shard in range(SHARDS):
        old.close(shard)
    with pytest.raises(Exception, match="v2 serves now, v1 was moved"):
        life.wait_until(lambda: False, 10)
    assert np.all([old.look(shard).kind == "empty" for shard in range(SHARDS)])
