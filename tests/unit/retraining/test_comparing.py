"""Champion and challenger are compared over the very same events, each scored before it is learned."""

from __future__ import annotations

from pathlib import Path

import orjson
import pytest

from stream_ml.errors import CannotContinue, RecoverableError
from stream_ml.retraining.comparing import Comparing
from tests.clicks import events, expected_counts
from tests.unit.learning.rig import Rig, new_learner
from tests.unit.learning.test_challenging import challenger, state
from tests.unit.learning.test_skipping import parties


@pytest.fixture
def rig(tmp_path: Path) -> Rig:
    rig = Rig(tmp_path)
    rig.send(events(400))
    rig.run_to_the_end()
    challenger(rig).run_to_the_end()
    return rig


def comparing(rig: Rig) -> Comparing:
    return Comparing(parties(rig), state(rig), "v1", "v2", new_learner, block_records=50, max_records=37)


def all_compared(found: Comparing) -> Comparing:
    while found.turn(0.0):
        pass
    return found


def test_both_have_the_rows_that_their_writers_have(rig: Rig) -> None:
    found = comparing(rig)
    rig.send(events(300, first=400))
    all_compared(found).close()
    for side, of in ((found.champion, rig), (found.challenger, challenger(rig))):
        assert side.learner.digest()["rows_hash"] == of.run_to_the_end().digest["rows_hash"]


def test_their_sums_are_of_the_same_events(rig: Rig) -> None:
    found = comparing(rig)
    rig.send(events(320, first=400))
    all_compared(found).close()
    blocks = found.blocks("v2")
    assert (found.events_compared, found.left_out, len(blocks.examples)) == (300, 0, 6)
    assert blocks.examples.sum() == expected_counts(700)[0] - expected_counts(400)[0]
    ours = blocks.challengers["v2"]
    assert (blocks.champion.loss > 0).all()
    assert (blocks.champion.loss != ours.loss).all()
    assert blocks.champion.loss.sum() == pytest.approx(loss_after(rig, 400, 700), rel=1e-9)


def loss_after(rig: Rig, first: int, end: int) -> float:
    """Of the champion, over these events, by a learner that knows those before."""
    learner = new_learner(rig.model)
    sums = []
    for at, to in ((0, first), (first, end)):
        values = events(to - at, first=at)
        learner.learn([(0, values, [0] * len(values))])
        sums.append(learner.metrics()["loss_sum"])
    return sums[1] - sums[0]


def test_blocks_of_which_one_refuses_what_the_other_learns_are_left_out(rig: Rig) -> None:
    """The challenger has no feature `page`, of which some come in another type."""
    other = challenger(rig, job="job-2")
    other.model_text = "".join(
        line for line in rig.model_text.splitlines(keepends=True) if "page" not in line
    )
    other.run_to_the_end()
    found = Comparing(parties(rig), state(rig), "v1", "v3", new_learner, block_records=50)
    odd = [orjson.dumps({**orjson.loads(each), "page": {"not": "text"}}) for each in events(60, first=500)]
    rig.send([*events(100, first=400), *odd, *events(140, first=560)])
    all_compared(found).close()
    assert (found.events_compared, found.left_out, len(found.blocks("v3").examples)) == (300, 2, 4)


def test_the_one_whose_snapshot_is_older_is_brought_to_where_the_other_is(rig: Rig) -> None:
    rig.send(events(200, first=400))
    rig.run_to_the_end()  # the champion's snapshot is 200 events further
    found = comparing(rig)
    assert (found.champion.events, found.challenger.events, found.events) == ({0: 600}, {0: 400}, {0: 600})
    rig.send(events(100, first=600))
    all_compared(found).close()
    assert (found.events_compared, found.left_out) == (100, 0)
    assert (
        found.challenger.learner.digest()["rows_hash"] == challenger(rig).run_to_the_end().digest["rows_hash"]
    )


def test_what_is_gone_between_the_two_snapshots_is_said(rig: Rig) -> None:
    rig.send(events(200, first=400))
    rig.run_to_the_end()
    rig.log.delete_records("events", 0, 450)
    with pytest.raises(CannotContinue, match="events between two snapshots are gone"):
        comparing(rig)


def test_records_that_are_gone_before_they_are_compared_are_said(rig: Rig) -> None:
    found = comparing(rig)
    rig.send(events(200, first=400))
    rig.log.delete_records("events", 0, 450)
    with pytest.raises(CannotContinue, match="behind what the log keeps"):
        all_compared(found)


def test_without_a_snapshot_it_is_tried_again(rig: Rig) -> None:
    for name in rig.store.names("clicks", "v1"):
        (rig.folder / "snapshots" / str(name)).unlink()
    with pytest.raises(RecoverableError, match="v1 has no snapshot"):
        comparing(rig)
