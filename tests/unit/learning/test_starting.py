import threading
from pathlib import Path
from typing import cast

import pytest

from stream_ml.errors import CannotContinue, RecoverableError
from stream_ml.learning.loading import Loaded, Loader
from stream_ml.learning.points import Point
from stream_ml.learning.replaying import ReplayImpossible
from stream_ml.learning.starting import Superseded
from stream_ml.streams.log import Log
from stream_ml.weights.journal import JournalReader, JournalWriter
from stream_ml.weights.lines import (
    Begin,
    Claim,
    Decision,
    Release,
    Snapshot,
    Step,
    Variant,
    journal_and_offset,
)
from tests.clicks import EVALUATE_EVERY, events, expected_counts
from tests.servers.processes import wait_until
from tests.unit.learning.rig import EndAt, HoldingLog, Rig


@pytest.fixture
def rig(tmp_path: Path) -> Rig:
    return Rig(tmp_path)


def kinds(rig: Rig) -> list[type]:
    return [type(entry.line) for entry in rig.journal()]


def test_a_first_start_begins_journal_and_variant_and_stores_step_0_before_any_event(rig: Rig) -> None:
    rig.run_to_the_end()
    assert kinds(rig) == [Begin, Variant, Decision, Claim, Snapshot, Release]
    (snapshot,) = [entry.line for entry in rig.journal() if isinstance(entry.line, Snapshot)]
    assert snapshot.step == 0


def test_a_first_start_begins_with_the_oldest_events_there_are(rig: Rig) -> None:
    rig.send(events(100))
    rig.log.delete_records("events", 0, 40)
    assert rig.run_to_the_end().counts["records"] == 60


def test_after_a_release_the_next_life_claims_at_once(rig: Rig) -> None:
    rig.overrides["takeover_after_seconds"] = 1000.0
    rig.send(events(100))
    rig.run_to_the_end()
    rig.send(events(100, first=100))
    assert rig.run_to_the_end().counts["records"] == 200


def test_a_standby_waits_while_the_writer_beats_and_goes_on_with_the_same_bits(rig: Rig) -> None:
    rig.overrides.update(takeover_after_seconds=0.5, heartbeat_interval_seconds=0.05)
    rig.send(events(300))
    writer = rig.in_background()
    writer.wait_until_learned()
    standby = rig.in_background()
    rig.send(events(300, first=300))
    writer.wait_until_learned()
    assert sum(kind is Claim for kind in kinds(rig)) == 1
    writer.end()
    standby.wait_until_learned()
    standby.end()
    assert standby.digest == writer.digest
    assert standby.counts["records"] == 600
    letters = rig.keys("clicks.dead-letters")
    assert len(letters) == len(set(letters)), "outputs that a snapshot had made safe were sent again"


def test_a_standby_says_that_it_has_caught_up_and_claims_nothing_by_it(rig: Rig) -> None:
    rig.overrides.update(takeover_after_seconds=1000.0)
    rig.send(events(100))
    writer = rig.in_background()
    writer.wait_until_learned()
    standby = rig.in_background()
    try:
        wait_until(lambda: standby.caught_up)
        assert sum(kind is Claim for kind in kinds(rig)) == 1
    finally:
        standby.end()
        writer.end()


def test_a_writer_that_falls_silent_is_replaced_and_stops_when_it_wakes(rig: Rig) -> None:
    asleep, wake = threading.Event(), threading.Event()

    def fall_asleep(point: Point) -> None:
        if point is Point.LEARNED and not asleep.is_set():
            asleep.set()
            wake.wait()

    rig.send(events(300))
    frozen = rig.in_background(fall_asleep)
    assert asleep.wait(20)
    successor = rig.run_to_the_end()
    letters = rig.keys("clicks.dead-letters")
    wake.set()
    assert isinstance(frozen.error, Superseded)
    assert successor.counts["records"] == 300
    assert rig.keys("clicks.dead-letters") == letters, "the old writer said something after the new claim"
    assert len(set(letters)) == len(letters) == expected_counts(300)[2]


def test_of_two_that_claim_at_once_the_earlier_stops(rig: Rig) -> None:
    rig.run_to_the_end()

    def another_claims(point: Point) -> None:
        if point is Point.CLAIM_SENT:
            JournalWriter(rig.log, "clicks.journal").append(Claim(variant="v1", who="another", step=0))

    with pytest.raises(Superseded, match="right after us"):
        rig.run_to_the_end(another_claims)


