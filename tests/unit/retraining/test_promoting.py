"""Promotion and rollback: what they refuse, and what they leave in the journal."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import pytest

from stream_ml.errors import ConfigError
from stream_ml.learning import deciding
from stream_ml.learning.deciding import Overruled
from stream_ml.retraining import promoting
from stream_ml.retraining.promoting import (
    bring_back,
    caught_up,
    end_watch,
    give_up,
    promote,
    rollback,
    wait_caught_up,
)
from stream_ml.weights.journal import JournalReader
from stream_ml.weights.lines import Decision
from stream_ml.weights.state import JournalState
from tests.clicks import MODEL, events
from tests.unit.learning.rig import Rig
from tests.unit.learning.test_challenging import challenger, say, state
from tests.unit.learning.test_skipping import parties


@pytest.fixture
def rig(tmp_path: Path) -> Rig:
    rig = Rig(tmp_path)
    rig.send(events(400))
    rig.run_to_the_end()
    return rig


def decisions(rig: Rig) -> list[tuple[str, str]]:
    return [
        (e.line.kind, e.line.variant)
        for e in rig.journal()
        if isinstance(e.line, Decision) and e.verdict.valid
    ]


def test_one_that_is_proved_and_has_caught_up_serves_and_its_champion_learns_on(rig: Rig) -> None:
    challenger(rig, proof="saves 2 %").run_to_the_end()
    (decided,) = promote(parties(rig), "v2", "saves 2 %")
    found = state(rig)
    assert (found.serving, found.learns("v1"), found.champion_of("v2")) == ("v2", True, "v1")
    assert (decided.who, decided.why) == ("operator", "saves 2 %")


def test_one_that_nobody_proved_serves_only_by_force(rig: Rig) -> None:
    challenger(rig).run_to_the_end()
    with pytest.raises(ConfigError, match=r"nobody has proved that v2 is better than v1(.|\n)*--force"):
        promote(parties(rig), "v2", "I want it")
    promote(parties(rig), "v2", "I want it", force=True)
    assert state(rig).serving == "v2"


def test_one_that_has_not_caught_up_does_not_serve(rig: Rig) -> None:
    challenger(rig).run_to_the_end()
    rig.send(events(100, first=400))
    rig.run_to_the_end()
    assert not caught_up(state(rig), "v2")
    with pytest.raises(ConfigError, match="v2 has not caught up with v1"):
        promote(parties(rig), "v2", "", force=True)
    challenger(rig).run_to_the_end()
    assert caught_up(state(rig), "v2")


def test_while_both_learn_on_it_is_enough_to_come_to_where_the_champion_was(rig: Rig) -> None:
    challenger(rig).run_to_the_end()
    rig.send(events(100, first=400))
    rig.run_to_the_end()
    assert wait_caught_up(parties(rig), "v2", 0.2) is None, "it is behind"
    behind = threading.Timer(0.3, lambda: challenger(rig).run_to_the_end())
    behind.start()
    place = wait_caught_up(parties(rig), "v2", 20)
    behind.join()
    rig.send(events(100, first=500))
    rig.run_to_the_end()
    assert not caught_up(state(rig), "v2"), "the champion has gone on"
    promote(parties(rig), "v2", "", force=True, place=place)
    assert state(rig).serving == "v2"


def test_a_busy_journal_does_not_shorten_the_wait(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    challenger(rig).run_to_the_end()
    rig.send(events(100, first=400))
    rig.run_to_the_end()
    poll = JournalReader.poll
    monkeypatch.setattr(JournalReader, "poll", lambda reader, seconds: poll(reader, 0.0))  # returns at once
    began = time.monotonic()
    assert wait_caught_up(parties(rig), "v2", 0.5) is None
    assert time.monotonic() - began >= 0.5


def test_what_is_no_challenger_of_what_serves_is_refused_by_name(rig: Rig) -> None:
    for job in ("job-1", "job-2"):
        challenger(rig, job=job).run_to_the_end()
    with pytest.raises(ConfigError, match="there is no variant v9"):
        promote(parties(rig), "v9", "", force=True)
    with pytest.raises(ConfigError, match="v1 serves already"):
        promote(parties(rig), "v1", "", force=True)
    promote(parties(rig), "v2", "", force=True)
    with pytest.raises(ConfigError, match="v1 is no challenger, and v2 serves"):
        promote(parties(rig), "v1", "", force=True)
    with pytest.raises(ConfigError, match="v3 is a challenger of v1, and v2 serves"):
        promote(parties(rig), "v3", "", force=True)


def test_one_that_was_given_up_is_refused(rig: Rig) -> None:
    challenger(rig).run_to_the_end()
    give_up(parties(rig), "v2", "not better")
    with pytest.raises(ConfigError, match="v2 was given up"):
        promote(parties(rig), "v2", "", force=True)


def test_a_rollback_while_the_champion_learns_is_as_if_nothing_had_been(rig: Rig) -> None:
    challenger(rig).run_to_the_end()
    promote(parties(rig), "v2", "", force=True)
    rollback(parties(rig), "worse")
    found = state(rig)
    assert (found.serving, found.is_over("v2"), found.learns("v1")) == ("v1", True, True)


def test_a_rollback_after_the_watch_lets_the_old_one_learn_again(rig: Rig) -> None:
    challenger(rig).run_to_the_end()
    promote(parties(rig), "v2", "", force=True)
    end_watch(parties(rig), "better")
    assert state(rig).is_over("v1")
    rollback(parties(rig), "worse after all", to="v1")
    assert decisions(rig)[-3:] == [("resume", "v1"), ("stop", "v2"), ("serve", "v1")]
    rig.send(events(100, first=400))
    life = rig.run_to_the_end()
    assert life.started is not None
    assert (life.started.variant, life.counts["records"]) == ("v1", 500)


def test_a_changed_model_file_is_rolled_back_to_the_variant_that_it_began_with(rig: Rig) -> None:
    rig.model_text = MODEL.replace("alpha = 0.3", "alpha = 0.2")
    rig.run_to_the_end()
    assert state(rig).serving == "v2"
    rollback(parties(rig), "worse", to="v1")
    assert state(rig).serving == "v1"
    with pytest.raises(ConfigError, match=r"v2, which this model file began, was given up"):
        rig.run_to_the_end()


def test_a_rollback_asked_for_twice_goes_back_once(rig: Rig) -> None:
    challenger(rig).run_to_the_end()
    promote(parties(rig), "v2", "", force=True)
    end_watch(parties(rig), "better")
    challenger(rig, job="job-2").run_to_the_end()
    promote(parties(rig), "v3", "", force=True)
    rollback(parties(rig), "worse")
    for again, refused in (
        (None, "no promotion is watched; before it v1 served"),
        ("v2", "v2 serves already"),
    ):
        with pytest.raises(ConfigError, match=refused):
            rollback(parties(rig), "worse", to=again)
    with pytest.raises(ConfigError, match="v2 serves, which took the place of v1, not of v3"):
        rollback(parties(rig), "worse", to="v3")
    assert (state(rig).serving, state(rig).learns("v2")) == ("v2", True)
    rollback(parties(rig), "worse too", to="v1")
    assert state(rig).serving == "v1"


@pytest.mark.parametrize("written", [1, 2])
def test_a_rollback_that_is_cut_off_is_never_promoted_again_and_can_be_ended(rig: Rig, written: int) -> None:
    challenger(rig).run_to_the_end()
    promote(parties(rig), "v2", "", force=True)
    watched = state(rig).decisions["serve"].place
    decided = deciding.decide(parties(rig), lambda found: _first_lines(found, written))
    assert len(decided) == written
    assert (state(rig).serving, state(rig).learns("v1")) == (("v2", True), ("v1", True))[written - 1]
    assert not state(rig).learns("v2")
    bring_back(parties(rig), "worse", watched)
    assert (state(rig).serving, state(rig).is_over("v2")) == ("v1", True)


def _first_lines(found: JournalState, count: int) -> list[Decision]:
    return promoting._back(found, "v1", "somebody", "worse")[:count]


def test_after_any_number_of_jobs_there_is_a_way_back(rig: Rig) -> None:
    challenger(rig).run_to_the_end()
    promote(parties(rig), "v2", "", force=True)
    end_watch(parties(rig), "better")
    rig.run_to_the_end()
    for number in range(3, 7):
        challenger(rig, job=f"job-{number}").run_to_the_end()
        give_up(parties(rig), f"v{number}", "no better")
    rollback(parties(rig), "worse after all", to="v1")
    assert state(rig).serving == "v1"


def test_with_nothing_before_there_is_no_way_back(rig: Rig) -> None:
    with pytest.raises(ConfigError, match="v1 serves, and there is none before it"):
        rollback(parties(rig), "")


def test_what_is_over_or_serves_is_not_given_up_again(rig: Rig) -> None:
    challenger(rig).run_to_the_end()
    assert give_up(parties(rig), "v1", "") == []
    assert give_up(parties(rig), "v2", "") != []
    assert give_up(parties(rig), "v2", "") == []
    assert end_watch(parties(rig), "") == []


def test_of_two_who_decide_at_once_one_is_told_so(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    challenger(rig).run_to_the_end()
    drafted = deciding.decision

    def meanwhile(found: JournalState, *what: str) -> Decision:
        decided = drafted(found, *what)  # type: ignore[arg-type]
        monkeypatch.setattr("stream_ml.retraining.promoting.decision", drafted)
        say(rig, "serve", "v2")
        return decided

    monkeypatch.setattr("stream_ml.retraining.promoting.decision", meanwhile)
    with pytest.raises(Overruled, match="serve v2 does not count"):
        promote(parties(rig), "v2", "", force=True)
