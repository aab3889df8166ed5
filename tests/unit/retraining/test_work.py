"""The work of a job: its window replayed, warm where a snapshot suits, judged on its last part."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from stream_ml.errors import CannotContinue, ConfigError, RecoverableError
from stream_ml.retraining import gate
from stream_ml.retraining.asking import DEFAULT_GRID
from stream_ml.retraining.jobs import Job, Setting, Window
from stream_ml.retraining.training import Part
from stream_ml.retraining.work import Retraining, grid_of
from stream_ml.streams.log import Bounds, LogUnavailable
from tests.unit.learning.rig import Rig, new_learner
from tests.unit.learning.test_challenging import state
from tests.unit.learning.test_skipping import parties
from tests.unit.retraining.test_watching import MODEL, stream

# Steps this small take for ever.
SLOW = MODEL.replace("alpha = 0.1", "alpha = 0.0005")
JOB = Job(
    job="job-1",
    model="clicks",
    reason={"asked": "test"},
    base=None,
    window=Window(events={0: (0, 12_000)}),
    grid=(Setting(name="fast", alpha=0.1), Setting(name="same")),
    asked_by="test",
)


def quiet(progress: float, doing: str) -> None: ...


@pytest.fixture
def rig(tmp_path: Path) -> Rig:
    rig = Rig(tmp_path, model_text=SLOW, overrides={"batch_max_records": 500, "snapshots_kept_seconds": 1e6})
    rig.send(stream(4_000))
    rig.run_to_the_end()
    rig.send(stream(8_000, first=4_000))
    rig.run_to_the_end()
    return rig


def work(rig: Rig) -> Retraining:
    return Retraining(parties(rig), new_learner, gate.Rule(min_events=2_000), 0.5, 2, "cpu", 5_000)


def test_who_is_better_is_proved_and_the_report_is_the_same_each_time(rig: Rig, tmp_path: Path) -> None:
    first, again = (work(rig)(JOB, tmp_path, quiet) for _ in range(2))
    assert (first.verdict.says, first.verdict.challenger, first.champion) == ("promote", "fast", "v1")
    assert first.described() == again.described()
    assert first.settings["fast"] == {"alpha": 0.1, "warm": True}


def test_the_report_of_a_job_has_segments_and_a_calibration_curve(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    text = SLOW.replace("[features]", 'segment = "user"\n[features]')
    rig = Rig(tmp_path, model_text=text, overrides={"batch_max_records": 500})
    rig.send(stream(12_000))
    rig.run_to_the_end()
    found = work(rig)(JOB, tmp_path, quiet)
    assert sorted(found.blocks.slices) == ["u0", "u1", "u2"]
    assert sum(each["events"] for each in found.described()["slices"]) == found.verdict.events
    assert all(each.worst_slice is not None for each in found.verdict.comparisons)
    assert sorted(found.histograms) == ["fast", "same", "v1"]
    found.write(tmp_path / "report")
    pictures = sorted(path.name for path in (tmp_path / "report").glob("*.png"))
    assert pictures == ["calibration.png", "loss.png", "saved.png", "slices.png"]


def test_it_begins_warm_at_the_newest_snapshot_before_the_window(rig: Rig, tmp_path: Path) -> None:
    assert "cold" not in work(rig)(JOB, tmp_path, quiet).notes[0], "step 0 is there"
    late = replace(JOB, window=Window(events={0: (9_000, 12_000)}))
    found = work(rig)(late, tmp_path, quiet)
    newest = max(s.events[0] for s in state(rig).variants["v1"].snapshots if s.events.get(0, 0) <= 9_000)
    assert f"of {12_000 - newest:,} events" in found.notes[0]


def test_without_a_snapshot_that_verifies_all_begin_cold(rig: Rig, tmp_path: Path) -> None:
    for name in rig.store.names("clicks", "v1"):
        if name.step < max(each.step for each in rig.store.names("clicks", "v1")):
            (rig.folder / "snapshots" / str(name)).unlink()
    assert "cold" in work(rig)(JOB, tmp_path, quiet).notes[0]


def test_a_base_that_is_gone_ends_the_job(rig: Rig, tmp_path: Path) -> None:
    with pytest.raises(CannotContinue, match="the base of the job, clicks/v1/nothing, is not there"):
        work(rig)(replace(JOB, base="clicks/v1/nothing"), tmp_path, quiet)


def test_a_base_from_after_the_window_ends_the_job(rig: Rig, tmp_path: Path) -> None:
    newest = state(rig).variants["v1"].snapshots[-1].name
    with pytest.raises(
        CannotContinue, match=f"{newest}, has learned up to 12000 of partition 0, the job's win"
    ):
        work(rig)(replace(JOB, base=newest, window=Window(events={0: (0, 2_000)})), tmp_path, quiet)


def test_a_job_is_ready_once_all_its_events_have_come(rig: Rig, tmp_path: Path) -> None:
    later = replace(JOB, window=Window(events={0: (0, 14_000)}))
    assert not work(rig).is_ready(later)
    with pytest.raises(RecoverableError, match="2,000 events of the job's window have yet to come"):
        work(rig)(later, tmp_path, quiet)
    rig.send(stream(2_000, first=12_000))
    assert work(rig).is_ready(later)
    assert "of 14,000 events" in work(rig)(later, tmp_path, quiet).notes[0]


@pytest.mark.parametrize(
    ("window", "told"),
    [
        (
            {0: (0, 17_001)},
            "the job's window ends at 17001 of .*, which ends at 12000: more than 5,000 events",
        ),
        (
            {0: (12_001, 12_002)},
            r"ends at 12000, before the job's window, \[12001, 12002\), begins: the topic",
        ),
        ({7: (0, 100)}, r"there is no events\[7\]"),
    ],
)
def test_a_job_whose_events_will_never_come_is_taken_and_fails(
    rig: Rig, tmp_path: Path, window: dict[int, tuple[int, int]], told: str
) -> None:
    """Passed over, it would lie there for ever, and nobody would hear why."""
    never = replace(JOB, window=Window(events=window))
    assert work(rig).is_ready(never)
    with pytest.raises((CannotContinue, ConfigError), match=told):
        work(rig)(never, tmp_path, quiet)


def test_as_many_events_as_are_awaited_at_most_are_waited_for(rig: Rig) -> None:
    assert not work(rig).is_ready(replace(JOB, window=Window(events={0: (0, 17_000)})))


def test_a_job_whose_broker_is_away_is_passed_over(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    def away(topic: str, partition: int) -> Bounds:
        raise LogUnavailable("no broker")

    monkeypatch.setattr(rig.log, "bounds", away)
    assert not work(rig).is_ready(JOB)


def test_files_are_there_or_not_whatever_the_log_holds(rig: Rig) -> None:
    assert work(rig).is_ready(replace(JOB, window=Window(files=("events.jsonl",))))


def test_events_that_are_gone_end_the_job(rig: Rig, tmp_path: Path) -> None:
    rig.log.delete_records("events", 0, 5_000)
    with pytest.raises(CannotContinue, match="events of the job's window are gone"):
        work(rig)(JOB, tmp_path, quiet)


def test_before_anything_serves_there_is_nothing_to_challenge(tmp_path: Path) -> None:
    rig = Rig(tmp_path, model_text=SLOW)
    parties(rig)
    rig.send(stream(12_000))
    with pytest.raises(CannotContinue, match="no variant of clicks serves"):
        work(rig)(JOB, tmp_path, quiet)


def test_where_rows_are_shared_the_default_grid_has_no_decay(rig: Rig) -> None:
    job, part = replace(JOB, grid=DEFAULT_GRID), Part(2_000, 1_000)
    assert any(each.decay for each in grid_of(job, rig.model, part, shared=False))
    assert not any(each.decay for each in grid_of(job, rig.model, part, shared=True))
    assert grid_of(JOB, rig.model, part, shared=True) == JOB.grid
