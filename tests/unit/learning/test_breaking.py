"""Where labels break, learning stops within the stated number of events, and nothing is learned after."""

from __future__ import annotations

import random
from pathlib import Path

import orjson
import pytest

from stream_ml.drift.breaker import events_to_trip
from stream_ml.learning.breaking import Breaker, Labels
from stream_ml.learning.points import Point
from stream_ml.learning.resuming import learn_backlog, restore_step, skip_to
from stream_ml.learning.standing import Standing
from stream_ml.runtime import metrics
from stream_ml.weights.lines import Decided, Decision, InForce
from tests.servers.processes import wait_until
from tests.unit.learning.rig import BackgroundLife, EndAt, Rig, new_learner
from tests.unit.learning.test_challenging import challenger, learns, state
from tests.unit.learning.test_resuming import rebuilt
from tests.unit.learning.test_skipping import parties

MODEL = """
name = "clicks"
event_id = "id"
label = "label"

[features]
user = "user"

[learner]
evaluate_every = 50
"""
RATE = 0.2
BATCH = 20


def stream(count: int, first: int, rate: float) -> list[bytes]:
    chance = random.Random(first)
    return [
        orjson.dumps({"id": f"e{n}", "user": f"u{n % 7}", "label": int(chance.random() < rate)})
        for n in range(first, first + count)
    ]


@pytest.fixture
def rig(tmp_path: Path) -> Rig:
    rig = Rig(tmp_path, model_text=MODEL, overrides={"batch_max_records": BATCH})
    rig.send(stream(4_000, 0, RATE))
    return rig


def stopped(rig: Rig) -> list[Decision]:
    return [e.line for e in rig.journal() if isinstance(e.line, Decision) and e.line.kind == "stop"]


def flooded(rig: Rig) -> BackgroundLife:
    """A life that has learned 4,000 events, then met 2,000 positives, and stopped."""
    background = rig.in_background()
    background.wait_until_learned()
    rig.send(stream(2_000, 4_000, 1.0))
    wait_until(lambda: not state(rig).learns("v1"))
    return background


def test_a_flood_of_positives_stops_learning_within_the_stated_events(rig: Rig) -> None:
    background = flooded(rig)
    loop = background.loop
    assert loop is not None
    most = events_to_trip(RATE, 1.0, dispersion=3.0) + BATCH
    assert 4_000 < loop.events[0] <= 4_000 + most
    at_stop = background.digest
    feed = rig.log.bounds("clicks.weights", 0).next
    wait_until(lambda: rig.log.bounds("clicks.weights", 0).next > feed + 3)  # heartbeats go on
    assert background.digest == at_stop, "nothing is learned after"
    (decision,) = stopped(rig)
    assert "labels broke" in decision.why
    assert "--learn-backlog" in decision.why
    background.end()
    again = rig.in_background()
    wait_until(lambda: learns(again, "v1"))
    again.end()
    assert again.digest == at_stop, "nor after a restart"


def test_killed_as_it_opens_it_opens_again(rig: Rig) -> None:
    rig.run_to_the_end()
    rig.send(stream(2_000, 4_000, 1.0))
    assert rig.run_to_the_end(EndAt(Point.BREAKER_OPENED)).killed
    background = rig.in_background()
    wait_until(lambda: not state(rig).learns("v1"))
    background.end()
    assert len(stopped(rig)) == 1


def test_resumed_with_the_backlog_the_new_rate_is_accepted(rig: Rig) -> None:
    background = flooded(rig)
    learn_backlog(parties(rig), "a campaign")
    background.wait_until_learned()
    background.end()
    rig.send(stream(1_000, 6_000, 1.0))
    rig.run_to_the_end()
    assert len(stopped(rig)) == 1
    assert state(rig).variants["v1"].events == {0: 7_000}


def test_resumed_behind_the_flood_the_rows_are_those_of_the_stop(rig: Rig) -> None:
    background = flooded(rig)
    step = state(rig).variants["v1"].step
    before = rebuilt(rig, "v1", step)
    skip_to(parties(rig), {0: 6_000}, "a bug")
    rig.send(stream(100, 6_000, RATE))
    background.wait_until_learned()
    background.end()
    assert rebuilt(rig, "v1", step) == before
    assert state(rig).variants["v1"].events == {0: 6_100}
    assert len(stopped(rig)) == 1


def test_resumed_with_an_earlier_step_the_rows_are_those_of_that_step(rig: Rig) -> None:
    background = flooded(rig)
    step = 4_000 // BATCH - 3
    before = rebuilt(rig, "v1", step)
    restore_step(parties(rig), step, "a bug", new_learner, created_at=1.0)
    wait_until(lambda: learns(background, "v2"))
    wait_until(lambda: bool(rig.store.names("clicks", "v2")))
    background.end()
    assert rebuilt(rig, "v2", 0)["rows_hash"] == before["rows_hash"]


def test_switched_off_it_learns_whatever_comes(rig: Rig) -> None:
    rig.overrides["label_breaker"] = False
    rig.run_to_the_end()
    rig.send(stream(2_000, 4_000, 1.0))
    rig.run_to_the_end()
    assert stopped(rig) == []


