from __future__ import annotations

import pytest

from stream_ml.errors import CannotContinue
from stream_ml.streams.memory import MemoryLog
from stream_ml.weights.journal import Entry, JournalReader, JournalWriter, journal_topic
from stream_ml.weights.lines import Announced, Begin, Step, place_of
from stream_ml.weights.state import JournalState
from stream_ml.weights.verdicts import Validity
from tests.unit.weights.journal_lines import claim, serve, snapshot, step, variant

TOPIC = journal_topic("m")


def written(steps: int, snapshots_after: tuple[int, ...] = ()) -> MemoryLog:
    """A journal: begin, variant, claim, decision, then steps of one record each; epoch 2."""
    log = MemoryLog()
    log.ensure_topic(TOPIC, 1)
    writer, state, offset = JournalWriter(log, TOPIC), JournalState(), 0
    lines = [Begin(journal=0), variant(), claim(), serve()]
    lines += [step(2, number, (0, number - 1, number)) for number in range(1, steps + 1)]
    for line in lines:
        writer.append(line)
        state.apply(offset, line)
        offset += 1
        if isinstance(line, Step) and line.step in snapshots_after:
            announcement = snapshot(state, 2, line.step)
            writer.append(announcement)
            state.apply(offset, announcement)
            offset += 1
    return log


def steps_of(entries: list[Entry]) -> list[int]:
    return [entry.line.step for entry in entries if isinstance(entry.line, Step) and entry.verdict.valid]


def test_what_is_appended_is_read_back_with_its_offset_and_verdict() -> None:
    log = written(2)
    offsets: list[int] = []
    writer = JournalWriter(log, TOPIC)
    writer.append(step(2, 9, (0, 2, 3)), on_delivered=offsets.append)
    writer.flush(1)
    entries = JournalReader(log, TOPIC).read_to_end()
    assert [entry.offset for entry in entries] == list(range(7))
    assert offsets == [6]
    assert [entry.verdict.valid for entry in entries] == [True] * 6 + [False]


def test_a_writer_tells_how_many_bytes_a_line_takes_in_the_journal() -> None:
    log = MemoryLog()
    log.ensure_topic(TOPIC, 1)
    writer = JournalWriter(log, TOPIC)
    sizes = [writer.append(line) for line in (Begin(journal=0), variant(), step(2, 1, (0, 0, 1000)))]
    writer.flush(1)
    (fetch,) = log.reader(TOPIC, {0: 0}).poll(10, 0)
    assert sizes == [len(value or b"") for value in fetch.values]


def test_a_damaged_record_is_void_and_reading_goes_on() -> None:
    log = written(1)
    with log.writer() as raw:
        raw.send(TOPIC, b"not a line", partition=0)
        raw.send(TOPIC, None, partition=0)
    JournalWriter(log, TOPIC).append(step(2, 2, (0, 1, 2)))
    entries = JournalReader(log, TOPIC).read_to_end()
    assert [entry.verdict.validity for entry in entries[-3:]] == [
        Validity.VOID,
        Validity.VOID,
        Validity.VALID,
    ]
    assert entries[-3].line is None


@pytest.mark.parametrize("steps", [5, 30_000])
def test_a_reader_opens_at_the_newest_snapshot_and_knows_what_one_from_the_beginning_knows(
    steps: int,
) -> None:
    log = written(steps, snapshots_after=(1, 3, 4))
    with JournalReader.open(log, TOPIC) as follower, JournalReader(log, TOPIC) as reader:
        assert steps_of(follower.read_to_end()) == list(range(5, steps + 1))
        reader.read_to_end()
        assert follower.state.in_force() == reader.state.in_force()
        assert [known.step for known in follower.state.variants["v"].snapshots] == [1, 3, 4]
        assert follower.state.serving == "v"


def test_without_any_snapshot_it_opens_at_the_first_line() -> None:
    assert steps_of(JournalReader.open(written(3), TOPIC).read_to_end()) == [1, 2, 3]


def test_a_trimmed_journal_is_followed_from_a_snapshot_line_and_without_one_not_at_all() -> None:
    log = written(9, snapshots_after=(2, 6))
    log.delete_records(TOPIC, 0, 11)
    assert steps_of(JournalReader.open(log, TOPIC).read_to_end()) == [7, 8, 9]
    log.delete_records(TOPIC, 0, 13)
    with pytest.raises(CannotContinue, match="first 13 lines were trimmed"):
        JournalReader.open(log, TOPIC)


