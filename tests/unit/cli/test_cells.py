"""What people wrote is shown as it is, in the tables of jobs and of the history."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner
from rich.console import Console
from rich.table import Table

from stream_ml.cli import cli, history, jobs
from stream_ml.cli.cells import cell
from stream_ml.errors import ConfigError
from stream_ml.retraining.history import Happening
from stream_ml.retraining.queue import Queue
from stream_ml.runtime.clock import ManualClock
from stream_ml.streams.memory import MemoryLog
from tests.unit.learning.rig import Rig
from tests.unit.learning.test_skipping import parties
from tests.unit.retraining.queues import ask, job

WRITTEN = ["see [ticket 17]", "[/x]", "[/]", "[red]", "a [link=http://x]b[/link]", "\\[x]", ":bomb:"]


def printed(table: Table, width: int = 200) -> str:
    console = Console(file=io.StringIO(), width=width, force_terminal=False)
    console.print(table)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


@pytest.mark.parametrize("text", WRITTEN)
def test_what_looks_like_markup_is_shown(text: str, tmp_path: Path) -> None:
    assert text in printed(jobs._table(parties(Rig(tmp_path)), queue_with(text)))
    assert text in printed(history._table("clicks", [Happening(0.0, "v1", "serves", "me", text)]))


@pytest.mark.parametrize(
    ("text", "shown"),
    [("\x1b[2Jgone", "\\x1b[2Jgone"), ("two\nlines\r", "two\\nlines\\r"), ("\u202eturned", "\\u202eturned")],
)
def test_what_would_steer_the_terminal_is_written_out(text: str, shown: str, tmp_path: Path) -> None:
    found = printed(jobs._table(parties(Rig(tmp_path)), queue_with(text)))
    assert shown in found
    assert text not in found
    assert shown in printed(history._table("clicks", [Happening(0.0, "v1", "serves", "me", text)]))


def test_on_a_narrow_terminal_nothing_is_cut_off(tmp_path: Path) -> None:
    name = "71b0fe32aad8b5e714c100c0f7df47a4"
    found = printed(jobs._table(parties(Rig(tmp_path)), queue_with("a reason of five words", name)), width=80)
    assert name in found
    assert "…" not in found
    told = history._table("clicks", [Happening(0.0, "v1", "serves", "vm-4252-663cf3a9", "because" * 20)])
    found = printed(told, width=80)
    assert "1970-01-01T00:00:00.000+00:00" in found
    assert "…" not in found


def test_other_letters_stay() -> None:
    assert cell("größer, 大きい, é").plain == "größer, 大きい, é"


def test_a_job_that_waits_for_events_says_for_how_many(tmp_path: Path) -> None:
    """That of the helper wants events 0 to 100."""
    rig = Rig(tmp_path)
    assert "100 events have yet to come" in printed(jobs._table(parties(rig), queue_with("x")))
    rig.send([b"{}"] * 99)
    assert "1 events have yet to come" in printed(jobs._table(parties(rig), queue_with("x")))
    rig.send([b"{}"])
    assert "yet to come" not in printed(jobs._table(parties(rig), queue_with("x")))


def test_scripts_get_an_object_a_job(tmp_path: Path) -> None:
    queue, of = queue_with("x"), parties(Rig(tmp_path))
    lease = queue.take()
    assert lease is not None
    lease.alive(0.25, "trains")
    at_work, waits = (jobs._described(*each, of) for each in jobs._of(of, queue))
    assert (at_work["state"], at_work["by"], at_work["progress"]) == ("at work", "a", 0.25)
    assert (waits["state"], waits["progress"], waits["awaits"]) == (
        "waits",
        None,
        "100 events have yet to come",
    )
    lease.done({"winner": "warm"})
    done, _ = (jobs._described(*each, of) for each in jobs._of(of, queue))
    assert (done["state"], done["outcome"], done["reason"]) == ("done", {"winner": "warm"}, {"asked": "x"})


def test_a_job_is_asked_for_or_cancelled(tmp_path: Path) -> None:
    (tmp_path / "learner.toml").write_text("")
    command = ["jobs", str(tmp_path / "learner.toml"), "--ask", "3", "--cancel", "x"]
    with pytest.raises(ConfigError, match="--ask and --cancel: one at a time"):
        CliRunner().invoke(cli, command, catch_exceptions=False)


def queue_with(text: str, name: str = "x") -> Queue:
    """A job by that text, and one that a retrainer of such a name has."""
    log = MemoryLog()
    ask(log, replace(job(name, model="clicks"), reason={"asked": text}), job("y", model="clicks"))
    queue = Queue(log, "a", ManualClock())
    queue.read()
    return queue
