"""A challenger learns in a process of its own, from its beginning until the watch of its promotion ends."""

from __future__ import annotations

from pathlib import Path

import pytest

from stream_ml.retraining.children import needs_child
from stream_ml.retraining.promoting import end_watch, give_up, promote, rollback
from tests.clicks import events
from tests.unit.learning.rig import Rig
from tests.unit.learning.test_challenging import challenger, state
from tests.unit.learning.test_skipping import parties


@pytest.fixture
def rig(tmp_path: Path) -> Rig:
    rig = Rig(tmp_path)
    rig.send(events(100))
    rig.run_to_the_end()
    challenger(rig).run_to_the_end()
    return rig


def wanting(rig: Rig) -> list[str]:
    found = state(rig)
    return [
        name
        for name, known in found.variants.items()
        if known.challenge is not None and needs_child(found, name)
    ]


def test_from_its_beginning_to_the_end_of_the_watch_it_does(rig: Rig) -> None:
    assert wanting(rig) == ["v2"]
    promote(parties(rig), "v2", "", force=True)
    assert wanting(rig) == ["v2"], "its champion's learners have work of their own"
    end_watch(parties(rig), "better")
    assert wanting(rig) == []


def test_one_that_was_given_up_or_rolled_back_does_not(rig: Rig) -> None:
    promote(parties(rig), "v2", "", force=True)
    rollback(parties(rig), "worse")
    assert wanting(rig) == []
    challenger(rig, job="job-2").run_to_the_end()
    assert wanting(rig) == ["v3"]
    give_up(parties(rig), "v3", "")
    assert wanting(rig) == []