def test_a_rate_that_wanders_does_not_trip_it(rig: Rig) -> None:
    for number in range(10):
        rig.send(stream(500, 4_000 + 500 * number, RATE * (1 + 0.03 * number)))
    rig.run_to_the_end()
    assert stopped(rig) == []


def test_a_rate_that_fell_slowly_does_not_trip_it_at_a_restart() -> None:
    """Of all that was ever learned two fifths are positive; for long it has been an eighth."""
    before = Breaker("clicks", "v1", "learner-1")
    shares = [0.5 - 0.38 * min(block / 1_200, 1) for block in range(1_500)]
    assert not any(before.learned(Labels(1_000, 1_000.0, 1_000 * share)) for share in shares)
    again = Breaker("clicks", "v1", "learner-2", known=(before.state, 7))
    assert not any(again.learned(Labels(1_000, 1_000.0, 120.0)) for _ in range(20))
    assert again.learned(Labels(1_000, 1_000.0, 600.0)) is not None


def test_what_was_known_before_a_resume_is_not_known_any_more() -> None:
    before = Breaker("clicks", "v1", "learner-1")
    assert not any(before.learned(Labels(1_000, 1_000.0, 120.0)) for _ in range(20))
    resume = Decided(8, Decision(kind="resume", variant="v1", who="me", why="a campaign"))
    again = Breaker("clicks", "v1", "learner-2", (resume,), known=(before.state, 7))
    assert not any(again.learned(Labels(1_000, 1_000.0, 600.0)) for _ in range(20))


def test_after_a_resume_and_a_restart_it_knows_the_new_rate(rig: Rig) -> None:
    background = flooded(rig)
    skip_to(parties(rig), {0: 6_000}, "a bug")
    rig.send(stream(4_000, 6_000, RATE))
    background.wait_until_learned()
    background.end()
    rig.send(stream(1_000, 10_000, 1.0))
    background = rig.in_background()
    wait_until(lambda: not state(rig).learns("v1"))
    assert background.loop is not None
    assert background.loop.events[0] <= 10_000 + events_to_trip(RATE, 1.0, dispersion=3.0) + BATCH
    background.end()


def test_decisions_of_another_variant_are_none_of_ours() -> None:
    before = Breaker("clicks", "v1", "learner-1")
    assert not any(before.learned(Labels(1_000, 1_000.0, 120.0)) for _ in range(20))
    theirs = [
        Decided(8, Decision(kind="resume", variant="v2", who="me", why="a campaign")),
        Decided(9, Decision(kind="stop", variant="v3", who="me", why="labels broke: badly")),
    ]
    again = Breaker("clicks", "v1", "learner-2", theirs, known=(before.state, 7))
    assert metrics.LEARNER_BREAKER_OPEN.labels("clicks")._value.get() == 0
    assert again.learned(Labels(1_000, 1_000.0, 600.0)) is not None


def test_a_skip_to_where_learning_stands_ends_no_writer() -> None:
    resume = Decided(6, Decision(kind="resume", variant="v1", who="me", why="good"))
    for goal, ends in ((50, False), (51, True)):
        skip = Decided(
            5, Decision(kind="skip", variant="v1", who="me", why="", partition=0, next=goal, lost=0)
        )
        standing = Standing("v1", InForce(variants=(), decisions=()))
        assert standing.turn(InForce(variants=(), decisions=(skip, resume)), {0: 50})
        assert standing.ends is ends


def test_labels_of_another_loss_are_not_looked_at(rig: Rig) -> None:
    rig.model_text = MODEL + 'loss = "squared"\n'
    rig.run_to_the_end()
    rig.send(stream(2_000, 4_000, 1.0))
    rig.run_to_the_end()
    assert stopped(rig) == []


def test_a_stop_and_its_resume_that_are_read_at_once_let_it_go_on() -> None:
    """As where a person resumes before the writer has read its own line back."""
    in_force = InForce(variants=(), decisions=())
    standing = Standing("v1", in_force)
    stop = Decided(5, Decision(kind="stop", variant="v1", who="breaker", why="labels broke"))
    resume = Decided(6, Decision(kind="resume", variant="v1", who="me", why="good", replaces=5))
    assert not standing.turn(InForce(variants=(), decisions=(stop,)), {})
    assert standing.turn(InForce(variants=(), decisions=(resume,)), {})
    assert not standing.turn(InForce(variants=(), decisions=(resume,)), {}), "once"
    again = Standing("v1", in_force)
    assert again.turn(InForce(variants=(), decisions=(resume,)), {})


def test_a_challenger_that_catches_up_does_not_trip_it(rig: Rig) -> None:
    rig.run_to_the_end()
    rig.overrides["label_breaker"] = False
    rig.send(stream(2_000, 4_000, 1.0))
    rig.run_to_the_end()
    rig.overrides["label_breaker"] = True
    other = challenger(rig, warm=False, events={0: 0})
    other.run_to_the_end()
    assert stopped(rig) == []
    assert state(rig).variants["v2"].events == {0: 6_000}
