from __future__ import annotations

from dataclasses import replace

import pytest

from stream_ml.errors import CannotContinue
from stream_ml.streams.dead_letters import DeadLetter
from stream_ml.streams.log import Fetch
from stream_ml.streams.memory import MemoryLog
from stream_ml.streams.resending import ORIGIN, Refused, read_refused, resend, settle

TOPIC = "m.dead-letters"
LETTERS = [
    DeadLetter(b"a", "wrong_type", "", "m", "v1", "events", 1, 3, 0),
    DeadLetter(b"b", "invalid_json", "", "m", "v1", "events", 1, 3, 2),
    DeadLetter(b"c", "invalid_json", "", "m", "v1", "events", 0, 9, 0),
]


@pytest.fixture
def log() -> MemoryLog:
    log = MemoryLog()
    log.ensure_topic(TOPIC, 1)
    log.ensure_topic("events", 2)
    write(log, LETTERS)
    with log.writer() as writer:
        for partition in (0, 1):
            for _ in range(10):
                writer.send("events", b"{}", partition=partition)
    return log


def write(log: MemoryLog, letters: list[DeadLetter]) -> None:
    with log.writer() as writer:
        for letter in letters:
            writer.send(TOPIC, letter.event, key=letter.key(), partition=0, headers=letter.headers())


def arrived(log: MemoryLog) -> list[tuple[int, bytes | None, bytes]]:
    """Partition, value and origin of what was sent again."""
    fetches: list[Fetch] = log.reader("events", {0: 0, 1: 0}, headers=True).poll(1000, 0)
    return [
        (fetch.partition, value, headers[ORIGIN])
        for fetch in fetches
        for value, headers in zip(fetch.values, fetch.headers or [], strict=True)
        if ORIGIN in headers
    ]


def unchanged(refused: list[Refused]) -> list[tuple[Refused, bytes]]:
    return [(each, each.letter.event) for each in refused]


class Killed(Exception):
    pass


class LogOfOneKilled(MemoryLog):
    """A log whose user is killed at its *at*-th record."""

    def __init__(self, log: MemoryLog, at: int) -> None:
        self.__dict__.update(log.__dict__)
        self.left = at

    def _append(self, *arguments: object) -> tuple[int, int]:
        if not self.left:
            raise Killed
        self.left -= 1
        return super()._append(*arguments)  # type: ignore[arg-type]


def test_a_repeat_of_a_letter_is_one_and_another_variants_is_the_same_event(log: MemoryLog) -> None:
    write(log, [LETTERS[1], replace(LETTERS[0], variant="v2")])
    refused = read_refused(log, TOPIC)
    assert [each.letter for each in refused] == LETTERS
    assert [each.variants for each in refused] == [["v1", "v2"], ["v1"], ["v1"]]


def test_another_event_at_the_place_of_a_topic_made_anew_is_another_one(log: MemoryLog) -> None:
    write(log, [replace(LETTERS[0], variant="v2", event=b"new")])
    assert [each.letter.event for each in read_refused(log, TOPIC)] == [b"a", b"b", b"c", b"new"]


def test_letters_go_to_the_partition_they_came_from_and_are_known_as_sent(log: MemoryLog) -> None:
    refused = read_refused(log, TOPIC)
    resend(log, TOPIC, [(refused[0], b"mended"), (refused[2], b"c")])
    assert arrived(log) == [(0, b"c", LETTERS[2].key()), (1, b"mended", LETTERS[0].key())]
    assert [each.sent for each in read_refused(log, TOPIC)] == [True, False, True]


@pytest.mark.parametrize("records", range(1, 9))
def test_wherever_it_is_killed_each_letter_is_sent_once(log: MemoryLog, records: int) -> None:
    refused = read_refused(log, TOPIC)
    with pytest.raises(Killed):
        resend(LogOfOneKilled(log, records), TOPIC, unchanged(refused))
    sent_before = len(arrived(log))
    again = read_refused(log, TOPIC)
    known = sum(each.sent for each in again)
    assert settle(log, TOPIC, again) == sent_before - known
    resend(log, TOPIC, unchanged([each for each in again if not each.sent]))
    assert sorted(value for _, value, _ in arrived(log)) == [b"a", b"b", b"c"]
    assert all(each.sent for each in read_refused(log, TOPIC))


def test_what_was_being_sent_when_its_place_was_trimmed_is_said_to_be_unknown(log: MemoryLog) -> None:
    with pytest.raises(Killed):
        resend(LogOfOneKilled(log, 4), TOPIC, unchanged(read_refused(log, TOPIC)))
    log.delete_records("events", 1, 11)
    with pytest.raises(CannotContinue, match=r"events\[1\]: 2 dead letters were being sent"):
        settle(log, TOPIC, read_refused(log, TOPIC))


def test_a_record_that_is_no_dead_letter_is_named(log: MemoryLog) -> None:
    with log.writer() as writer:
        writer.send(TOPIC, b"?", key=b"k", partition=0)
    with pytest.raises(CannotContinue, match=r"m\.dead-letters: not a dead letter"):
        read_refused(log, TOPIC)
