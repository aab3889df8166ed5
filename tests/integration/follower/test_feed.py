"""The follower: which snapshot is served, and what becomes of a delta that is damaged, foreign or lost."""

from pathlib import Path

import pytest

from stream_ml.runtime import metrics
from stream_ml.serving.results import NoModelYet
from stream_ml.weights.snapshots import SnapshotName, SnapshotStore
from tests.clicks import MODEL, event
from tests.scripted import NAME, Predictor, ScriptedWriter

EVENT = event(3)


def count(metric: object, *labels: str) -> float:
    return float(metric.labels(NAME, *labels)._value.get())  # type: ignore[attr-defined]


def test_the_newest_snapshot_is_served_and_the_feed_keeps_it_up_to_date(
    writer: ScriptedWriter, predictor: Predictor
) -> None:
    predictor.start()
    for step in range(2, 6):
        writer.learn()
        writer.publish()
        predictor.turn(2)
        answer = predictor.answer(EVENT)
        assert (answer.step, answer.variant, answer.stale) == (step, "v1", False)
        assert answer.fingerprint == writer.plan.fingerprint
        assert answer.scores[0].prediction == writer.prediction(EVENT)


def test_before_there_is_a_snapshot_the_answer_is_no_model_yet(tmp_path: Path) -> None:
    writer = ScriptedWriter(tmp_path)
    predictor = Predictor(writer)
    predictor.turn()
    writer.begin()
    writer.decide()
    writer.learn()
    predictor.turn(3)
    assert not predictor.follower.ready
    with pytest.raises(NoModelYet, match="clicks"):
        predictor.answer(EVENT)
    writer.publish()
    writer.snapshot()
    predictor.start()
    assert predictor.score(EVENT).prediction == writer.prediction(EVENT)
    predictor.close()


def test_a_model_that_learned_nothing_is_no_model_yet_until_its_first_delta(tmp_path: Path) -> None:
    writer = ScriptedWriter(tmp_path)
    writer.begin()
    writer.decide()
    writer.snapshot()
    predictor = Predictor(writer)
    predictor.start()
    predictor.turn(3)
    with pytest.raises(NoModelYet, match="clicks"):
        predictor.answer(EVENT)
    assert not predictor.client.models()[0].ready
    assert not predictor.follower.stuck, "it has what there is"
    writer.publish()  # a heartbeat
    predictor.turn(3)
    assert not predictor.client.models()[0].ready
    writer.learn()
    writer.publish()
    predictor.turn(3)
    answer = predictor.answer(EVENT)
    assert (answer.step, answer.scores[0].prediction) == (1, writer.prediction(EVENT))
    predictor.close()


# The clicks date nothing, but measure their base rate; here only the bias and rows tell.
FIXED_BASE_RATE = MODEL.replace("alpha = 0.3", "alpha = 0.3\nbase_rate = 0.25")


@pytest.mark.parametrize("text", [MODEL, FIXED_BASE_RATE])
@pytest.mark.parametrize("snapshot_at", [0, 2])
def test_a_model_whose_batches_were_all_refused_is_no_model_yet(
    tmp_path: Path, text: str, snapshot_at: int
) -> None:
    writer = ScriptedWriter(tmp_path, text=text)
    writer.begin()
    writer.decide()
    predictor = Predictor(writer)
    for step in range(4):
        if step == snapshot_at:
            writer.snapshot()
            predictor.start()
        writer.learn_nothing()
        writer.publish()
        predictor.turn(3)
        with pytest.raises(NoModelYet, match="clicks"):
            predictor.answer(EVENT)
    assert not predictor.follower.stuck, "it has what there is"
    writer.learn(1)
    writer.publish()
    predictor.turn(3)
    answer = predictor.answer(EVENT)
    assert (answer.step, answer.scores[0].prediction) == (5, writer.prediction(EVENT))
    predictor.close()


