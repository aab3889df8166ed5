"""What is done with one evaluation, whatever brought it: nothing twice, nothing left out."""

from __future__ import annotations

import logging
import zlib
from collections.abc import Callable, Iterable, MutableMapping
from dataclasses import dataclass, field

import orjson

from stream_ml.drift.alarms import Alarm, Stream
from stream_ml.drift.evaluation import Evaluation, read
from stream_ml.drift.monitor import Monitor, Rules
from stream_ml.errors import InvalidRecord
from stream_ml.runtime import metrics

log = logging.getLogger("drift_monitor")


@dataclass
class Following:
    """
    The monitors of a model, one a variant (and source partition), and their states.

    In this order, so that a process killed anywhere repeats at most what has the same key: evaluations that
    were left out are read again · the alarms are acknowledged · the state is kept.

    Attributes:
        states: kept by whoever runs this; what is put there may be lost with what came after it.
        tell: sends alarms, and returns once they are acknowledged.
        again: reads evaluations of a stream again, from the first index up to the second.
    """

    model: str
    rules: Rules
    states: MutableMapping[str, bytes]
    tell: Callable[[Stream, list[Alarm]], None]
    again: Callable[[Stream, int, int], Iterable[Evaluation]]
    _monitors: dict[str, Monitor] = field(default_factory=dict)

    def take(self, key: bytes | None, value: bytes | None) -> None:
        """Take in a record of the topic of evaluations."""
        try:
            stream, evaluation = stream_of(self.model, key), read(value or b"")
        except InvalidRecord as error:
            metrics.DRIFT_REFUSED.labels(self.model).inc()
            log.warning("not an evaluation", extra={"detail": str(error)})
            return
        monitor = self._monitor(stream)
        if evaluation.index < monitor.index:
            metrics.DRIFT_REPEATED.labels(self.model).inc()
            return
        for each in self._left_out(stream, monitor, evaluation):
            self._observe(stream, monitor, each)
        self._observe(stream, monitor, evaluation)

    def _left_out(self, stream: Stream, monitor: Monitor, evaluation: Evaluation) -> list[Evaluation]:
        if not monitor.missing(evaluation):
            return []
        found = [*self.again(stream, monitor.index, evaluation.index)]
        extra = {"stream": stream.key, "due": monitor.index, "came": evaluation.index, "found": len(found)}
        log.info("evaluations were left out and are read again", extra=extra)
        metrics.DRIFT_READ_AGAIN.labels(self.model).inc(len(found))
        return found

    def _observe(self, stream: Stream, monitor: Monitor, evaluation: Evaluation) -> None:
        gone = monitor.missing(evaluation)
        if gone:
            # Not even the topic has them any more.
            metrics.DRIFT_LOST.labels(self.model).inc(gone)
            log.warning("evaluations are gone from the topic", extra={"stream": stream.key, "gone": gone})
        alarms = monitor.skip_to(evaluation) if gone else monitor.observe(evaluation)
        if alarms:
            self.tell(stream, alarms)
        self.states[stream.key] = zlib.compress(orjson.dumps(monitor.state()), 1)
        metrics.DRIFT_EVALUATIONS.labels(self.model).inc()
        metrics.DRIFT_INDEX.labels(self.model).set(evaluation.index)
        for alarm in alarms:
            metrics.DRIFT_ALARMS.labels(self.model, alarm.kind).inc()

    def _monitor(self, stream: Stream) -> Monitor:
        if stream.key not in self._monitors:
            kept = self.states.get(stream.key)
            self._monitors[stream.key] = (
                Monitor.restored(self.rules, orjson.loads(zlib.decompress(kept)))
                if kept
                else Monitor(self.rules)
            )
        return self._monitors[stream.key]


def stream_of(model: str, key: bytes | None) -> Stream:
    """
    Return whose evaluation has this key.

    Raises:
        InvalidRecord: none has.
    """
    parts = (key or b"").decode(errors="replace").split("/")
    if len(parts) != 3 or not parts[0] or not (parts[1].isdigit() or not parts[1]):
        raise InvalidRecord(f"the key {key!r} is no variant/partition/index")
    return Stream(model, parts[0], int(parts[1]) if parts[1] else None)
