"""Champion and challenger are compared over the very same events, each scored before it is learned."""

from __future__ import annotations

from pathlib import Path

import pytest

from stream_ml.errors import CannotContinue, RecoverableError
from stream_ml.retraining.comparing import Comparing
from tests.clicks import EVALUATE_EVERY, events, expected_counts
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
    return Comparing(parties(rig), state(rig), "v1", "v2", new_learner, max_records=37)


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


def test_their_evaluations_are_of_the_same_events(rig: Rig) -> None:
    found = comparing(rig)
    rig.send(events(300, first=400))
    all_compared(found).close()
    learned = expected_counts(700)[0] - expected_counts(400)[0]
    assert len(found.champion.evaluations) == learned // EVALUATE_EVERY
    assert found.events_compared == learned // EVALUATE_EVERY * EVALUATE_EVERY
    for ours, theirs in zip(found.champion.evaluations, found.challenger.evaluations, strict=True):
        same = ("index", "learned_from", "learned_to", "label_sum", "examples")
        assert [ours[key] for key in same] == [theirs[key] for key in same]
        assert ours["loss_sum"] != theirs["loss_sum"]
    assert found.champion.evaluations[0]["learned_from"] == 0


def test_the_one_whose_snapshot_is_older_is_brought_to_where_the_other_is(rig: Rig) -> None:
    rig.send(events(200, first=400))
    rig.run_to_the_end()  # the champion's snapshot is 200 events further
    found = comparing(rig)
    assert (found.champion.events, found.challenger.events, found.events) == ({0: 600}, {0: 400}, {0: 600})
    rig.send(events(100, first=600))
    all_compared(found).close()
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
