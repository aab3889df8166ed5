"""What the topics of a model tell, on the log in memory; a learner wrote them."""

from __future__ import annotations

from pathlib import Path

import orjson
import pytest

from stream_ml.console.decided import Decided
from stream_ml.console.model import DRIFTS_KEPT, ModelTopics
from stream_ml.drift.alarms import Alarm, Stream
from stream_ml.learning.resuming import stop
from stream_ml.streams.memory import MemoryLog
from tests.clicks import EVALUATE_EVERY, events
from tests.evaluations import Stream as Drawn
from tests.evaluations import said
from tests.unit.learning.rig import Rig
from tests.unit.learning.test_skipping import parties

ALARM = Alarm("drift", "log_loss", "<b>City</b>", 9, 500, 450, 0.1, 7.5, 0.4, 0.5)


@pytest.fixture(scope="module")
def rig(tmp_path_factory: pytest.TempPathFactory) -> Rig:
    """A learner that has learned 300 events and was stopped."""
    rig = Rig(tmp_path_factory.mktemp("learned"))
    rig.send(events(300))
    rig.run_to_the_end()
    stop(parties(rig), "<script>alert(1)</script>")
    return rig


def test_a_model_that_is_not_there_yet_has_nothing_to_say() -> None:
    topics = ModelTopics(MemoryLog(), "clicks")
    topics.poll()
    assert topics.said() == {"curves": {}, "variants": [], "history": [], "drifts": []}
    topics.close()


def test_evaluations_become_a_curve(rig: Rig) -> None:
    topics = ModelTopics(rig.log, "clicks")
    topics.poll()
    curve = topics.said()["curves"]["v1"]
    assert curve["learned_to"] == list(range(EVALUATE_EVERY, 300 - 10, EVALUATE_EVERY))
    assert all(0 < loss < 2 for loss in curve["log_loss"])
    assert curve["at"] == sorted(curve["at"])
    topics.close()


def test_the_journal_becomes_variants_snapshots_and_a_history(rig: Rig) -> None:
    topics = ModelTopics(rig.log, "clicks")
    topics.poll()
    found = topics.said()
    [variant] = found["variants"]
    assert (variant["variant"], variant["serves"], variant["learns"]) == ("v1", True, False)
    assert variant["rows"] == "memory"
    [newest, *_] = variant["snapshots"]
    assert (newest["step"], newest["name"].startswith("clicks/v1/")) == (variant["step"], True)
    assert [each["what"] for each in found["history"]] == ["stops learning", "serves", "begins"]
    assert found["history"][0]["why"] == "<script>alert(1)</script>"
    assert found["history"][0]["at"] >= newest["at"] >= found["history"][-1]["at"]
    topics.close()


def test_a_journal_too_long_to_read_is_followed_from_its_newest_snapshot(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("stream_ml.console.decided.LINES_READ", 3)
    decided = Decided(rig.log, "clicks")
    decided.poll()
    [variant] = decided.variants()
    assert (variant["serves"], variant["learns"]) == (True, False)
    assert [each["what"] for each in decided.happened()] == ["stops learning"]
    decided.close()


def drifts(*values: tuple[bytes, bytes]) -> ModelTopics:
    log = MemoryLog()
    log.ensure_topic("m.drift", 1)
    with log.writer() as writer:
        for key, value in values:
            writer.send("m.drift", value, key=key, partition=0)
    topics = ModelTopics(log, "m")
    topics.poll()
    return topics


def test_a_drift_is_told_once_newest_first() -> None:
    stream = Stream("m", "v1")
    told = [(b"a", ALARM.record(stream)), (b"b", b'{"kind": "warning"}'), (b"a", ALARM.record(stream))]
    [warning, drift] = drifts(*told).drifts
    assert warning["kind"] == "warning"
    assert (drift["statistic"], drift["segment"], drift["variant"]) == ("log_loss", "<b>City</b>", "v1")
    assert (drift["before"], drift["after"], drift["since_learned"]) == (0.4, 0.5, 450)


def test_what_is_no_drift_is_passed_over_and_the_oldest_are_forgotten() -> None:
    many = [(b"%d" % number, orjson.dumps({"learned_to": number})) for number in range(DRIFTS_KEPT + 5)]
    found = drifts((b"x", b"{"), (b"y", b"[1]"), *many).drifts
    assert [each["learned_to"] for each in found] == list(range(DRIFTS_KEPT + 4, 4, -1))


def test_what_no_monitor_writes_hides_no_page() -> None:
    deep = b'{"kind": "drift", "segment": ' + b"[" * 600 + b"]" * 600 + b"}"
    topics = drifts((b"a", deep))
    assert (topics.drifts[0]["kind"], topics.drifts[0]["segment"]) == ("drift", None)
    orjson.dumps(topics.said())


def test_what_is_no_evaluation_is_passed_over() -> None:
    log = MemoryLog()
    log.ensure_topic("m.evaluations", 1)
    [closed] = Drawn(seed=3, every=20).evaluations(1)
    with log.writer() as writer:
        for key, value in ((None, b"{}"), (b"v1//0", b"nonsense"), (b"v1//0", orjson.dumps(said(closed)))):
            writer.send("m.evaluations", value, key=key, partition=0)
    topics = ModelTopics(log, "m")
    topics.poll()
    assert topics.said()["curves"]["v1"]["learned_to"] == [20]


def test_the_end_of_a_long_topic_is_what_is_read(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("stream_ml.console.model.EVALUATIONS_READ", 2)
    rig = Rig(tmp_path)
    rig.send(events(300))
    rig.run_to_the_end()
    topics = ModelTopics(rig.log, "clicks")
    topics.poll()
    assert topics.said()["curves"]["v1"]["learned_to"] == [200, 250]