def test_who_loaded_a_snapshot_of_steps_that_the_journal_lost_starts_again(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    rig.overrides.update(snapshot_interval_seconds=0.001, snapshot_rows_per_batch=10)
    end, sent = EndAt(Point.SNAPSHOT_READ_BACK, times=2), 20

    def there_is_always_more(point: Point) -> None:
        nonlocal sent
        if point is Point.LEARNED:
            rig.send(events(20, first=sent))
            sent += 20
        end(point)

    rig.send(events(sent))
    rig.run_to_the_end(there_is_always_more)
    snapshot = [entry.line for entry in rig.journal() if isinstance(entry.line, Snapshot)][-1]
    (known,) = snapshot.in_force.variants
    assert snapshot.step > known.step, "learning went on while the image was taken"
    newest = Loader.newest

    def and_then_the_tail_is_lost(loader: Loader, journal: JournalReader, variant: str) -> Loaded:
        loaded = newest(loader, journal, variant)
        rig.log.lose_the_tail("clicks.journal", 0, journal_and_offset(snapshot.as_of)[1])
        return loaded

    monkeypatch.setattr(Loader, "newest", and_then_the_tail_is_lost)
    with pytest.raises(RecoverableError, match="are no longer in the journal"):
        rig.run_to_the_end()
    monkeypatch.setattr(Loader, "newest", newest)
    assert rig.run_to_the_end().counts["records"] == sent


def test_a_line_in_the_socket_of_a_frozen_writer_is_void_and_nothing_of_it_leaves(rig: Rig) -> None:
    log = HoldingLog(rig.log, "clicks.journal")
    frozen = rig.in_background(log=cast(Log, log))
    rig.send(events(100))
    frozen.wait_until_learned()
    wait_until(lambda: frozen.loop is not None and frozen.loop.confirmed == frozen.loop.step)
    log.holding = True
    rig.send(events(200, first=100))
    frozen.wait_until_learned()
    letters, confirmed = len(rig.keys("clicks.dead-letters")), frozen.loop.confirmed if frozen.loop else 0
    assert letters == expected_counts(100)[2], "dead letters left before their line was read back"
    assert max(chunk.interval.to_step for chunk in rig.chunks()) <= confirmed
    rig.overrides.update(takeover_after_seconds=0.003, heartbeat_interval_seconds=0.001)
    successor = rig.run_to_the_end()
    log.let_go()
    assert isinstance(frozen.error, Superseded)
    assert successor.counts["records"] == 300
    assert len(set(rig.keys("clicks.dead-letters"))) == expected_counts(300)[2]


def test_a_corrupt_snapshot_is_named_and_the_previous_one_serves(
    rig: Rig, caplog: pytest.LogCaptureFixture
) -> None:
    rig.send(events(300))
    expected = rig.run_to_the_end().digest
    damage(rig.snapshots[-1])
    assert rig.run_to_the_end().digest == expected
    assert "does not verify" in caplog.text


def test_without_any_snapshot_that_verifies_all_is_replayed_from_the_beginning(rig: Rig) -> None:
    rig.send(events(300))
    expected = rig.run_to_the_end().digest
    for path in rig.snapshots:
        damage(path)
    assert rig.run_to_the_end().digest == expected


def test_without_snapshot_and_beginning_of_the_journal_it_stops(rig: Rig) -> None:
    rig.send(events(300))
    rig.run_to_the_end()
    last = next(e.line for e in reversed(rig.journal()) if isinstance(e.line, Snapshot))
    rig.log.delete_records("clicks.journal", 0, last.as_of)
    for path in rig.snapshots:
        damage(path)
    with pytest.raises(ReplayImpossible, match="does not reach back to the beginning of v1"):
        rig.run_to_the_end()


def test_a_trimmed_journal_is_enough_where_the_newest_snapshot_stands(rig: Rig) -> None:
    rig.send(events(300))
    expected = rig.run_to_the_end().digest
    last = next(e.line for e in reversed(rig.journal()) if isinstance(e.line, Snapshot))
    rig.log.delete_records("clicks.journal", 0, last.as_of)
    assert rig.run_to_the_end().digest == expected


def test_events_that_were_dropped_unread_are_a_stop_that_names_the_way_on(rig: Rig) -> None:
    rig.send(events(100))
    rig.run_to_the_end()
    rig.send(events(100, first=100))
    rig.log.delete_records("events", 0, 150)
    with pytest.raises(ReplayImpossible, match=r"never learned are gone.*\{0: 50\}.*--accept-loss"):
        rig.run_to_the_end()


def test_a_loss_that_is_accepted_is_counted_in_a_new_variant_that_serves(rig: Rig) -> None:
    rig.send(events(100))
    before = rig.run_to_the_end()
    rig.send(events(100, first=100))
    rig.log.delete_records("events", 0, 150)
    rig.accept_loss = True
    life = rig.run_to_the_end()
    line = next(e.line for e in rig.journal() if isinstance(e.line, Variant) and e.line.variant == "v2")
    assert line.lost == {0: 50}
    assert line.seed is not None
    assert (line.seed.variant, line.events) == ("v1", {0: 150})
    assert life.started is not None
    assert life.started.variant == "v2"
    assert life.counts["records"] == 50
    assert life.digest["rows"] >= before.digest["rows"]


def test_a_variant_with_a_seed_counts_and_evaluates_from_zero_and_replays_to_the_same_bits(rig: Rig) -> None:
    rig.send(events(120))
    before = rig.run_to_the_end()
    assert before.counts["evaluations"] == 2
    rig.send(events(200, first=120))
    rig.log.delete_records("events", 0, 150)
    rig.accept_loss = True
    rig.overrides["snapshot_interval_seconds"] = 1000.0
    rig.run_to_the_end(EndAt(Point.LINE_READ_BACK, 3))
    life = rig.run_to_the_end()
    counts = life.counts
    assert (counts["learned"], counts["duplicates"], counts["refused"]) == (
        167,
        1,
        2,
    )  # 177 says again what was lost
    assert counts["examples"] == 167
    assert counts["evaluations"] == 167 // EVALUATE_EVERY
    of_v2 = [key for key in set(rig.keys("clicks.evaluations")) if key and b"v2" in key]
    assert len(of_v2) == 167 // EVALUATE_EVERY


def test_events_dropped_before_they_could_be_replayed_are_a_stop(rig: Rig) -> None:
    rig.overrides["snapshot_interval_seconds"] = 1000.0
    rig.send(events(200))
    rig.run_to_the_end(EndAt(Point.LINE_READ_BACK, 5))
    rig.log.delete_records("events", 0, 10)
    with pytest.raises(ReplayImpossible, match="offset 0 is gone"):
        rig.run_to_the_end()


def test_a_broker_that_forgot_is_a_stop_unless_loss_is_accepted(rig: Rig) -> None:
    rig.send(events(100))
    rig.run_to_the_end()
    rig.forget_broker()
    with pytest.raises(CannotContinue, match="is empty, but the store holds snapshots of clicks"):
        rig.run_to_the_end()


def test_after_a_broker_that_forgot_a_new_variant_goes_on_with_the_rows_of_the_old(
    rig: Rig, caplog: pytest.LogCaptureFixture
) -> None:
    rig.accept_loss = True
    for lives in range(1, 4):
        rig.send(events(100, first=100 * (lives - 1)))
        life = rig.run_to_the_end()
        assert life.started is not None
        assert life.started.variant == f"v{lives}"
        assert life.counts["records"] == 100
        begin = rig.journal()[0].line
        assert isinstance(begin, Begin)
        assert begin.journal == lives - 1
        rig.forget_broker()
    assert "a new variant begins" in caplog.text


def test_where_only_the_journal_was_lost_no_event_is_learned_again(rig: Rig) -> None:
    rig.accept_loss = True
    rig.send(events(100))
    rig.run_to_the_end()
    rig.log.delete_topic("clicks.journal")
    rig.log.ensure_topic("clicks.journal", 1)
    rig.send(events(30, first=100))
    life = rig.run_to_the_end()
    assert (life.started and life.started.variant, life.counts["records"]) == ("v2", 30)
    lines = [entry.line for entry in rig.journal() if isinstance(entry.line, Variant)]
    assert [(line.events, line.lost) for line in lines] == [({0: 100}, None)]


def test_killed_between_variant_and_decision_the_next_start_lets_that_variant_serve(rig: Rig) -> None:
    rig.run_to_the_end(EndAt(Point.VARIANT_BEGUN))
    variant = next(entry for entry in rig.journal() if isinstance(entry.line, Decision)).offset
    # As if the decision had not been delivered: everything before it, again.
    lines = [value for fetch in rig.records("clicks.journal") for value in fetch.values][:variant]
    rig.log.delete_topic("clicks.journal")
    rig.log.ensure_topic("clicks.journal", 1)
    for line in lines:
        rig.log.writer().send("clicks.journal", line, partition=0)
    rig.run_to_the_end()
    assert [line.variant for line in (e.line for e in rig.journal()) if isinstance(line, Variant)] == ["v1"]


def test_a_partition_that_was_added_is_learned_from_its_beginning(rig: Rig) -> None:
    rig.send(events(100))
    rig.run_to_the_end()
    rig.log.add_partitions("events", 2)
    rig.send(events(50, first=100), partition=1)
    life = rig.run_to_the_end()
    assert life.counts["records"] == 150
    steps = [entry.line for entry in rig.journal() if isinstance(entry.line, Step)]
    assert next(part.first for step in steps for part in step.ranges if part.partition == 1) == 0


def test_a_partition_that_was_added_and_trimmed_is_a_stop(rig: Rig) -> None:
    rig.send(events(100))
    rig.run_to_the_end()
    rig.log.add_partitions("events", 2)
    rig.send(events(50, first=100), partition=1)
    rig.log.delete_records("events", 1, 5)
    with pytest.raises(CannotContinue, match=r"\{1: 5\}"):
        rig.run_to_the_end()


def test_an_idle_writer_says_that_it_lives(rig: Rig) -> None:
    rig.overrides.update(takeover_after_seconds=1.0, heartbeat_interval_seconds=0.02)
    life = rig.in_background()
    wait_until(lambda: rig.log.topic("clicks.weights") is not None and len(rig.chunks()) >= 6)
    life.end()
    assert {(chunk.interval.from_step, chunk.interval.to_step) for chunk in rig.chunks()} == {(0, 0)}


def damage(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
