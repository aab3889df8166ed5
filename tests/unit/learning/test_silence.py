"""Where events or labels stay away, an operator is told, once; and once more when they are back."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest

from stream_ml._native import Learner, Plan
from stream_ml.features import compile_model
from stream_ml.learning.silence import Silence
from stream_ml.runtime import metrics
from tests.unit.learning.rig import Rig

MODEL = """
name = "silent"
event_id = "id"
label = "label"
unlabelled = "{unlabelled}"

[features]
user = "user"
"""


class Watch:
    """A clock that stands where it is put."""

    def __init__(self) -> None:
        self.at = 100.0

    def monotonic(self) -> float:
        return self.at

    def now(self) -> float:
        return self.at


class Producer:
    """Events as the learner meets them, an hour after the other."""

    def __init__(self, unlabelled: str = "skip") -> None:
        plan = Plan(compile_model(MODEL.format(unlabelled=unlabelled)).plan_bytes)
        self.learner, self.clock = Learner(plan), Watch()
        self.silence = Silence("silent", 60.0, self.clock)
        self.ids = itertools.count()

    def send(self, count: int, labelled: bool = True) -> None:
        label = ', "label": 1' if labelled else ""
        events = [f'{{"id": "{next(self.ids)}", "user": "u"{label}}}'.encode() for _ in range(count)]
        self.silence.came(self.learner.learn([(0, events, [0] * count)]))

    def wait(self, seconds: float) -> None:
        self.clock.at += seconds
        self.silence.turn()

    def told(self) -> list[str]:
        gauge = metrics.LEARNER_SILENCE
        return [what for what in ("no_events", "no_labels") if gauge.labels("silent", what)._value.get()]


def test_no_events_at_all_are_told_once_and_their_return_too(caplog: pytest.LogCaptureFixture) -> None:
    producer = Producer()
    producer.send(100)
    producer.wait(59)
    assert producer.told() == []
    producer.wait(2)
    producer.wait(100)
    assert producer.told() == ["no_events"]
    producer.send(1)
    producer.wait(1)
    assert producer.told() == []
    said = [record.message for record in caplog.records]
    assert len(said) == 2
    assert said[0].startswith("no events come for 60 s: look at the producers")


@pytest.mark.parametrize("unlabelled", ["skip", "refuse"])
def test_events_without_labels_are_told(unlabelled: str) -> None:
    producer = Producer(unlabelled)
    producer.send(1_000)
    for _ in range(10):
        producer.wait(10)
        producer.send(1_000, labelled=False)
    producer.wait(1)
    assert producer.told() == ["no_labels"]
    producer.send(1)
    producer.wait(1)
    assert producer.told() == []


def test_events_that_come_again_have_labels_too() -> None:
    """As where a producer sends its last hour once more."""
    producer = Producer()
    labelled = b'{"id": "e", "user": "u", "label": 1}'
    for _ in range(10):
        producer.silence.came(producer.learner.learn([(0, [labelled] * 1_000, [0] * 1_000)]))
        producer.wait(10)
    assert producer.learner.metrics()["duplicates"] == 9_999
    assert producer.told() == []


def test_before_anything_came_nothing_is_missed() -> None:
    producer = Producer()
    producer.wait(10_000)
    assert producer.told() == []


def test_a_learner_tells_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[str | None] = []
    monkeypatch.setattr(
        "stream_ml.learning.writing.Silence.turn", lambda silence: told.append(silence._model)
    )
    rig = Rig(tmp_path)
    rig.send([b'{"id": "1", "label": 1, "user": "u", "page": "p", "price": 1}'])
    rig.run_to_the_end()
    assert set(told) == {"clicks"}
