from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from threading import Event, Timer, current_thread
from types import SimpleNamespace
from unittest.mock import Mock

import pytest

from services.drift_monitor.app import DriftMonitor
from stream_ml.drift.alarms import Alarm, Stream
from stream_ml.drift.monitor import Rules
from stream_ml.errors import RecoverableError
from stream_ml.runtime.drift_settings import DriftMonitorSettings
from stream_ml.runtime.lifecycle import Stop
from stream_ml.streams.log import Bounds, Fetch, LogTruncated

DRIFT = Alarm("drift", "loss", None, 41, 42_000, 40_000, 0.1, 9.0, 0.3, 0.4)


class Records:
    """What Faust hands an agent."""

    async def events(self) -> AsyncIterator[SimpleNamespace]:
        for place in range(2):
            yield SimpleNamespace(key=b"v1//0", value=b"{}", message=SimpleNamespace(offset=place))


class Topic:
    """A topic's reader whose polls are scripted: records, nothing, or what it raises."""

    def __init__(self, *polls: Fetch | LogTruncated | None) -> None:
        self.polls, self.sought, self.closed = [*polls], -1, False

    def poll(self, _records: int, _seconds: float) -> list[Fetch]:
        poll = self.polls.pop(0) if self.polls else None
        if isinstance(poll, LogTruncated):
            raise poll
        return [poll] if poll else []

    def seek(self, _partition: int, offset: int) -> None:
        self.sought = offset

    def close(self) -> None:
        self.closed = True


def fetch(first: int, *values: bytes) -> Fetch:
    places = range(first, first + len(values))
    keys: list[bytes | None] = [b"v1//%d" % each for each in places]
    return Fetch(0, first, places.stop, places, keys, [*values], [0] * len(values))


def monitor_of(topic: Topic, bounds: Bounds) -> DriftMonitor:
    settings = DriftMonitorSettings(model="m", kafka={"bootstrap.servers": "h:1"}, broker_timeout_seconds=1)
    log = Mock()
    log.bounds.return_value, log.reader.return_value = bounds, topic
    return DriftMonitor(settings, Rules(), log, Mock(), None)


def test_the_topic_is_read_again_to_its_end_though_it_is_trimmed_meanwhile() -> None:
    gone = LogTruncated("m.evaluations", 0, 1, 3, 5)
    topic = Topic(fetch(0, b"a"), gone, None, fetch(3, b"d", b"e"), fetch(5, b"later"))
    assert [*monitor_of(topic, Bounds(0, 5))._again()] == [
        (b"v1//0", b"a"),
        (b"v1//3", b"d"),
        (b"v1//4", b"e"),
    ]
    assert (topic.sought, topic.closed) == (3, True)


def test_what_does_not_arrive_is_not_taken_for_lost() -> None:
    topic = Topic(fetch(0, b"a"))
    with pytest.raises(RecoverableError, match="from 1 on do not arrive"):
        [*monitor_of(topic, Bounds(0, 5))._again()]
    assert topic.closed


def test_whatever_goes_wrong_ends_the_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """Faust would begin the agent again, and its log would be all that knows."""
    settings = DriftMonitorSettings(model="m", kafka={"bootstrap.servers": "127.0.0.1:1"})
    monitor = DriftMonitor(settings, Rules(), Mock(), Mock(), None)

    def broken(_key: bytes, _value: bytes, _place: int) -> None:
        raise ZeroDivisionError

    async def nothing() -> None: ...

    monkeypatch.setattr(monitor._following, "take", broken)
    monkeypatch.setattr(monitor._app, "start", nothing)
    monkeypatch.setattr(monitor._app, "stop", nothing)
    with pytest.raises(ZeroDivisionError):
        asyncio.run(monitor._watch(Records()))
    with pytest.raises(ZeroDivisionError):
        monitor.run(Stop())


def test_what_takes_long_leaves_fausts_loop_to_its_heartbeats(monkeypatch: pytest.MonkeyPatch) -> None:
    monitor = monitor_of(Topic(), Bounds(0, 0))
    beaten, order = Event(), []

    def slow(_key: bytes, _value: bytes, place: int) -> None:
        assert beaten.wait(5), "the loop stands still"
        order.append(f"taken {place}")

    async def heart() -> None:
        beaten.set()

    async def both() -> None:
        await asyncio.gather(monitor._watch(Records()), heart())

    monkeypatch.setattr(monitor._following, "take", slow)
    monkeypatch.setattr(monitor._states, "hand_over", lambda: order.append(current_thread().name))
    asyncio.run(both())
    loop = current_thread().name
    assert order == ["taken 0", loop, "taken 1", loop], "states are Faust's, on its loop, once all is told"


def test_what_is_being_taken_in_comes_to_its_end_before_the_writer_is_closed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monitor, done, go_on = monitor_of(Topic(), Bounds(0, 0)), Event(), Event()

    def working() -> None:
        assert go_on.wait(5)
        done.set()

    async def nothing() -> None: ...

    monkeypatch.setattr(monitor._app, "start", nothing)
    monkeypatch.setattr(monitor._app, "stop", nothing)
    monitor._worker.submit(working)
    Timer(0.1, go_on.set).start()
    stop = Stop()
    stop.request()
    monitor.run(stop)
    assert done.is_set()


def test_alarms_are_acknowledged_before_a_retraining_is_asked_for() -> None:
    monitor = monitor_of(Topic(), Bounds(0, 0))
    calls = Mock()
    monitor._writer, monitor._asking = calls.writer, calls.asking
    whose = Stream("m", "v1")
    monitor._tell(whose, [DRIFT, replace(DRIFT, kind="warning")])
    assert [call[0] for call in calls.mock_calls] == [
        "writer.send",
        "writer.send",
        "writer.flush",
        "asking.drifted",
    ]
    calls.asking.drifted.assert_called_once_with(whose, DRIFT, {})


def test_no_retraining_is_asked_for_where_none_is_wanted() -> None:
    monitor = monitor_of(Topic(), Bounds(0, 0))
    monitor._asking = asking = Mock()
    monitor._settings = monitor._settings.model_copy(update={"retrain_events": 0})
    monitor._tell(Stream("m", "v1"), [DRIFT])
    assert not asking.drifted.called
    assert monitor._writer.send.called  # type: ignore[attr-defined]
