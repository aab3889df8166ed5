"""The history tells what counted: when, by whom, why."""

from __future__ import annotations

from pathlib import Path

from stream_ml.learning.resuming import learn_backlog, skip_to, stop
from stream_ml.retraining.history import history
from stream_ml.retraining.promoting import end_watch, promote
from stream_ml.weights.journal import JournalWriter
from stream_ml.weights.lines import Decision
from tests.clicks import events
from tests.unit.learning.rig import Rig
from tests.unit.learning.test_challenging import challenger
from tests.unit.learning.test_skipping import parties
from tests.unit.sharing.rig import Rig as SharedRig


def test_it_tells_what_counted_in_its_order(tmp_path: Path) -> None:
    rig = Rig(tmp_path)
    rig.send(events(100))
    rig.run_to_the_end()
    challenger(rig).run_to_the_end()
    promote(parties(rig), "v2", "saves 2 %", force=True)
    void = Decision(kind="serve", variant="v1", who="late", why="too late", replaces=1)
    writer = JournalWriter(rig.log, "clicks.journal")
    writer.append(void)
    end_watch(parties(rig), "better")
    rig.run_to_the_end()
    stop(parties(rig), "flood")
    rig.send(events(50, first=100))
    skip_to(parties(rig), {0: 120}, "bad")
    stop(parties(rig), "again")
    learn_backlog(parties(rig), "good")
    happened = history(rig.log, "clicks.journal", 0)
    assert [(each.variant, each.what) for each in happened] == [
        ("v1", "begins"),
        ("v1", "serves"),
        ("v2", "begins"),
        ("v2", "serves"),
        ("v1", "stops learning"),
        ("v2", "stops learning"),
        ("v2", "skips to 120 of partition 0, 20 lost"),
        ("v2", "learns again"),
        ("v2", "stops learning"),
        ("v2", "learns again"),
    ]
    assert (happened[3].who, happened[3].why) == ("operator", "saves 2 %")
    assert [each.at for each in happened] == sorted(each.at for each in happened)
    assert happened[0].described()["at"].endswith("+00:00")


def test_it_tells_where_rows_that_are_shared_are(tmp_path: Path) -> None:
    rig = SharedRig(tmp_path)
    life = rig.life()
    life.wait_until(lambda: bool(life.sharing.loop.owned))
    life.end()
    happened = history(rig.log, "clicks.journal", 0)
    assert [each.what for each in happened] == ["begins", "serves", "has rows in Redis"]
