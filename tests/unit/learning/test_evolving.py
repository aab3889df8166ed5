"""A changed model file begins a variant that goes on with the rows of the one that serves."""

from __future__ import annotations

from pathlib import Path

import numpy
import pytest

from stream_ml import _native
from stream_ml.errors import CannotContinue, ConfigError
from stream_ml.features import compile_model
from stream_ml.learning.evolving import inherit
from stream_ml.learning.points import Point
from stream_ml.learning.skipping import skip
from stream_ml.weights.inspection import Weights, weights_of
from stream_ml.weights.journal import JournalWriter
from stream_ml.weights.lines import Begin, Decision, Snapshot, Variant
from stream_ml.weights.snapshots import SnapshotName, load
from stream_ml.weights.state import VARIANTS_KEPT
from tests.clicks import MODEL, events
from tests.unit.learning.rig import EndAt, Rig
from tests.unit.learning.test_skipping import parties
from tests.unit.learning.test_starting import damage

# One slot is removed, one changed, one added.
CHANGED = MODEL.replace('page = "page"\n', "").replace(
    'price = "log1p(price)"', 'price = "sqrt(price)"\nword = "prefix(page, 2)"'
)
OTHER_PARAMETERS = MODEL.replace("alpha = 0.3\nl1 = 0.05", "alpha = 0.1\nl1 = 0.4\nl2 = 0.2\nbeta = 0.5")


@pytest.fixture
def rig(tmp_path: Path) -> Rig:
    rig = Rig(tmp_path)
    rig.send(events(400))
    rig.run_to_the_end()
    return rig


def said(rig: Rig, kind: type, variant: str) -> list:  # type: ignore[type-arg]
    return [e.line for e in rig.journal() if isinstance(e.line, kind) and e.line.variant == variant]


def stored(rig: Rig, variant: str, step: int) -> SnapshotName:
    return next(name for name in rig.store.names("clicks", variant) if name.step == step)


def weights(rig: Rig, name: SnapshotName) -> Weights:
    with rig.store.open(name) as snapshot:
        return weights_of(snapshot)


def first_and_last(rig: Rig) -> tuple[SnapshotName, SnapshotName]:
    """The last snapshot of the old variant, and the first of the new one, of which no step is learned."""
    seed = said(rig, Variant, "v2")[0].seed
    return SnapshotName.parse(seed.name), stored(rig, "v2", 0)


def test_unchanged_slots_keep_their_rows_bit_for_bit(rig: Rig) -> None:
    rig.model_text = CHANGED
    rig.run_to_the_end()
    old, new = (weights(rig, name) for name in first_and_last(rig))
    price = next(slot for slot in compile_model(MODEL).slots if slot.name == "price")
    gone = _native.Plan(compile_model(MODEL).plan_bytes).explain(events(1)[0])["features"][-1][2]
    assert price.kind == "number", "whose only row can be told"
    kept = old.ids != gone
    assert len(old.ids) - 1 == len(new.ids) > 100
    assert numpy.array_equal(old.ids[kept], new.ids)
    assert numpy.array_equal(old.z[kept], new.z)
    assert numpy.array_equal(old.n[kept], new.n)


def test_changed_hyper_parameters_keep_every_weight_and_every_score(rig: Rig) -> None:
    rig.model_text = OTHER_PARAMETERS
    rig.run_to_the_end()
    names = first_and_last(rig)
    old, new = (weights(rig, name) for name in names)
    assert numpy.array_equal(old.ids, new.ids)
    assert numpy.array_equal(old.n, new.n)
    assert not numpy.array_equal(old.z, new.z)
    assert numpy.abs(old.w - new.w).max() < 1e-7 < numpy.abs(old.w).max()
    assert ((old.w == 0) <= (new.w == 0)).all()
    before, after = (scores(rig, name) for name in names)
    assert numpy.abs(before - after).max() < 1e-6 < before.std()


def scores(rig: Rig, name: SnapshotName) -> numpy.ndarray:
    with rig.store.open(name) as snapshot:
        parts = snapshot.parts()
        replica = _native.Replica(_native.Plan(parts.plan))
        load(snapshot, replica)
    replica.apply(b"", b"", parts.score_state, name.step, 0.0)
    answers = replica.score(events(80))
    return numpy.array([answer["prediction"] for answer in answers if "prediction" in answer])


