"""What a learner that shares refuses at its start, and where its shards stand."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from stream_ml._native import Learner, Plan, Replica
from stream_ml.errors import ConfigError
from stream_ml.features import CompiledModel, compile_model
from stream_ml.learning.batch import EventRange
from stream_ml.learning.beginnings import Beginnings
from stream_ml.learning.loading import Loader
from stream_ml.learning.rebuilding import rebuild
from stream_ml.sharing.owning import OwnedPartition, Pushed
from stream_ml.sharing.standing import standing
from stream_ml.sharing.variant import SharedVariant
from stream_ml.streams.memory import MemoryLog
from stream_ml.weights.journal import JournalReader, JournalWriter
from stream_ml.weights.lines import Layout, Variant
from stream_ml.weights.shards import Identity
from stream_ml.weights.snapshots import load
from tests.clicks import MODEL, event
from tests.unit.sharing.rig import SHARDS, Rig


def test_a_model_whose_rows_expire_is_refused_by_name(tmp_path: Path) -> None:
    text = MODEL.replace("[features]", 'timestamp = "at"\n[features]') + "expire_after_seconds = 60\n"
    with pytest.raises(ConfigError, match=r"clicks: weights in Redis: .*expire"):
        Rig(tmp_path, model_text=text).life()


def test_a_changed_model_file_is_refused_with_a_way_on(rig: Rig) -> None:
    rig.send(event(number) for number in range(100))
    life = rig.life()
    life.wait_until(rig.all_pushed)
    life.end()
    rig.model_text = MODEL.replace("alpha = 0.3", "alpha = 0.2")
    with pytest.raises(ConfigError, match=r"the model file was changed(.|\n)*snapshot copy"):
        rig.life()


def begun_but_not_decided_for(rig: Rig, layout: Layout | None) -> None:
    """Leave the journal as a learner does that is killed before it says that its first variant serves."""
    parties = rig.parties(layout)
    writer = JournalWriter(rig.log, parties.topics.journal.name)
    with JournalReader.open(rig.log, parties.topics.journal.name) as reader:
        reader.read_to_end()
        beginnings = Beginnings(parties, reader, writer)
        beginnings._begin_journal()
        beginnings._begin(None, "first start", made_anew=False)


@pytest.mark.parametrize("before", [None, Layout(0, SHARDS + 1)])
def test_a_variant_begun_for_rows_elsewhere_does_not_serve(rig: Rig, before: Layout | None) -> None:
    begun_but_not_decided_for(rig, before)
    parties = rig.parties(rig.layout)
    _, variant = SharedVariant.begun(parties, JournalWriter(rig.log, parties.topics.journal.name))
    assert (variant.name, variant.layout) == ("v2", rig.layout)


def test_a_variant_begun_for_these_shards_is_let_serve(rig: Rig) -> None:
    begun_but_not_decided_for(rig, rig.layout)
    parties = rig.parties(rig.layout)
    assert SharedVariant.begun(parties, JournalWriter(rig.log, parties.topics.journal.name))[1].name == "v1"


@pytest.fixture
def lost_journal(tmp_path: Path) -> Rig:
    """A model whose rows were in shards and are in snapshots, its journal gone, its file changed."""
    rig = Rig(tmp_path, overrides={"snapshot_interval_seconds": 0.05})
    rig.send(event(number) for number in range(100))
    life = rig.life()
    life.wait_until(lambda: rig.all_pushed() and bool(rig.store.names("clicks")))
    life.end()
    rig.log = MemoryLog()
    rig.log.ensure_topic("events", 1)
    rig.model_text = MODEL.replace("alpha = 0.3", "alpha = 0.2")
    return rig


def begun(rig: Rig, layout: Layout | None) -> Variant:
    parties = replace(rig.parties(layout), accept_loss=True)
    writer = JournalWriter(rig.log, parties.topics.journal.name)
    with JournalReader.open(rig.log, parties.topics.journal.name) as reader:
        name = Beginnings(parties, reader, writer).variant_to_learn()
        line = reader.state.variants[name].line
        assert line is not None
        return line


def test_a_lost_journal_and_a_changed_model_file_do_not_begin_with_rows_in_redis(lost_journal: Rig) -> None:
    with pytest.raises(ConfigError, match="rows in Redis go on with an unchanged model file only"):
        begun(lost_journal, lost_journal.layout)


def test_a_memory_goes_on_with_the_rows_that_shards_had_each_weight_being_what_it_was(
    lost_journal: Rig,
) -> None:
    line = begun(lost_journal, None)
    assert line.seed is not None
    loader = Loader(lost_journal.parties(None), lambda: Learner(Plan(lost_journal.model.plan_bytes)))
    adapted, before = loader.begun_with(line.seed.name), Learner(Plan(compile_model(MODEL).plan_bytes))
    with lost_journal.store.open(line.seed.name) as snapshot:
        before.load_score_state(load(snapshot, before).score_state)
    assert scored(adapted, lost_journal.model) == pytest.approx(
        scored(before, compile_model(MODEL)), abs=1e-6
    )


def scored(learner: Learner, model: CompiledModel) -> list[float]:
    replica = Replica(Plan(model.plan_bytes))
    cut_rows = []
    learner.begin_image()
    while piece := learner.take_image(1000):
        cut_rows.append(piece)
    replica.apply(b"".join(cut_rows), b"", learner.seal_image().score_state, 1, 0.0)
    return [answer["log_odds"] for answer in replica.score([event(number) for number in range(30)])]


def test_standing_tells_owners_fences_and_what_was_learned(tmp_path: Path) -> None:
    rig = Rig(tmp_path, partitions=2)
    rig.send((event(number) for number in range(200)), partition=0)
    rig.send((event(number) for number in range(1000, 1100)), partition=1)
    life = rig.life()
    life.wait_until(rig.all_pushed)
    life.end()
    stands = standing(rig.shards, Plan(rig.model.plan_bytes))
    assert stands.shards == ["fences"] * SHARDS
    assert (stands.next(0), stands.next(1), stands.next(7)) == (200, 100, 0)
    rig.shards.identity = Identity("started", "again")  # type: ignore[attr-defined]
    moved = standing(rig.shards, Plan(rig.model.plan_bytes))
    assert moved.shards == ["moved"] * SHARDS
    assert (moved.next(0), moved.owner(1)) == (200, stands.owner(1))
    assert moved.totals["learned"] == stands.totals["learned"] > 0
    rig.shards.identity = Identity("process-1", "reign-1")  # type: ignore[attr-defined]
    assert stands.owner(1).owner == "learner-0"
    assert stands.owner(7).owner == ""
    totals = stands.totals
    assert totals["learned"] + totals["duplicates"] + totals["refused"] == totals["records"] == 300
    rig.shards.close(1)
    stands = standing(rig.shards, Plan(rig.model.plan_bytes))
    assert (stands.shards, stands.next(0), stands.places(0)) == (
        ["fences", "empty", "fences"],
        None,
        [200] * 2,
    )


def test_what_was_learned_in_no_written_order_is_not_replayed(rig: Rig) -> None:
    rig.send(event(number) for number in range(20))
    life = rig.life()
    life.wait_until(rig.all_pushed)
    life.end()
    with pytest.raises(ConfigError, match=r"v1 is learned with rows in Redis(.|\n)*stream-ml inspect"):
        rebuild(rig.parties(None), lambda: Learner(Plan(rig.model.plan_bytes)))


def test_events_that_wait_for_a_worker_count_as_held_in_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    partitions, padding, least = 12, b" " * 2000, 65_536
    settings = {"redis_batches_joined": 1, "redis_batches_in_flight": 1, "batch_max_bytes": least}
    rig = Rig(tmp_path, partitions=partitions, overrides=settings)
    for partition in range(partitions):
        rig.send([event(number) + padding for number in range(100)], partition)
    most = 0

    def learn(owned: OwnedPartition, part: EventRange, real: Any = OwnedPartition.learn) -> Pushed:
        nonlocal most
        assigned = life.sharing.loop._assigned.values()
        most = max(most, sum(each.taken + each.waiting.size for each in list(assigned)))
        time.sleep(0.01)
        return real(owned, part)

    monkeypatch.setattr(OwnedPartition, "learn", learn)
    life = rig.life()
    life.wait_until(rig.all_pushed, 60)
    life.end()
    # One poll of 20 records may come beyond the bound.
    assert least / 2 < most <= least + 20 * 3000
