"""The line of progress: on a terminal only, on standard error only, and gone at the end."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from stream_ml.cli import cli
from stream_ml.cli.progress import counted, progress
from tests.unit.cli.test_inspect import LINES, taken


@pytest.fixture
def on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm")


def test_what_is_counted_comes_through_unchanged_and_is_said_now_and_then() -> None:
    said: list[str] = []
    items = list(counted(iter(range(250)), said.append, lambda number: f"{number} of 250"))
    assert items == list(range(250))
    assert said == ["0 of 250", "100 of 250", "200 of 250"]


def test_a_hundredth_item_is_said_only_after_it_was_dealt_with() -> None:
    said: list[str] = []
    items = counted(range(100), said.append, str)
    for _ in range(100):
        next(items)
    assert said == ["0"]
    assert list(items) == []
    assert said == ["0", "100"]


@pytest.mark.usefixtures("on_a_terminal")
def test_a_terminal_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    with progress(quiet=False) as say:
        say("12 of 34 lines")
    out, err = capsys.readouterr()
    assert (out, "12 of 34 lines" in err) == ("", True)


@pytest.mark.usefixtures("on_a_terminal")
def test_a_script_is_told_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    with progress(quiet=True) as say:
        say("12 of 34 lines")
    assert capsys.readouterr() == ("", "")


def test_a_pipe_is_told_nothing(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("FORCE_COLOR", "TTY_COMPATIBLE", "TTY_INTERACTIVE"):
        monkeypatch.delenv(name, raising=False)
    with progress(quiet=False) as say:
        say("12 of 34 lines")
    assert capsys.readouterr() == ("", "")


@pytest.mark.usefixtures("on_a_terminal")
def test_inspect_shows_how_far_it_is_unless_it_speaks_to_a_script(tmp_path: Path) -> None:
    taken(tmp_path)
    (tmp_path / "events.jsonl").write_bytes(b"\n".join(LINES))
    arguments = ["inspect", str(tmp_path / "store"), "--events", str(tmp_path / "events.jsonl")]
    shown = CliRunner().invoke(cli, arguments)
    assert shown.exit_code == 0
    assert "100 events give names" in shown.stderr
    assert "give names" not in shown.stdout
    assert CliRunner().invoke(cli, [*arguments, "--json"]).stderr == ""