def test_it_learns_on_from_the_seed_and_serves_once_it_has_learned_as_much(rig: Rig) -> None:
    rig.send(events(100, first=400))
    rig.overrides["snapshot_interval_seconds"] = 1000.0
    rig.run_to_the_end(EndAt(Point.LINE_READ_BACK, 4))  # learned beyond the snapshot
    rig.model_text = CHANGED
    life = rig.run_to_the_end()
    (line,) = said(rig, Variant, "v2")
    assert life.started is not None
    assert (life.started.variant, line.seed.variant, line.events) == ("v2", "v1", {0: 400})
    assert life.counts["records"] == 100
    (decision,) = said(rig, Decision, "v2")
    assert (decision.kind, decision.why) == ("serve", "caught up with v1")
    offsets = {
        type(e.line): e.offset for e in reversed(rig.journal()) if getattr(e.line, "variant", "") == "v2"
    }
    assert offsets[Snapshot] < offsets[Decision], "a predictor needs a snapshot to begin with"
    after = rig.journal()[-1].line
    assert rig.run_to_the_end().started.variant == "v2", after  # type: ignore[union-attr]


def test_what_changed_is_told_slot_by_slot_in_log_and_journal(
    rig: Rig, caplog: pytest.LogCaptureFixture
) -> None:
    rig.model_text = CHANGED
    with caplog.at_level("INFO"):
        rig.run_to_the_end()
    why = said(rig, Variant, "v2")[0].why
    for each in (
        "slot page removed: page",
        "slot price changed: log1p(price) → sqrt(price)",
        "slot word added: prefix(page, 2)",
    ):
        assert each in why
    assert why in [getattr(record, "why", "") for record in caplog.records]


PHASES = [
    Point.CHANGED_VARIANT_BEGUN,
    Point.CLAIMED,
    Point.IMAGE_SEALED,
    Point.SNAPSHOT_STORED,
    Point.SNAPSHOT_ANNOUNCED,
    Point.LEARNED,
    Point.SERVING_DECIDED,
]


@pytest.mark.parametrize("phase", PHASES, ids=lambda phase: phase.name)
def test_killed_at_any_phase_it_is_the_same_variant_with_the_same_bits(rig: Rig, phase: Point) -> None:
    rig.send(events(100, first=400))
    rig.overrides["snapshot_interval_seconds"] = 1000.0
    rig.run_to_the_end(EndAt(Point.LEARNED, 4))
    rig.model_text = OTHER_PARAMETERS
    assert rig.run_to_the_end(EndAt(phase)).killed
    life = rig.run_to_the_end()
    assert [line.variant for line in (e.line for e in rig.journal()) if isinstance(line, Variant)] == [
        "v1",
        "v2",
    ]
    serving = [e.line.variant for e in rig.journal() if isinstance(e.line, Decision) and e.verdict.valid]
    assert serving == ["v1", "v2"]
    assert life.digest == uninterrupted(rig)
    assert life.counts["records"] == 100


def uninterrupted(rig: Rig) -> dict[str, int]:
    """The digest of a learner that inherits the seed and learns the rest in one call."""
    learner = _native.Learner(_native.Plan(compile_model(OTHER_PARAMETERS).plan_bytes))
    with rig.store.open(said(rig, Variant, "v2")[0].seed.name) as snapshot:
        inherit(learner, load(snapshot, learner), compile_model(OTHER_PARAMETERS))
    learner.learn([(0, events(100, first=400), [-1] * 100)])
    return learner.digest()


def test_a_file_that_is_changed_back_begins_another_variant(rig: Rig) -> None:
    for text in (CHANGED, MODEL, CHANGED):
        rig.model_text = text
        rig.run_to_the_end()
    assert [line.seed.variant for name in ("v2", "v3", "v4") for line in said(rig, Variant, name)] == [
        "v1",
        "v2",
        "v3",
    ]


def test_one_that_was_overruled_learns_on_and_does_not_take_the_place_again(rig: Rig) -> None:
    rig.model_text = CHANGED
    rig.run_to_the_end()
    decided = said(rig, Decision, "v2")[0]
    place = next(e.offset for e in rig.journal() if e.line == decided)
    back = Decision(kind="serve", variant="v1", who="operator", why="rolled back", replaces=place)
    JournalWriter(rig.log, "clicks.journal").append(back)
    rig.send(events(100, first=400))
    life = rig.run_to_the_end()
    assert life.started is not None
    assert (life.started.variant, life.counts["records"]) == ("v2", 100)
    assert len(said(rig, Decision, "v2")) == 1


def test_after_a_broker_that_forgot_a_changed_file_still_goes_on_with_the_rows(rig: Rig) -> None:
    rig.forget_broker()
    rig.accept_loss = True
    rig.model_text = OTHER_PARAMETERS
    rig.run_to_the_end()
    (line,) = said(rig, Variant, "v2")
    assert "the journal was lost" in line.why
    assert "setting alpha changed: 0.3 → 0.1" in line.why
    old, new = (weights(rig, name) for name in first_and_last(rig))
    assert numpy.abs(old.w - new.w).max() < 1e-7


def test_another_optimizer_is_refused_with_the_way_on(rig: Rig) -> None:
    rig.model_text = MODEL.replace("alpha = 0.3", 'optimizer = "sgd"\nalpha = 0.3')
    with pytest.raises(ConfigError, match=r"the optimizer is sgd, it was ftrl.*another name"):
        rig.run_to_the_end()


