"""The watch of a promotion: the better one serves in the end, and one line says so."""

from __future__ import annotations

import random
from dataclasses import replace
from pathlib import Path

import orjson
import pytest

from stream_ml.errors import RecoverableError
from stream_ml.learning.orders import Order
from stream_ml.retraining import gate
from stream_ml.retraining.promoting import promote, rollback
from stream_ml.retraining.watching import Outcome, Watch
from stream_ml.weights.lines import Decision
from tests.unit.learning.rig import Rig, new_learner
from tests.unit.learning.test_challenging import state
from tests.unit.learning.test_skipping import parties

MODEL = """
name = "clicks"
event_id = "id"
label = "label"

[features]
user = "user"
page = "page"

[learner]
alpha = 0.1
evaluate_every = 50
"""
# What the label follows from is left out.
BAD = MODEL.replace('user = "user"\n', "")
SAME = MODEL.replace("alpha = 0.1", "alpha = 0.11")
RULE = gate.Rule(min_events=500, max_events=20_000)
RATES = {"u0": 0.1, "u1": 0.5, "u2": 0.8}


def stream(count: int, first: int = 0) -> list[bytes]:
    """Events whose label follows from the user, by chance."""
    chance = random.Random(first)
    found = []
    for number in range(first, first + count):
        user = f"u{chance.randrange(3)}"
        label = int(chance.random() < RATES[user])
        event = {"id": f"e{number}", "user": user, "page": f"p{chance.randrange(20)}", "label": label}
        found.append(orjson.dumps(event))
    return found


@pytest.fixture
def rig(tmp_path: Path) -> Rig:
    rig = Rig(tmp_path, model_text=MODEL, overrides={"batch_max_records": 500})
    rig.send(stream(2_000))
    rig.run_to_the_end()
    return rig


def promoted(rig: Rig, model_text: str, job: str = "job-1") -> Rig:
    """Let a challenger with another model file serve, by force."""
    order = Order(job=job, why="test", warm=True)
    other = replace(rig, model_text=model_text, order=order)
    other.log, other.names, other.store = rig.log, rig.names, rig.store
    other.run_to_the_end()
    begun = list(state(rig).variants)[-1]
    promote(parties(rig), begun, "forced", force=True)
    return other


def watched(rig: Rig, watch: Watch, turns: int = 40) -> Outcome | None:
    for _ in range(turns):
        if (outcome := watch.turn(state(rig))) is not None:
            return outcome
    return None


def test_a_bad_challenger_is_rolled_back(rig: Rig) -> None:
    promoted(rig, BAD)
    watch = Watch(parties(rig), new_learner, RULE, 20_000)
    assert watched(rig, watch) is None, "nothing has come yet"
    rig.send(stream(4_000, first=2_000))
    outcome = watched(rig, watch)
    assert outcome is not None
    assert (outcome.kept, outcome.champion, outcome.challenger) == (False, "v1", "v2")
    found = state(rig)
    assert (found.serving, found.is_over("v2"), found.learns("v1")) == ("v1", True, True)
    said = [e.line for e in rig.journal() if isinstance(e.line, Decision) and e.line.kind == "serve"][-1]
    assert said.why == outcome.why
    assert "events" in said.why
    assert watched(rig, watch) is None, "there is nothing to watch any more"


@pytest.mark.parametrize("kept", [False, True], ids=["worse", "no worse"])
def test_of_two_that_judge_by_the_same_journal_one_decides(rig: Rig, kept: bool) -> None:
    """As in two retrainers: the second must not end the promotion before this one."""
    promoted(rig, SAME)
    promoted(rig, SAME if kept else BAD, job="job-2")
    watches = [Watch(parties(rig), new_learner, RULE, watch_events=1_000) for _ in range(2)]
    for watch in watches:
        watched(rig, watch, 1)
    rig.send(stream(4_000, first=2_000))
    found = state(rig)
    outcomes = [[watch.turn(found) for _ in range(40)] for watch in watches]
    assert [sum(outcome is not None for outcome in each) for each in outcomes] == [1, 0]
    assert state(rig).serving == ("v3" if kept else "v2")
    assert [state(rig).learns(variant) for variant in ("v1", "v2", "v3")] == [True, not kept, kept]


def test_one_that_is_no_worse_stays_when_the_watch_ends_and_its_champion_is_stopped(rig: Rig) -> None:
    promoted(rig, SAME)
    patient = gate.Rule(min_events=10_000, max_events=20_000)
    watch = Watch(parties(rig), new_learner, patient, watch_events=3_000)
    watched(rig, watch, 1)
    rig.send(stream(2_900, first=2_000))
    assert watched(rig, watch) is None
    assert watch.events == 2_900
    rig.send(stream(200, first=4_900))
    outcome = watched(rig, watch)
    assert outcome is not None
    assert outcome.kept
    found = state(rig)
    assert (found.serving, found.is_over("v1")) == ("v2", True)


def test_a_decision_that_comes_between_ends_it(rig: Rig) -> None:
    promoted(rig, BAD)
    watch = Watch(parties(rig), new_learner, RULE, 20_000)
    watched(rig, watch, 1)
    rollback(parties(rig), "I saw it first")
    rig.send(stream(4_000, first=2_000))
    assert watched(rig, watch) is None
    assert watch.events == 0


def test_a_watch_begun_anew_in_another_process_comes_to_the_same_end(rig: Rig) -> None:
    promoted(rig, BAD)
    first = Watch(parties(rig), new_learner, RULE, 20_000)
    watched(rig, first, 1)
    rig.send(stream(300, first=2_000))
    watched(rig, first)
    first.close()
    again = Watch(parties(rig), new_learner, RULE, 20_000)
    watched(rig, again, 1)
    rig.send(stream(4_000, first=2_300))
    outcome = watched(rig, again)
    assert outcome is not None
    assert not outcome.kept


def test_while_nothing_was_promoted_it_does_nothing(rig: Rig) -> None:
    assert Watch(parties(rig), new_learner, RULE, 100).turn(state(rig)) is None


def test_without_snapshots_it_is_tried_again(rig: Rig) -> None:
    promoted(rig, SAME)
    for name in rig.store.names("clicks"):
        (rig.folder / "snapshots" / str(name)).unlink()
    with pytest.raises(RecoverableError):
        Watch(parties(rig), new_learner, RULE, 100).turn(state(rig))