def test_a_model_that_learned_nothing_does_not_take_the_place_of_one_that_learned(
    writer: ScriptedWriter, predictor: Predictor, other: ScriptedWriter
) -> None:
    predictor.start()
    other.snapshot()
    other.decide()
    predictor.turn_until(lambda: predictor.follower._candidate is not None)
    predictor.turn_until(lambda: predictor.follower._candidate.waits)  # type: ignore[union-attr]
    writer.learn()
    writer.publish()
    predictor.turn(3)
    answer = predictor.answer(EVENT)
    assert (answer.variant, answer.step) == ("v1", 2), "it is followed meanwhile"
    other.learn()
    other.publish()
    predictor.turn_until(lambda: predictor.answer(EVENT).variant == "v2")
    assert predictor.score(EVENT).prediction == other.prediction(EVENT)


def test_without_a_decision_nothing_is_served(tmp_path: Path) -> None:
    writer = ScriptedWriter(tmp_path)
    writer.begin()
    writer.snapshot()
    predictor = Predictor(writer)
    predictor.turn(5)
    assert not predictor.follower.ready
    predictor.close()


def test_a_corrupt_snapshot_is_refused_and_the_previous_one_serves(
    writer: ScriptedWriter, predictor: Predictor, caplog: pytest.LogCaptureFixture
) -> None:
    refused = count(metrics.PREDICTOR_SNAPSHOTS_REFUSED, "corrupt")
    writer.learn()
    writer.publish()
    newest = writer.snapshot()
    writer.damage(newest)
    predictor.start()
    predictor.turn(3)
    answer = predictor.answer(EVENT)
    assert answer.step == 2, "the feed brings the previous one up to date"
    assert answer.scores[0].prediction == writer.prediction(EVENT)
    assert count(metrics.PREDICTOR_SNAPSHOTS_REFUSED, "corrupt") == refused + 1
    assert f"snapshot refused: snapshot {newest}" in caplog.text


def test_a_snapshot_that_went_while_it_slept_is_not_refused_and_the_newest_serves(
    writer: ScriptedWriter, predictor: Predictor, monkeypatch: pytest.MonkeyPatch
) -> None:
    refused = count(metrics.PREDICTOR_SNAPSHOTS_REFUSED, "gone")
    opening, slept = SnapshotStore.open, list[str]()

    def sleep_once(store: SnapshotStore, name: SnapshotName | str) -> object:
        if not slept:
            slept.append(str(name))
            writer.learn()
            writer.publish()
            writer.snapshot()
            writer.store.remove([name])
        return opening(store, name)

    monkeypatch.setattr(SnapshotStore, "open", sleep_once)
    predictor.start()
    assert predictor.answer(EVENT).step == 2
    assert slept
    assert count(metrics.PREDICTOR_SNAPSHOTS_REFUSED, "gone") == refused


def test_the_newest_snapshot_that_is_not_there_is_refused_and_the_previous_one_serves(
    writer: ScriptedWriter, predictor: Predictor
) -> None:
    refused = count(metrics.PREDICTOR_SNAPSHOTS_REFUSED, "gone")
    writer.learn()
    writer.publish()
    writer.store.remove([writer.snapshot()])
    predictor.start()
    predictor.turn(3)
    assert predictor.answer(EVENT).step == 2
    assert count(metrics.PREDICTOR_SNAPSHOTS_REFUSED, "gone") == refused + 1


def test_a_snapshot_of_another_fingerprint_is_refused_and_the_previous_one_serves(
    writer: ScriptedWriter, predictor: Predictor, caplog: pytest.LogCaptureFixture
) -> None:
    refused = count(metrics.PREDICTOR_SNAPSHOTS_REFUSED, "fingerprint")
    writer.learn()
    writer.publish()
    writer.snapshot(fingerprint="0" * 32)
    predictor.start()
    assert predictor.answer(EVENT).fingerprint == writer.plan.fingerprint
    assert count(metrics.PREDICTOR_SNAPSHOTS_REFUSED, "fingerprint") == refused + 1
    assert "fingerprint " + "0" * 32 in caplog.text


def test_a_delta_of_another_fingerprint_is_refused_and_the_true_one_is_applied(
    writer: ScriptedWriter, predictor: Predictor, caplog: pytest.LogCaptureFixture
) -> None:
    refused = count(metrics.PREDICTOR_FEED_REFUSED, "fingerprint")
    predictor.start()
    before = predictor.score(EVENT)
    stranger = ScriptedWriter(writer.folder, log=writer.log, text=MODEL.replace("l1 = 0.05", "l1 = 0.5"))
    stranger.epoch, stranger.step, stranger.cut_at = writer.epoch, 2, 1
    stranger.learn_unsaid(0, 100)
    forged = stranger.delta()
    writer.send(forged)
    predictor.turn(2)
    assert predictor.score(EVENT) == before
    assert count(metrics.PREDICTOR_FEED_REFUSED, "fingerprint") == refused + len(forged)
    assert "fingerprint" in caplog.text
    writer.learn()
    writer.publish()
    predictor.turn(2)
    assert predictor.score(EVENT).prediction == writer.prediction(EVENT)


