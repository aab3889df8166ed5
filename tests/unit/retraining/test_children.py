"""A challenger learns in a process of its own, from its beginning until the watch of its promotion ends."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pytest

from stream_ml.learning.orders import Order
from stream_ml.retraining.children import Children, needs_child
from stream_ml.retraining.promoting import end_watch, give_up, promote, rollback
from stream_ml.runtime.clock import ManualClock
from tests.clicks import MODEL, events
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


def test_a_child_whose_order_is_withdrawn_ends_and_is_not_started_again(
    rig: Rig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    give_up(parties(rig), "v2", "")
    children = Children(parties(rig), tmp_path / "learner.toml", tmp_path / "c", ManualClock())
    monkeypatch.setattr("stream_ml.retraining.children.subprocess.Popen", Sleeping)
    children.order(Order(job="job-2", why="", warm=True), MODEL)
    children.turn(state(rig))
    process = children._running["job-2"]
    assert process.poll() is None
    children.withdraw("job-2")
    children.withdraw("never ordered")
    for _ in range(2):
        children.turn(state(rig))
        assert children._running == {}
    assert process.poll() is not None


class Sleeping(subprocess.Popen[bytes]):
    """A process that does nothing in place of a learner."""

    def __init__(self, command: list[str], **more: Any) -> None:
        super().__init__(["sleep", "600"], **more)
