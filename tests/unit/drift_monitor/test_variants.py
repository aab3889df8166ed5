from __future__ import annotations

from dataclasses import replace

import pytest

from services.drift_monitor.variants import Variants
from stream_ml.errors import RecoverableError
from stream_ml.runtime.clock import ManualClock
from stream_ml.streams.log import LogTruncated
from stream_ml.streams.memory import MemoryLog
from stream_ml.weights.journal import JournalReader, JournalWriter, journal_topic
from stream_ml.weights.lines import Begin, Line
from stream_ml.weights.state import VARIANTS_KEPT
from tests.unit.weights.journal_lines import challenger, serve, stop, variant

TOPIC = journal_topic("m")
BEGUN: tuple[Line, ...] = (Begin(journal=0), variant("v1"), serve("v1"))


class Journal:
    """A journal that lines are written to, and who reads it."""

    def __init__(self, *lines: Line) -> None:
        self.log, self.clock = MemoryLog(), ManualClock()
        if lines:
            self.log.ensure_topic(TOPIC, 1)
            self.say(*lines)
        self.variants = Variants(self.log, "m", self.clock)

    def say(self, *lines: Line) -> None:
        writer = JournalWriter(self.log, TOPIC)
        for line in lines:
            writer.append(line)
        writer.flush(1)


def test_the_newest_decision_says_who_serves() -> None:
    journal = Journal(*BEGUN)
    assert journal.variants.serving() == "v1"
    journal.say(challenger("v2", "v1"), serve("v2", replaces=2))
    assert journal.variants.serving() == "v2", "at once: a retraining is asked for by it"


def test_without_a_journal_nobody_serves_and_nobody_is_over() -> None:
    journal = Journal()
    assert journal.variants.serving() is None
    assert journal.variants.over(["v1"]) == set()


def test_over_is_who_was_given_up_and_who_is_not_known_but_nobody_who_learns() -> None:
    journal = Journal(*BEGUN, challenger("v2", "v1"), challenger("v3", "v1"), stop("v2"))
    assert journal.variants.over(["v1", "v2", "v3", "v9"]) == {"v2", "v9"}


def test_whose_place_was_taken_is_over_when_there_is_no_way_back_to_it() -> None:
    journal = Journal(*BEGUN, challenger("v2", "v1"), serve("v2", replaces=2), stop("v1"))
    assert journal.variants.over(["v1", "v2"]) == set()
    journal.say(challenger("v3", "v2"), serve("v3", replaces=4))
    journal.clock.advance(1)
    assert journal.variants.over(["v1", "v2", "v3"]) == {"v1"}


def test_what_serves_is_watched_on_though_it_was_stopped() -> None:
    assert Journal(*BEGUN, stop("v1")).variants.over(["v1"]) == set()


def test_who_the_journal_forgot_is_over() -> None:
    journal = Journal(*BEGUN)
    successors = [replace(variant(f"w{each}"), why="a new file") for each in range(VARIANTS_KEPT)]
    journal.say(*successors)
    assert journal.variants.over(["v1", "w0", "w1", "w3"]) == {"w0"}


def test_it_is_believed_for_a_second() -> None:
    journal = Journal(*BEGUN, challenger("v2", "v1"))
    assert journal.variants.over(["v2"]) == set()
    journal.say(stop("v2"))
    assert journal.variants.over(["v2"]) == set()
    journal.clock.advance(1)
    assert journal.variants.over(["v2"]) == {"v2"}


def test_a_journal_that_nobody_can_follow_stops_no_watching() -> None:
    journal = Journal(*BEGUN, stop("v1"))
    journal.log.delete_records(TOPIC, 0, 2)
    assert journal.variants.serving() is None
    assert journal.variants.over(["v1", "v9"]) == set()


def test_one_that_is_trimmed_meanwhile_is_read_again(monkeypatch: pytest.MonkeyPatch) -> None:
    def trimmed(_reader: JournalReader) -> None:
        raise LogTruncated(TOPIC, 0, 1, 2, 3)

    monkeypatch.setattr(JournalReader, "read_to_end", trimmed)
    with pytest.raises(RecoverableError, match="trimmed while it was read"):
        Journal(*BEGUN).variants.serving()