def test_a_late_line_about_what_was_trimmed_hides_no_snapshot_that_can_be_followed() -> None:
    log = written(9, snapshots_after=(2, 6))
    reader = JournalReader.open(log, TOPIC)
    reader.read_to_end()
    JournalWriter(log, TOPIC).append(snapshot(reader.state, epoch=1, number=1, as_of=4))
    log.delete_records(TOPIC, 0, 11)
    assert steps_of(JournalReader.open(log, TOPIC).read_to_end()) == [7, 8, 9]


def test_a_snapshot_line_that_its_own_statement_makes_void_is_not_followed() -> None:
    log = written(3, snapshots_after=(1,))
    reader = JournalReader(log, TOPIC)
    reader.read_to_end()
    writer = JournalWriter(log, TOPIC)
    writer.append(claim("b", step=3))
    # Of the superseded writer; and of one that had read lines beyond the place where this one came to lie.
    writer.append(snapshot(reader.state, epoch=2, number=3))
    writer.append(snapshot(reader.state, epoch=2, number=2, as_of=99))
    follower = JournalReader.open(log, TOPIC)
    assert steps_of(follower.read_to_end()) == [2, 3]
    assert [known.step for known in follower.state.variants["v"].snapshots] == [1]


def test_a_snapshot_line_about_lines_that_the_broker_lost_is_not_followed() -> None:
    lost = JournalReader(written(3), TOPIC)
    lost.read_to_end()
    log = written(1, snapshots_after=(1,))
    writer = JournalWriter(log, TOPIC)
    writer.append(step(2, 2, (0, 1, 5)))
    writer.append(snapshot(lost.state, epoch=2, number=3))
    follower = JournalReader.open(log, TOPIC)
    assert [entry.verdict.valid for entry in follower.read_to_end()] == [True, True, False]
    assert follower.state.variants["v"].events == {0: 5}


@pytest.mark.parametrize("which", [0, 1])
def test_a_replay_holds_every_step_after_its_snapshot(which: int) -> None:
    reader = JournalReader.open(written(9, snapshots_after=(2, 6)), TOPIC)
    reader.read_to_end()
    known = reader.state.variants["v"].snapshots[which]
    replay = reader.replay(known)
    assert steps_of(replay.read_to_end()) == list(range(known.step + 1, 10))
    assert replay.state.in_force() == reader.state.in_force()


def test_a_replay_whose_lines_were_trimmed_is_refused() -> None:
    log = written(9, snapshots_after=(2, 6))
    reader = JournalReader.open(log, TOPIC)
    reader.read_to_end()
    log.delete_records(TOPIC, 0, 9)
    with pytest.raises(CannotContinue, match="trimmed"):
        reader.replay(reader.state.variants["v"].snapshots[0])


def test_a_snapshot_of_an_earlier_journal_is_replayed_from_the_begin_that_announces_it_again() -> None:
    old = JournalReader(written(4, snapshots_after=(4,)), TOPIC)
    old.read_to_end()
    log = MemoryLog()
    log.ensure_topic(TOPIC, 1)
    writer = JournalWriter(log, TOPIC)
    writer.append(Begin(journal=1, variants=old.state.in_force().variants))
    writer.append(claim("b", step=4))
    writer.append(step(place_of(1, 1), 5, (0, 4, 5)))
    reader = JournalReader.open(log, TOPIC)
    reader.read_to_end()
    (known,) = reader.state.variants["v"].snapshots
    assert steps_of(reader.replay(known).read_to_end()) == [5]


def test_a_snapshot_that_no_line_announces_cannot_be_replayed() -> None:
    reader = JournalReader.open(written(4, snapshots_after=(2,)), TOPIC)
    reader.read_to_end()
    known = reader.state.variants["v"].snapshots[0]
    invented = Announced(
        epoch=2, step=2, name="m/v/other", checksum="c", events={0: 2}, feed={0: 0}, as_of=known.as_of
    )
    with pytest.raises(CannotContinue, match="no line after 6 announces m/v/other"):
        reader.replay(invented)
