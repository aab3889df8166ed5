"""What follows from challengers: who is proved and has caught up serves, is watched; others are given up."""

from __future__ import annotations

import pytest

from stream_ml.retraining.promoting import end_watch, promote
from stream_ml.retraining.steward import Steward
from stream_ml.retraining.watching import Outcome, Watch
from stream_ml.weights.journal import JournalReader
from stream_ml.weights.lines import Decision
from stream_ml.weights.state import JournalState
from tests.unit.learning.rig import Rig, new_learner
from tests.unit.learning.test_challenging import challenger, state
from tests.unit.learning.test_skipping import parties
from tests.unit.retraining.test_watching import BAD, RULE, promoted, stream
from tests.unit.retraining.test_watching import rig as rig  # a fixture


class NoChildren:
    """Children that somebody else looks after."""

    def __init__(self) -> None:
        self.failed: dict[str, str] = {}
        self.turns = 0

    def turn(self, state: JournalState) -> None:
        self.turns += 1

    def close(self) -> None: ...


def steward(rig: Rig, **options: object) -> Steward:
    watch = Watch(parties(rig), new_learner, RULE, 20_000)
    return Steward(parties(rig), NoChildren(), watch, **options)  # type: ignore[arg-type]


def test_who_is_proved_and_has_caught_up_serves(rig: Rig) -> None:
    challenger(rig, proof="saves 2 %").run_to_the_end()
    steward(rig).turn(state(rig))
    found = state(rig)
    assert (found.serving, found.champion_of("v2")) == ("v2", "v1")
    assert found.decisions["serve"].decision.why == "gate: saves 2 %"


def test_who_has_not_caught_up_or_is_not_proved_does_not(rig: Rig) -> None:
    challenger(rig).run_to_the_end()
    challenger(rig, job="job-2", proof="saves 2 %").run_to_the_end()
    rig.send(stream(500, first=2_000))
    rig.run_to_the_end()
    steward(rig).turn(state(rig))
    assert state(rig).serving == "v1"
    challenger(rig, job="job-2", proof="saves 2 %").run_to_the_end()
    steward(rig).turn(state(rig))
    assert state(rig).serving == "v3"


def on(rig: Rig, first: int) -> None:
    """Events come, and the champion learns them."""
    rig.send(stream(500, first=first))
    rig.run_to_the_end()


def test_who_is_where_the_champion_was_a_moment_ago_serves_though_events_go_on(rig: Rig) -> None:
    challenger(rig, proof="saves 2 %").run_to_the_end()
    looking = steward(rig)
    on(rig, 2_000)
    looking.turn(state(rig))
    assert state(rig).serving == "v1"
    challenger(rig, proof="saves 2 %").run_to_the_end()
    on(rig, 2_500)
    looking.turn(state(rig))
    assert state(rig).serving == "v2"


def test_where_the_champion_was_is_kept_though_one_reader_reads_on(rig: Rig) -> None:
    """As a retrainer does: the state that it looks at is the one that later lines change."""
    challenger(rig, proof="saves 2 %").run_to_the_end()
    looking = steward(rig)
    with JournalReader.open(rig.log, "clicks.journal") as reader:
        on(rig, 2_000)
        reader.read_to_end()
        looking.turn(reader.state)
        challenger(rig, proof="saves 2 %").run_to_the_end()
        on(rig, 2_500)
        reader.read_to_end()
        looking.turn(reader.state)
    assert state(rig).serving == "v2"


def test_who_comes_late_to_where_the_champion_was_has_not_caught_up(rig: Rig) -> None:
    challenger(rig, proof="saves 2 %").run_to_the_end()
    looking = steward(rig)
    on(rig, 2_000)
    looking.turn(state(rig))
    challenger(rig, proof="saves 2 %").run_to_the_end()
    on(rig, 2_500)
    behind = state(rig)
    behind.variants["v2"].events = {0: 2_000}
    for _ in range(12):
        looking.turn(behind)
    looking.turn(state(rig))
    assert state(rig).serving == "v1"


def test_where_a_person_promotes_it_says_once_that_somebody_waits(
    rig: Rig, caplog: pytest.LogCaptureFixture
) -> None:
    challenger(rig, proof="saves 2 %").run_to_the_end()
    asking = steward(rig, promotes=False)
    for _ in range(3):
        asking.turn(state(rig))
    assert state(rig).serving == "v1"
    assert [record.message for record in caplog.records].count("waits to be promoted") == 1


def test_what_was_promoted_is_watched_and_the_outcome_is_told(rig: Rig) -> None:
    promoted(rig, BAD)
    outcomes: list[Outcome] = []
    watching = steward(rig, ended=outcomes.append)
    watching.turn(state(rig))
    rig.send(stream(4_000, first=2_000))
    for _ in range(10):
        watching.turn(state(rig))
    assert [(outcome.kept, outcome.challenger) for outcome in outcomes] == [(False, "v2")]
    assert state(rig).serving == "v1"


def test_while_a_promotion_is_watched_no_other_serves_and_after_it_all_others_are_given_up(rig: Rig) -> None:
    challenger(rig, job="job-2", proof="saves 1 %").run_to_the_end()
    other = steward(rig)
    challenger(rig, job="job-3").run_to_the_end()
    promote(parties(rig), "v3", "", force=True)
    other.turn(state(rig))
    found = state(rig)
    assert (found.serving, found.learns("v2")) == ("v3", True)
    end_watch(parties(rig), "better")
    other.turn(state(rig))
    assert state(rig).is_over("v2")


def test_who_cannot_learn_is_given_up_with_the_reason(rig: Rig) -> None:
    challenger(rig).run_to_the_end()
    looking = steward(rig)
    looking.children.failed["job-1"] = "its learner ended with code 2"
    looking.turn(state(rig))
    said = [e.line for e in rig.journal() if isinstance(e.line, Decision)][-1]
    assert (said.kind, said.variant, said.why) == ("stop", "v2", "its learner ended with code 2")


def test_two_stewards_promote_once(rig: Rig) -> None:
    challenger(rig, proof="saves 2 %").run_to_the_end()
    before = state(rig)
    steward(rig).turn(before)
    steward(rig).turn(state(rig))
    serves = [e for e in rig.journal() if isinstance(e.line, Decision) and e.line.kind == "serve"]
    assert [e.line.variant for e in serves if isinstance(e.line, Decision)] == ["v1", "v2"]
