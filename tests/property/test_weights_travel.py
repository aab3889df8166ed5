"""
Weights on their way: learner, snapshot store, feed and replica, driven in any order against digests by step.

Whatever is learned in between, a restored learner has the same bits and a replica the same rows.
"""

from __future__ import annotations

import tempfile
from dataclasses import replace
from typing import Any

import orjson
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from stream_ml._native import Learner, Plan, Replica
from stream_ml.features import compile_model
from stream_ml.weights.artefact import Parts
from stream_ml.weights.feed import (
    Action,
    Assembler,
    Delta,
    Interval,
    cut_into_chunks,
    decode_chunk,
    encode_chunk,
)
from stream_ml.weights.lines import Claimed
from stream_ml.weights.snapshots import SnapshotName, SnapshotStore, SnapshotWriter, load
from stream_ml.weights.variant_state import VariantState
from tests.unit.weights.artefacts import MANIFEST

MODEL = """
name = "m"
event_id = "id"
timestamp = "at"
label = "y"
[features]
shop = "shop"
pair = "cross(shop, kind)"
price = "number(price)"
[learner]
optimizer = "ftrl"
alpha = 0.3
beta = 0.6
l1 = 0.2
l2 = 0.1
duplicate_window = 20
evaluate_every = 7
"""
PLAN = Plan(compile_model(MODEL).plan_bytes)
ONE_WRITER = VariantState(PLAN.fingerprint, None, 0, {}, claims=[Claimed(2, 0)])
PARTITIONS = 3

EVENT = st.fixed_dictionaries(
    {
        "id": st.integers(0, 60),
        "at": st.integers(1_000_000, 2_000_000),
        "y": st.integers(0, 1),
        "shop": st.integers(0, 40),
        "kind": st.sampled_from(["a", "b", None]),
        "price": st.floats(-3, 3, width=16),
    }
)
BATCH = st.lists(EVENT, min_size=1, max_size=40)


class WeightsTravel(RuleBasedStateMachine):
    """
    One learner, its store, one replica.

    Attributes:
        batches: learned, from step 1 on.
        digests: of the learner, by step.
        stored: name and step of every finished snapshot.
    """

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.store = SnapshotStore(self.folder.name)
        self.learner = Learner(PLAN)
        self.batches: list[list[bytes | None]] = []
        self.digests = [self.learner.digest()]
        self.stored: list[SnapshotName] = []
        self.writer: SnapshotWriter | None = None
        self.replica, self.assembler = Replica(PLAN), Assembler("v", PLAN.fingerprint)
        self.cut_from = 0

    def teardown(self) -> None:
        if self.writer is not None:
            self.writer.abandon()
        self.folder.cleanup()

    @property
    def step(self) -> int:
        return len(self.batches)

    @rule(events=BATCH, broken=st.booleans())
    def learn(self, events: list[dict[str, Any]], broken: bool) -> None:
        self.batches.append([orjson.dumps(event) for event in events] + [b"{" if broken else None])
        learn(self.learner, self.batches[-1])
        self.digests.append(self.learner.digest())

    @rule(lost=st.sampled_from([False, False, True]), order=st.permutations(range(PARTITIONS)))
    def publish(self, lost: bool, order: list[int]) -> None:
        """Cut a delta; its chunks arrive partition by partition, or it is lost."""
        cut = self.learner.cut()
        interval = Interval(
            variant="v",
            fingerprint=PLAN.fingerprint,
            epoch=2,
            from_step=self.cut_from,
            to_step=self.step,
            learned_at=1.0,
        )
        self.cut_from = self.step
        chunks = cut_into_chunks(Delta(interval, cut.score_state, cut.rows, cut.removed), PARTITIONS, 1500)
        for partition in order:
            for where, chunk in chunks:
                record = encode_chunk(chunk)
                assert len(record) <= 1500
                if where == partition and not lost:
                    self.take(record)

    def take(self, record: bytes) -> None:
        outcome = self.assembler.offer(decode_chunk(record), ONE_WRITER)
        if outcome.action is Action.RESYNC and self.stored and self.stored[-1].step > self.assembler.position:
            self.resync()
        elif outcome.delta is not None:
            delta = outcome.delta
            step = delta.interval.to_step
            self.replica.apply(delta.rows, delta.removed, delta.score_state, step, delta.interval.learned_at)

    def resync(self) -> None:
        self.replica = Replica(PLAN)
        with self.store.open(self.stored[-1]) as snapshot:
            parts = load(snapshot, self.replica)
            self.replica.apply(b"", b"", parts.score_state, snapshot.manifest.step, 1.0)
            self.assembler.restart(snapshot.manifest.step)

    @precondition(lambda self: self.writer is None)
    @rule()
    def begin_image(self) -> None:
        self.learner.begin_image()
        self.writer = self.store.writer("m", "v")

    @precondition(lambda self: self.writer is not None)
    @rule(rows=st.integers(1, 60))
    def take_image(self, rows: int) -> None:
        assert self.writer is not None
        self.writer.add_rows(self.learner.take_image(rows))

    @precondition(lambda self: self.writer is not None)
    @rule()
    def seal_image(self) -> None:
        assert self.writer is not None
        while rows := self.learner.take_image(50):
            self.writer.add_rows(rows)
        seal = self.learner.seal_image()
        manifest = replace(
            MANIFEST,
            epoch=len(self.stored),
            step=self.step,
            total_rows=seal.total_rows,
            rows_hash=seal.rows_hash,
        )
        parts = Parts(seal.removed, seal.state, seal.score_state, MODEL.encode(), PLAN.source)
        self.stored.append(self.writer.finish(manifest, seal.rows, parts))
        self.writer = None

    @rule()
    def crash(self) -> None:
        """Start again from the newest snapshot, and learn what came after it once more."""
        if self.writer is not None:
            self.writer.abandon()
            self.writer = None
        self.learner, first = Learner(PLAN), 0
        if self.stored:
            with self.store.open(self.stored[-1]) as snapshot:
                self.learner.load_state(load(snapshot, self.learner).state)
            first = self.stored[-1].step
        assert self.learner.digest() == self.digests[first]
        self.learner.cut()
        for batch in self.batches[first:]:
            learn(self.learner, batch)
        assert self.learner.digest() == self.digests[-1]
        self.cut_from = first

    @invariant()
    def the_replica_has_the_rows_of_its_step(self) -> None:
        found, learned = self.replica.digest(), self.digests[self.assembler.position]
        assert (found["rows"], found["rows_hash"]) == (learned["rows"], learned["rows_hash"])

    @invariant()
    def what_is_stored_verifies(self) -> None:
        if self.stored:
            assert self.store.verify(self.stored[-1]).total_rows == self.digests[self.stored[-1].step]["rows"]


def learn(learner: Learner, batch: list[bytes | None]) -> None:
    learner.learn([(0, batch, [2_000_000_000] * len(batch))])


TestWeightsTravel = WeightsTravel.TestCase