@pytest.mark.parametrize("learner", ['optimizer = "sgd"', 'loss = "squared"'])
def test_after_a_broker_that_forgot_another_optimizer_or_loss_is_refused_too(rig: Rig, learner: str) -> None:
    rig.forget_broker()
    rig.accept_loss = True
    rig.model_text = MODEL.replace("alpha = 0.3", f"{learner}\nalpha = 0.3")
    with pytest.raises(ConfigError, match=r"rows of clicks/v1/.* it was .*another name"):
        rig.run_to_the_end()
    assert said(rig, Variant, "v2") == [], "no empty table begins"
    rig.model_text = MODEL
    assert rig.run_to_the_end().started.variant == "v2", "the change undone, it goes on"  # type: ignore[union-attr]
    assert said(rig, Variant, "v2")[0].seed.variant == "v1"


def test_without_a_snapshot_that_verifies_a_changed_file_is_refused(rig: Rig) -> None:
    for path in rig.snapshots:
        damage(path)
    rig.model_text = CHANGED
    with pytest.raises(CannotContinue, match="no snapshot of v1, which serves, verifies"):
        rig.run_to_the_end()


def test_events_that_are_gone_since_the_snapshot_are_a_loss_to_be_accepted(rig: Rig) -> None:
    rig.send(events(100, first=400))
    rig.log.delete_records("events", 0, 430)
    rig.model_text = CHANGED
    with pytest.raises(CannotContinue, match=r"\{0: 30\}.*--accept-loss"):
        rig.run_to_the_end()
    rig.accept_loss = True
    assert rig.run_to_the_end().counts["records"] == 70
    assert said(rig, Variant, "v2")[0].lost == {0: 30}


def test_snapshots_of_the_oldest_variants_are_removed_and_a_lost_journal_states_only_the_last(
    rig: Rig,
) -> None:
    rig.accept_loss = True
    for number in range(2, 9):
        rig.forget_broker()
        rig.model_text = MODEL.replace("alpha = 0.3", f"alpha = 0.{number}")
        life = rig.run_to_the_end()
        assert life.started is not None
        assert life.started.variant == f"v{number}"
    kept = {name.variant for name in rig.store.names("clicks")}
    assert kept == {f"v{number}" for number in range(8 - VARIANTS_KEPT + 1, 9)}
    begin = rig.journal()[0].line
    assert isinstance(begin, Begin)
    assert [said.variant for said in begin.variants] == ["v4", "v5", "v6", "v7"]


def test_a_variant_begun_meanwhile_keeps_its_snapshots(rig: Rig) -> None:
    rig.model_text = CHANGED
    rig.run_to_the_end()
    taken = rig.store.names("clicks", "v2")
    assert rig.store.forget("clicks", {"v1"}, before_epoch=taken[-1].epoch) == []
    assert rig.store.forget("clicks", {"v1"}, before_epoch=taken[0].epoch + 1) == taken


def begun_beside_v1(rig: Rig) -> None:
    """Leave v2 begun but not serving, and drop events that neither it nor v1 has learned."""
    rig.model_text = CHANGED
    assert rig.run_to_the_end(EndAt(Point.CHANGED_VARIANT_BEGUN)).killed
    rig.send(events(100, first=400))
    rig.log.delete_records("events", 0, 450)


def test_a_skip_is_of_the_variant_that_this_model_file_learns(rig: Rig) -> None:
    begun_beside_v1(rig)
    named = r"v2 never learned are gone.*`stream-ml skip SETTINGS --to 0:450 "
    with pytest.raises(CannotContinue, match=named):
        rig.run_to_the_end()
    assert [decided.variant for decided in skip(parties(rig), {0: 450})] == ["v2"]
    assert rig.run_to_the_end().counts["records"] == 50


def test_a_loss_before_its_first_snapshot_lets_it_begin_again_with_the_rows_that_serve(rig: Rig) -> None:
    begun_beside_v1(rig)
    rig.accept_loss = True
    for _ in range(2):
        life = rig.run_to_the_end()
        assert life.started is not None
        assert life.started.variant == "v3"
    (line,) = said(rig, Variant, "v3")
    assert (line.seed.variant, line.lost, life.counts["records"]) == ("v1", {0: 50}, 50)
    assert [decided.why for decided in said(rig, Decision, "v3")] == ["caught up with v1"]


def test_where_the_topic_was_made_anew_too_it_serves_without_learning_as_much_again(rig: Rig) -> None:
    rig.log.delete_topic("events")
    rig.log.ensure_topic("events", 1)
    rig.send(events(10, first=400))
    rig.accept_loss, rig.model_text = True, CHANGED
    rig.run_to_the_end()
    assert [decided.why for decided in said(rig, Decision, "v2")] == ["caught up with v1"]
