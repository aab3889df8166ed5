"""What people wrote is shown as it is, in the tables of jobs and of the history."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console
from rich.table import Table

from stream_ml.cli import history, jobs
from stream_ml.cli.cells import cell
from stream_ml.retraining.history import Happening
from stream_ml.retraining.queue import Queue
from stream_ml.runtime.clock import ManualClock
from stream_ml.streams.memory import MemoryLog
from tests.unit.learning.rig import Rig
from tests.unit.learning.test_skipping import parties
from tests.unit.retraining.queues import ask, job

WRITTEN = ["see [ticket 17]", "[/x]", "[/]", "[red]", "a [link=http://x]b[/link]", "\\[x]", ":bomb:"]


def printed(table: Table) -> str:
    console = Console(file=io.StringIO(), width=200, force_terminal=False)
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


def queue_with(text: str) -> Queue:
    """A job by that text, and one that a retrainer of such a name has."""
    log = MemoryLog()
    ask(log, replace(job("x", model="clicks"), reason={"asked": text}), job("y", model="clicks"))
    queue = Queue(log, "a", ManualClock())
    queue.read()
    return queue
