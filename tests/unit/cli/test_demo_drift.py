"""What `stream-ml demo-drift` says and how it ends; the loop itself is in the system test."""

from __future__ import annotations

from pathlib import Path

import orjson
import pytest

from stream_ml.cli import main
from stream_ml.demo.drifting import DriftDemo, DriftReport, StageMissing

WHOLE = DriftReport(
    changed_at=24_000,
    alarm_after_events=1_500,
    statistic="loss",
    job="j1",
    seconds_retraining=4.9,
    winner="alpha=0.2",
    difference=0.034,
    interval=[0.01, 0.06],
    promoted="v2",
    kept=True,
    loss_calm=0.513,
    loss_before=0.587,
    loss_after=0.522,
    report="/r/j1",
    events=76_100,
)


def run(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, report: DriftReport, *options: str) -> int:
    def replaced(self: DriftDemo) -> DriftReport:
        self._say("what sells changes")
        self.report = report
        if report.missing is not None:
            raise StageMissing(report.missing)
        return report

    monkeypatch.setattr(DriftDemo, "run", replaced)
    monkeypatch.setattr("sys.argv", ["stream-ml", "demo-drift", "--reports", str(tmp_path), *options])
    with pytest.raises(SystemExit) as ended:
        main()
    return int(ended.value.code or 0)


def test_a_person_reads_what_happened_and_the_figures(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, tmp_path, WHOLE) == 0
    told = capsys.readouterr().out
    for part in ("what sells changes", "24,000", "1,500 events later: loss", "alpha=0.2", "kept", "0.5220"):
        assert part in told


def test_a_promotion_that_was_rolled_back_is_not_told_as_kept(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    WHOLE.kept = False
    try:
        assert run(monkeypatch, tmp_path, WHOLE) == 0
    finally:
        WHOLE.kept = True
    assert "rolled back" in capsys.readouterr().out


def test_for_scripts_there_is_one_object_and_lines_go_elsewhere(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, tmp_path, WHOLE, "--json") == 0
    told = capsys.readouterr()
    assert orjson.loads(told.out)["winner"] == "alpha=0.2"
    assert "what sells changes" in told.err


def test_a_stage_that_did_not_come_ends_with_1_and_what_came_before(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    missed = DriftReport(changed_at=24_000, missing="this did not come: the drift monitor looks")
    assert run(monkeypatch, tmp_path, missed, "--json") == 1
    told = capsys.readouterr()
    said = orjson.loads(told.out)
    assert (said["changed_at"], said["alarm_after_events"], said["promoted"]) == (24_000, None, None)
    assert "the drift monitor looks" in told.err
