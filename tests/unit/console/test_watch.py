"""What is gathered: nobody's trouble hides what the others say."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from stream_ml.console import watch as module
from stream_ml.console.scrape import Scrape
from stream_ml.console.watch import Watch, Watched
from stream_ml.runtime.clock import ManualClock
from stream_ml.streams.log import LogUnavailable
from stream_ml.streams.memory import MemoryLog
from tests.clicks import events
from tests.unit.console.looks import seen
from tests.unit.learning.rig import Rig


class Away(MemoryLog):
    """A log whose brokers go away."""

    away = False

    def topic(self, name: str) -> Any:
        if self.away:
            raise LogUnavailable("no broker answered\n  hint: wait")
        return super().topic(name)


def services(monkeypatch: pytest.MonkeyPatch, *looks: dict[str, Scrape]) -> tuple[str, ...]:
    """Let every further look see what the next of *looks* has."""
    rest = [dict(each) for each in looks]

    def scrape(address: str, _now: Callable[[], float]) -> Scrape:
        found = rest[0].pop(address)
        if not rest[0]:
            del rest[0]
        return found

    monkeypatch.setattr(module, "scrape", scrape)
    return tuple(looks[0])


def test_rates_follow_from_two_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    looks = [{"l": seen("l", at, "learner", learned_total=50 * at, writer=1)} for at in (10, 12)]
    watch = Watch(Watched(("m",), services(monkeypatch, *looks)), MemoryLog(), clock := ManualClock(10))
    watch.look()
    clock.advance(2)
    watch.look()
    found = watch.said("m")
    assert found["live"]["at"] == [10, 12]
    assert found["live"]["learned_per_second"] == [None, 50]
    assert found["figures"]["learned"] == 600
    assert found["services"] == [{"address": "l", "component": "learner", "version": "1.0", "problem": None}]
    assert found["now"] == 12


def test_a_service_that_is_away_is_told_and_the_others_are_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    look = {"l": seen("l", 1, "learner", writer=1, learned_total=3), "p": Scrape("p", 1, problem="is away")}
    watch = Watch(Watched(("m",), services(monkeypatch, look)), MemoryLog(), ManualClock())
    watch.look()
    found = watch.said("m")
    assert [each["what"] for each in found["problems"]] == ["p is away."]
    assert found["figures"]["learned"] == 3


def test_brokers_that_are_away_are_told_until_they_are_back() -> None:
    log = Away()
    watch = Watch(Watched(("m",), ()), log, ManualClock())
    log.away = True
    watch.follow()
    assert [each["what"] for each in watch.said("m")["problems"]] == [
        "Not all topics can be read: no broker answered"
    ]
    log.away = False
    watch.follow()
    assert watch.said("m")["problems"] == []


def learned(rig: Rig, first: int) -> None:
    rig.send(events(100, first=first))
    rig.run_to_the_end()


def test_a_topic_that_was_trimmed_is_followed_from_where_it_begins(tmp_path: Path) -> None:
    rig = Rig(tmp_path)
    watch = Watch(Watched(("clicks",), ()), rig.log, ManualClock())
    learned(rig, 0)
    watch.follow()
    learned(rig, 100)
    learned(rig, 200)
    # The evaluations that were next are gone, and those after them are there.
    rig.log.delete_records("clicks.evaluations", 0, rig.log.bounds("clicks.evaluations", 0).next - 1)
    watch.follow()
    watch.follow()
    found = watch.said("clicks")
    assert found["problems"] == []
    assert found["curves"]["v1"]["learned_to"] == [250]


def test_a_journal_that_cannot_be_read_hides_nothing_else(tmp_path: Path) -> None:
    rig = Rig(tmp_path)
    watch = Watch(Watched(("clicks",), ()), rig.log, ManualClock())
    learned(rig, 0)
    rig.log.delete_records("clicks.journal", 0, rig.log.bounds("clicks.journal", 0).next - 1)
    watch.follow()
    found = watch.said("clicks")
    assert "clicks.journal: its first" in found["problems"][0]["what"]
    assert found["curves"]["v1"]["learned_to"] == [50]
    assert found["variants"] == []


def test_a_thread_that_fails_says_so_and_goes_on() -> None:
    watch = Watch(Watched(("m",), ()), MemoryLog(), ManualClock())

    def fail() -> None:
        raise RuntimeError("what nobody thought of")

    watch.attempt("look", fail)
    (problem,) = [each for each in watch.said("m")["problems"] if "console itself" in each["what"]]
    assert problem["what"].endswith("RuntimeError: what nobody thought of")
    watch.attempt("look", watch.look)
    assert not [each for each in watch.said("m")["problems"] if "console itself" in each["what"]]
