"""The winner of a job becomes a variant, once, with the model file that its setting says."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from stream_ml.errors import CannotContinue, RecoverableError
from stream_ml.learning.orders import Order
from stream_ml.retraining import gate
from stream_ml.retraining.blocks import Blocks, Sums
from stream_ml.retraining.effect import BeginChallenger, starts_of
from stream_ml.retraining.jobs import Job, Setting, Window
from stream_ml.retraining.queue import LeaseLost
from stream_ml.retraining.report import Report
from stream_ml.runtime.clock import SystemClock
from tests.clicks import events
from tests.unit.learning.rig import EndAt, Rig
from tests.unit.learning.test_challenging import challenger, say, state, variant_line
from tests.unit.learning.test_skipping import parties

JOB = Job(
    job="job-1",
    model="clicks",
    reason={},
    base=None,
    window=Window(events={0: (100, 400)}),
    grid=(Setting(name="slow", alpha=0.05), Setting(name="cold", alpha=0.1, warm=False, window=150)),
    asked_by="test",
)


def report(winner: str | None, champion: str = "v1") -> Report:
    none = np.zeros(0)
    blocks = Blocks(none, none, none, Sums(none, none), {})
    verdict = gate.Verdict("promote" if winner else "keep", winner, 900, 0.5, (), "saves 2 %")
    settings = {each.name: each.described() for each in JOB.grid}
    return Report("job-1", "clicks", {}, champion, gate.Rule(), blocks, verdict, settings)


class ChildrenInPlace:
    """Learns what is ordered, here and now."""

    def __init__(self, rig: Rig, end: EndAt | None = None) -> None:
        self.rig, self.end = rig, end
        self.failed: dict[str, str] = {}
        self.orders: list[Order] = []
        self.withdrawn: list[str] = []

    def withdraw(self, job: str) -> None:
        self.withdrawn.append(job)

    def order(self, order: Order, model_text: str) -> None:
        self.orders.append(order)
        other = replace(self.rig, model_text=model_text, order=order)
        other.log, other.names, other.store = self.rig.log, self.rig.names, self.rig.store
        if self.end is None:
            other.run_to_the_end()


def quiet(progress: float, doing: str) -> None: ...


@pytest.fixture
def rig(tmp_path: Path) -> Rig:
    rig = Rig(tmp_path)
    rig.send(events(400))
    rig.run_to_the_end()
    return rig


def effect(rig: Rig, children: ChildrenInPlace, memory: int | None = None) -> BeginChallenger:
    def wait(seconds: float) -> None: ...

    return BeginChallenger(
        parties(rig), children, SystemClock(), wait, patience_seconds=0.1, memory_bytes=lambda: memory
    )  # type: ignore[arg-type]


def test_the_winner_begins_with_its_setting_and_its_proof(rig: Rig) -> None:
    children = ChildrenInPlace(rig)
    effect(rig, children)(JOB, report("slow"), quiet)
    line = variant_line(rig, "v2")
    assert line.challenge is not None
    assert (line.challenge.job, line.challenge.proof, line.seed is None) == ("job-1", "saves 2 %", False)
    assert children.orders[0].champion == "v1"
    with rig.store.open(state(rig).variants["v2"].snapshots[-1].name) as snapshot:
        assert b"alpha = 0.05" in snapshot.parts().model


def test_a_cold_one_begins_within_the_window(rig: Rig) -> None:
    children = ChildrenInPlace(rig)
    effect(rig, children)(JOB, report("cold"), quiet)
    line = variant_line(rig, "v2")
    assert (line.seed, line.events) == (None, {0: 250})


def test_tried_again_it_finds_what_was_begun(rig: Rig) -> None:
    children = ChildrenInPlace(rig)
    for _ in range(3):
        effect(rig, children)(JOB, report("slow"), quiet)
    assert len(children.orders) == 1
    assert set(state(rig).variants) == {"v1", "v2"}


def test_without_a_winner_nothing_begins(rig: Rig) -> None:
    children = ChildrenInPlace(rig)
    effect(rig, children)(JOB, report(None), quiet)
    assert children.orders == []


def test_what_was_compared_with_a_variant_that_serves_no_more_does_not_begin(rig: Rig) -> None:
    challenger(rig, job="job-0").run_to_the_end()
    say(rig, "serve", "v2")
    with pytest.raises(CannotContinue, match="v1, with which slow was compared, serves no more: v2 does"):
        effect(rig, ChildrenInPlace(rig))(JOB, report("slow"), quiet)


def test_without_room_it_does_not_begin_and_says_how_much_it_wants(rig: Rig) -> None:
    with pytest.raises(CannotContinue, match=r"want [0-9,]+ bytes, there are 10"):
        effect(rig, ChildrenInPlace(rig), memory=10)(JOB, report("slow"), quiet)


def test_room_is_wanted_for_three_tables_of_as_many_rows_as_the_champion_has(rig: Rig) -> None:
    rows = rig.store.verify(state(rig).variants["v1"].snapshots[-1].name).total_rows
    with pytest.raises(CannotContinue, match=f"v1 has {rows} rows"):
        effect(rig, ChildrenInPlace(rig), memory=rows * 24 * 3 - 1)(JOB, report("slow"), quiet)
    effect(rig, ChildrenInPlace(rig), memory=rows * 24 * 3)(JOB, report("slow"), quiet)
    assert "v2" in state(rig).variants


def test_a_learner_that_does_not_come_to_a_snapshot_is_waited_for_and_tried_again(rig: Rig) -> None:
    with pytest.raises(RecoverableError, match=r"no snapshot after 0\.1 s"):
        effect(rig, ChildrenInPlace(rig, EndAt()))(JOB, report("slow"), quiet)


def test_a_learner_that_cannot_go_on_ends_the_job(rig: Rig) -> None:
    children = ChildrenInPlace(rig, EndAt())
    children.failed["job-1"] = "its learner ended with code 2"
    with pytest.raises(CannotContinue, match="cannot learn: its learner ended with code 2"):
        effect(rig, children)(JOB, report("slow"), quiet)
    assert children.withdrawn == ["job-1"]


def test_a_fifth_challenger_does_not_begin(rig: Rig) -> None:
    for number in range(4):
        challenger(rig, job=f"other-{number}").run_to_the_end()
    with pytest.raises(
        CannotContinue, match=r"v2, v3, v4, v5 challenge v1 already, 4 may(.|\n)*stream-ml stop"
    ):
        effect(rig, ChildrenInPlace(rig))(JOB, report("slow"), lambda progress, doing: None)
    assert list(state(rig).variants) == ["v1", "v2", "v3", "v4", "v5"]


def test_a_window_of_files_says_nothing_of_the_log() -> None:
    assert starts_of(replace(JOB, window=Window(files=("a",))), JOB.grid[1]) is None


def test_a_job_that_is_lost_meanwhile_withdraws_its_order(rig: Rig) -> None:
    def tell(progress: float, doing: str) -> None:
        assert doing == "its challenger, slow, begins"
        raise LeaseLost("another's")

    children = ChildrenInPlace(rig, EndAt())
    with pytest.raises(LeaseLost):
        effect(rig, children)(JOB, report("slow"), tell)
    assert children.withdrawn == ["job-1"]


def test_what_a_job_has_begun_that_is_abandoned_learns_no_more(rig: Rig) -> None:
    children = ChildrenInPlace(rig)
    made = effect(rig, children)
    made(JOB, report("slow"), quiet)
    assert children.withdrawn == []
    made.abandon(replace(JOB, job="another"), "cancelled")
    assert state(rig).learns("v2")
    for _ in range(2):
        made.abandon(JOB, "cancelled")
        assert not state(rig).learns("v2")
    assert children.withdrawn == ["another", "job-1", "job-1"]
    assert state(rig).learns("v1")


def test_a_challenger_that_serves_is_not_ended_with_its_job(rig: Rig) -> None:
    made = effect(rig, ChildrenInPlace(rig))
    made(JOB, report("slow"), quiet)
    say(rig, "serve", "v2")
    made.abandon(JOB, "cancelled")
    assert state(rig).learns("v2")
