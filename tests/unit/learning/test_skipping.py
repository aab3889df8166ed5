"""Events are given up: counted in the journal, taken at the next start, the same after every restart."""

from functools import partial
from pathlib import Path

import pytest

from stream_ml.errors import ConfigError
from stream_ml.learning.parties import Parties
from stream_ml.learning.points import Point, go_on
from stream_ml.learning.rebuilding import rebuild
from stream_ml.learning.replaying import ReplayImpossible
from stream_ml.learning.skipping import skip
from stream_ml.learning.topics import ensure_topics
from stream_ml.weights.lines import Decision, Step
from tests.clicks import events
from tests.unit.learning.rig import EndAt, Rig, new_learner


@pytest.fixture
def rig(tmp_path: Path) -> Rig:
    rig = Rig(tmp_path, partitions=2)
    for partition in (0, 1):
        rig.send(events(100), partition=partition)
    rig.run_to_the_end()
    return rig


def parties(rig: Rig) -> Parties:
    topics = ensure_topics(rig.log, "clicks", "events", 2, 60.0)
    return Parties(rig.log, rig.store, topics, rig.model, "operator", False, go_on)


def test_behind_events_that_are_gone_the_same_variant_goes_on_and_the_loss_is_counted(rig: Rig) -> None:
    rig.send(events(200, first=100), partition=1)
    rig.log.delete_records("events", 1, 150)
    with pytest.raises(ReplayImpossible, match=r"stream-ml skip SETTINGS --to 1:150 --accept-loss"):
        rig.run_to_the_end()
    skip(parties(rig), {1: 150})
    life = rig.run_to_the_end()
    assert life.started is not None
    assert (life.started.variant, life.counts["records"]) == ("v1", 350)
    (skipped,) = [e.line for e in rig.journal() if isinstance(e.line, Decision) and e.line.kind == "skip"]
    assert (skipped.partition, skipped.next, skipped.lost) == (1, 150, 50)


@pytest.mark.parametrize("point", [Point.CLAIMED, Point.STEP_LINE_SENT, Point.SNAPSHOT_READ_BACK])
def test_killed_on_the_way_it_skips_once_and_a_replay_has_the_same_bits(rig: Rig, point: Point) -> None:
    rig.send(events(100, first=100), partition=0)
    rig.send(events(100, first=100), partition=1)
    skip(parties(rig), {0: 160, 1: 130})
    assert rig.run_to_the_end(EndAt(point)).killed
    rig.send(events(50, first=200), partition=0)
    life = rig.run_to_the_end()
    assert life.counts["records"] == 200 + 90 + 70
    assert rebuild(parties(rig), partial(new_learner, rig.model)).learner.digest() == life.digest
    steps = [e.line for e in rig.journal() if isinstance(e.line, Step) and e.verdict.valid]
    assert sum(len(step.decisions) for step in steps) == 2, "each is taken with one step"


@pytest.mark.parametrize("goal", [100, 50, 101])
def test_only_what_is_there_and_not_learned_can_be_given_up(rig: Rig, goal: int) -> None:
    with pytest.raises(ConfigError, match=r"events\[0\] goes on at 100 and ends at 100"):
        skip(parties(rig), {0: goal})
