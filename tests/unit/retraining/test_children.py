"""A challenger learns in a process of its own, from its beginning until the watch of its promotion ends."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from stream_ml.learning.orders import Order
from stream_ml.retraining.children import Children, needs_child
from stream_ml.retraining.promoting import end_watch, give_up, promote, rollback
from stream_ml.runtime import lifecycle
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


@pytest.fixture
def children(rig: Rig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Children]:
    give_up(parties(rig), "v2", "")
    monkeypatch.setattr("stream_ml.retraining.children.subprocess.Popen", Sleeping)
    children = Children(parties(rig), tmp_path / "learner.toml", tmp_path / "c", ManualClock())
    children.order(Order(job="job-2", why="", warm=True), MODEL)
    yield children
    children.close()


def ended(children: Children, rig: Rig, code: int) -> None:
    """Let the child end with *code*, and its parent notice."""
    process = children._running["job-2"]
    assert isinstance(process, Sleeping)
    process.end(code)
    children.turn(state(rig))


@pytest.mark.parametrize("killed_at", ["model.toml.partial", "order.json.partial"])
def test_killed_while_it_writes_an_order_the_next_one_finds_none(
    rig: Rig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, killed_at: str
) -> None:
    """Of half an order a child would end with code 2, and the challenger be given up."""
    write = Path.write_text

    def dies(self: Path, text: str) -> None:
        write(self, text[: len(text) // 2] if self.name == killed_at else text)
        if self.name == killed_at:
            raise KeyboardInterrupt

    children = Children(parties(rig), tmp_path / "learner.toml", tmp_path / "c", ManualClock())
    monkeypatch.setattr(Path, "write_text", dies)
    with pytest.raises(KeyboardInterrupt):
        children.order(Order(job="job-1", why="", warm=True), MODEL)
    assert not (tmp_path / "c" / "job-1" / "order.json").exists()
    monkeypatch.setattr(Path, "write_text", write)
    monkeypatch.setattr("stream_ml.retraining.children.subprocess.Popen", Sleeping)
    children.turn(state(rig))
    assert Order.model_validate_json((tmp_path / "c" / "job-1" / "order.json").read_text()).job == "job-1"
    assert 'name = "clicks"' in (tmp_path / "c" / "job-1" / "model.toml").read_text()
    children.close()


@pytest.mark.parametrize("code", [lifecycle.CONFIG, lifecycle.CANNOT_CONTINUE])
def test_a_child_whose_end_nothing_mends_is_not_started_again(
    children: Children, rig: Rig, code: int
) -> None:
    children.turn(state(rig))
    ended(children, rig, code)
    children._clock.advance(1e6)  # type: ignore[attr-defined]
    children.turn(state(rig))
    assert children._running == {}
    assert children.failed["job-2"].startswith(f"its learner ended with code {code}: ")


def test_a_child_that_ends_otherwise_is_started_again_later_each_time(children: Children, rig: Rig) -> None:
    children.turn(state(rig))
    for seconds in (2, 4, 8, 16, 32, 60, 60):
        ended(children, rig, 1)
        children._clock.advance(seconds - 0.5)  # type: ignore[attr-defined]
        children.turn(state(rig))
        assert children._running == {}
        children._clock.advance(0.6)  # type: ignore[attr-defined]
        children.turn(state(rig))
        assert children._running.keys() == {"job-2"}
    assert children.failed == {}


class Sleeping(subprocess.Popen[bytes]):
    """A process that does nothing in place of a learner."""

    def __init__(self, command: list[str], **more: Any) -> None:
        super().__init__(["sh", "-c", "read code; exit ${code:-0}"], **more)

    def end(self, code: int) -> None:
        assert self.stdin is not None
        self.stdin.write(b"%d\n" % code)
        self.stdin.flush()
        self.wait(10)
