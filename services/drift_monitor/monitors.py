"""The monitors of a model: begun, kept, gone on with and forgotten."""

from __future__ import annotations

import logging
import zlib
from collections.abc import Callable, Collection, MutableMapping
from dataclasses import dataclass, field
from typing import Any

import orjson

from stream_ml.drift.alarms import Stream
from stream_ml.drift.monitor import Monitor, Rules

log = logging.getLogger("drift_monitor")


@dataclass
class Monitors:
    """
    One monitor a stream (a variant, and a source partition of it), and their states.

    Those of variants that are over are forgotten, so there are no more than the journal knows variants. Not
    at once: a monitor that was away first looks at what came meanwhile, as one that was not away did.

    Attributes:
        states: kept by whoever runs this; what is put there may be lost with what came after it.
        over: returns those of some variants that have learned their last.
        end: returns where the topic of evaluations ends now.
    """

    rules: Rules
    states: MutableMapping[str, bytes]
    over: Callable[[Collection[str]], Collection[str]]
    end: Callable[[], int]
    _running: dict[str, Monitor] = field(default_factory=dict)
    _leaving: dict[str, int] = field(default_factory=dict)

    def of(self, stream: Stream) -> Monitor | None:
        """Return the monitor of *stream*; None where it would be the first of a variant that is over."""
        if stream.key not in self._running:
            kept = self.states.get(stream.key)
            if kept is None and self._is_over(stream.variant):
                return None
            self._running[stream.key] = (
                Monitor(self.rules) if kept is None else Monitor.restored(self.rules, _unpacked(kept))
            )
        return self._running[stream.key]

    def keep(self, stream: Stream) -> None:
        """Keep the state that the monitor of *stream* has now."""
        self.states[stream.key] = zlib.compress(orjson.dumps(self._running[stream.key].state()), 1)

    def evaluations(self) -> dict[str, int]:
        """Return how many evaluations each variant has had by now, of all its source partitions together."""
        counts: dict[str, int] = {}
        for key in self._streams():
            counts[_variant(key)] = counts.get(_variant(key), 0) + self._index(key)
        return counts

    def forget(self, place: int) -> None:
        """Forget whose evaluations all lie before *place* in their topic."""
        for variant in [variant for variant, end in self._leaving.items() if end <= place]:
            for key in [key for key in self._streams() if _variant(key) == variant]:
                self._running.pop(key, None)
                self.states.pop(key, None)
            del self._leaving[variant]
            log.info("the monitors of a variant that is over are forgotten", extra={"variant": variant})

    def _is_over(self, variant: str) -> bool:
        """Tell it of a variant that begins, and see whose time to leave has come."""
        known = {_variant(key) for key in self._streams()}
        over = {*self.over({variant, *known})}
        if leaving := over & known:
            end = self.end()
            self._leaving = {each: self._leaving.get(each, end) for each in leaving}
        else:
            self._leaving = {}
        return variant in over

    def _streams(self) -> list[str]:
        return sorted({*self.states, *self._running})

    def _index(self, key: str) -> int:
        running = self._running.get(key)
        return int(_unpacked(self.states[key])["index"]) if running is None else running.index


def _unpacked(kept: bytes) -> dict[str, Any]:
    state: dict[str, Any] = orjson.loads(zlib.decompress(kept))
    return state


def _variant(key: str) -> str:
    return key.partition("/")[0]
