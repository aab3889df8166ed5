from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from types import SimpleNamespace
from unittest.mock import Mock

import pytest

from services.drift_monitor.app import DriftMonitor
from stream_ml.drift.monitor import Rules
from stream_ml.runtime.drift_settings import DriftMonitorSettings
from stream_ml.runtime.lifecycle import Stop


class Records:
    """What Faust hands an agent."""

    async def events(self) -> AsyncIterator[SimpleNamespace]:
        yield SimpleNamespace(key=b"v1//0", value=b"{}")


def test_whatever_goes_wrong_ends_the_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """Faust would begin the agent again, and its log would be all that knows."""
    settings = DriftMonitorSettings(model="m", kafka={"bootstrap.servers": "127.0.0.1:1"})
    monitor = DriftMonitor(settings, Rules(), Mock(), Mock(), None)

    def broken(_key: bytes, _value: bytes) -> None:
        raise ZeroDivisionError

    async def nothing() -> None: ...

    monkeypatch.setattr(monitor._following, "take", broken)
    monkeypatch.setattr(monitor._app, "start", nothing)
    monkeypatch.setattr(monitor._app, "stop", nothing)
    with pytest.raises(ZeroDivisionError):
        asyncio.run(monitor._watch(Records()))
    with pytest.raises(ZeroDivisionError):
        monitor.run(Stop())