def test_a_damaged_record_of_the_feed_is_counted_and_missed(
    writer: ScriptedWriter, predictor: Predictor
) -> None:
    refused = count(metrics.PREDICTOR_FEED_REFUSED, "damaged")
    predictor.start()
    writer.learn()
    records = writer.delta()
    writer.send([(partition, value[:-1]) for partition, value in records])
    predictor.turn(2)
    assert predictor.answer(EVENT).step == 1
    assert count(metrics.PREDICTOR_FEED_REFUSED, "damaged") == refused + len(records)


def test_nothing_of_an_incomplete_delta_is_served(writer: ScriptedWriter, predictor: Predictor) -> None:
    predictor.start()
    before = predictor.score(EVENT)
    writer.learn()
    records = writer.delta()
    assert len(records) > 2
    writer.send(records[:-1])
    predictor.turn(3)
    assert predictor.score(EVENT) == before
    writer.send(records[-1:])
    predictor.turn()
    assert predictor.score(EVENT).prediction == writer.prediction(EVENT)


def test_after_a_lost_delta_the_last_good_serves_stale_until_a_newer_snapshot_is_there(
    writer: ScriptedWriter, predictor: Predictor
) -> None:
    predictor.start()
    resyncs, opened = count(metrics.PREDICTOR_RESYNCS), len(writer.store.opened)
    writer.learn()
    writer.delta()  # lost
    writer.learn()
    writer.publish()
    predictor.turn(20)
    answer = predictor.answer(EVENT)
    assert (answer.step, answer.stale) == (1, True)
    assert count(metrics.PREDICTOR_RESYNCS) == resyncs + 1
    assert len(writer.store.opened) == opened, "the same snapshot is not loaded again"
    writer.snapshot()
    predictor.turn_until(lambda: predictor.answer(EVENT).step == 3)
    answer = predictor.answer(EVENT)
    assert (answer.stale, answer.scores[0].prediction) == (False, writer.prediction(EVENT))


def test_a_later_delta_that_spans_the_loss_heals_it(writer: ScriptedWriter, predictor: Predictor) -> None:
    predictor.start()
    writer.learn()
    writer.delta()  # lost
    writer.learn()
    writer.publish()
    predictor.turn(2)
    assert predictor.answer(EVENT).stale
    # As a writer that took over sends: from the step of the snapshot that it began with.
    writer.send(writer.delta_of_all(from_step=1))
    predictor.turn(2)
    answer = predictor.answer(EVENT)
    assert (answer.step, answer.stale) == (3, False)
    assert answer.scores[0].prediction == writer.prediction(EVENT)


def test_a_feed_that_does_not_reach_back_waits_for_the_next_snapshot(
    writer: ScriptedWriter, predictor: Predictor
) -> None:
    writer.learn()
    writer.publish()
    newest = writer.snapshot()
    writer.learn()
    writer.publish()
    writer.trim_feed()
    predictor.turn(30)
    assert not predictor.follower.ready
    assert set(writer.store.opened) <= {str(newest)}, "an older one reaches back even less"
    assert len(writer.store.opened) <= 1
    writer.snapshot()
    predictor.start()
    assert predictor.answer(EVENT).step == 3


def test_a_predictor_that_fell_behind_the_retention_of_the_feed_loads_a_newer_snapshot(
    writer: ScriptedWriter, predictor: Predictor
) -> None:
    predictor.start()
    writer.learn()
    writer.publish()
    writer.trim_feed()
    predictor.turn(3)
    assert predictor.answer(EVENT).stale
    writer.snapshot()
    predictor.turn_until(lambda: not predictor.answer(EVENT).stale)
    assert predictor.score(EVENT).prediction == writer.prediction(EVENT)
