from __future__ import annotations

from services.drift_monitor.monitors import Monitors
from stream_ml.drift.alarms import Stream as Whose
from stream_ml.drift.monitor import Rules
from tests.evaluations import Stream

CLOSED = [*Stream(4, segments=1).evaluations(4)]


class Kept:
    """The monitors of a model, the variants that are over, and where the topic ends."""

    def __init__(self, states: dict[str, bytes] | None = None) -> None:
        self.over: set[str] = set()
        self.end, self.states = 0, {} if states is None else states
        self.monitors = Monitors(Rules(), self.states, self.over.intersection, lambda: self.end)

    def look(self, variant: str, partition: int | None, evaluations: int, *, keep: bool = True) -> None:
        whose = Whose("m", variant, partition)
        monitor = self.monitors.of(whose)
        assert monitor is not None
        for each in CLOSED[monitor.index :][:evaluations]:
            monitor.observe(each)
        if keep:
            self.monitors.keep(whose)


def test_evaluations_of_a_variant_are_those_of_all_its_source_partitions() -> None:
    first = Kept()
    first.look("v1", 0, 3)
    first.look("v1", 1, 2)
    first.look("v2", None, 1)
    assert first.monitors.evaluations() == {"v1": 5, "v2": 1}
    # The next process counts those that nobody brought it yet, too.
    second = Kept(first.states)
    second.look("v1", 1, 1)
    assert second.monitors.evaluations() == {"v1": 6, "v2": 1}


def test_the_evaluation_that_tells_a_drift_is_counted_before_its_state_is_kept() -> None:
    kept = Kept()
    kept.look("v1", 0, 2)
    kept.look("v1", 0, 1, keep=False)
    assert kept.monitors.evaluations() == {"v1": 3}


def test_whoever_asks_meanwhile_nobody_stays_longer() -> None:
    kept = Kept()
    kept.look("v1", 0, 1)
    kept.over |= {"v1", "v0"}
    for kept.end in (10, 20, 30):
        assert kept.monitors.of(Whose("m", "v0")) is None
    kept.monitors.forget(9)
    assert [*kept.states] == ["v1/0"]
    kept.monitors.forget(10)
    assert [*kept.states] == []


def test_who_learns_again_before_its_time_comes_stays() -> None:
    kept = Kept()
    kept.look("v1", 0, 1)
    kept.over.add("v1")
    kept.end = 10
    kept.look("v2", 0, 1)
    kept.over.clear()
    kept.look("v3", 0, 1)
    kept.monitors.forget(10)
    assert [*kept.states] == ["v1/0", "v2/0", "v3/0"]
