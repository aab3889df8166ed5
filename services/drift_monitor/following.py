"""What is done with one evaluation, whatever brought it: nothing twice, nothing left out."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Generator
from contextlib import closing
from dataclasses import dataclass

from services.drift_monitor.monitors import Monitors
from stream_ml.drift.alarms import Alarm, Stream
from stream_ml.drift.evaluation import Evaluation, read
from stream_ml.drift.monitor import Monitor
from stream_ml.errors import InvalidRecord
from stream_ml.runtime import metrics

log = logging.getLogger("drift_monitor")

_KEY = re.compile(r"([^/]+)/([0-9]{0,9})/([0-9]{1,18})")
# What comes further ahead of the one that is due is believed when the topic has the one before it, too: who
# believes a number that nobody counted up to is deaf until somebody does.
_FAR = 100
Record = tuple[bytes | None, bytes | None]


@dataclass
class Following:
    """
    What follows from the evaluations of a model.

    In this order, so that a process killed anywhere repeats at most what has the same key: evaluations that
    were left out are read again · the alarms are acknowledged · the state is kept.

    Attributes:
        tell: sends alarms, and returns once they are acknowledged.
        again: yields the key and value of every record that the topic of evaluations holds by now.
    """

    model: str
    monitors: Monitors
    tell: Callable[[Stream, list[Alarm]], None]
    again: Callable[[], Generator[Record, None, None]]

    def take(self, key: bytes | None, value: bytes | None, place: int) -> None:
        """Take in a record of the topic of evaluations; *place* is its offset there."""
        self._take(key, value)
        self.monitors.forget(place + 1)

    def _take(self, key: bytes | None, value: bytes | None) -> None:
        try:
            stream, evaluation = self._read(key, value)
        except InvalidRecord as error:
            self._refuse(str(error))
            return
        monitor = self.monitors.of(stream)
        if monitor is None:
            metrics.DRIFT_OVER.labels(self.model).inc()
            return
        if evaluation.index < monitor.index:
            metrics.DRIFT_REPEATED.labels(self.model).inc()
            return
        due, found = monitor.index, self._left_out(stream, monitor, evaluation)
        # Where it is true, the next one finds it in the topic.
        if evaluation.index - due > _FAR and not (found and found[-1].index == evaluation.index - 1):
            self._refuse(f"{stream.key}: evaluation {evaluation.index} came alone where {due} is due")
            return
        for each in (*found, evaluation):
            self._observe(stream, monitor, each)

    def _read(self, key: bytes | None, value: bytes | None) -> tuple[Stream, Evaluation]:
        (stream, index), evaluation = place_of(self.model, key), read(value or b"")
        if evaluation.index != index:
            raise InvalidRecord(f"evaluation {evaluation.index} under the key {key!r}")
        return stream, evaluation

    def _refuse(self, detail: str) -> None:
        metrics.DRIFT_REFUSED.labels(self.model).inc()
        log.warning("not an evaluation", extra={"detail": detail})

    def _left_out(self, stream: Stream, monitor: Monitor, evaluation: Evaluation) -> list[Evaluation]:
        if not monitor.missing(evaluation):
            return []
        found = self._between(stream, monitor.index, evaluation.index)
        extra = {"stream": stream.key, "due": monitor.index, "came": evaluation.index, "found": len(found)}
        log.info("evaluations were left out and are read again", extra=extra)
        metrics.DRIFT_READ_AGAIN.labels(self.model).inc(len(found))
        return found

    def _between(self, stream: Stream, first: int, after: int) -> list[Evaluation]:
        found: dict[int, Evaluation] = {}
        begins = f"{stream.key}/".encode()
        with closing(self.again()) as records:
            for key, value in records:
                if not (key or b"").startswith(begins):
                    continue
                try:
                    whose, evaluation = self._read(key, value)
                except InvalidRecord:
                    continue  # refused when it came
                if whose == stream and first <= evaluation.index < after:
                    found.setdefault(evaluation.index, evaluation)
                if len(found) == after - first:
                    break
        return [found[index] for index in sorted(found)]

    def _observe(self, stream: Stream, monitor: Monitor, evaluation: Evaluation) -> None:
        gone = monitor.missing(evaluation)
        if gone:
            # Not even the topic has them any more.
            metrics.DRIFT_LOST.labels(self.model).inc(gone)
            log.warning("evaluations are gone from the topic", extra={"stream": stream.key, "gone": gone})
        alarms = monitor.skip_to(evaluation) if gone else monitor.observe(evaluation)
        if alarms:
            self.tell(stream, alarms)
        self.monitors.keep(stream)
        metrics.DRIFT_EVALUATIONS.labels(self.model).inc()
        metrics.DRIFT_INDEX.labels(self.model).set(evaluation.index)
        for alarm in alarms:
            metrics.DRIFT_ALARMS.labels(self.model, alarm.kind).inc()


def place_of(model: str, key: bytes | None) -> tuple[Stream, int]:
    """
    Return whose evaluation has this key, and its index.

    Raises:
        InvalidRecord: none has.
    """
    parts = _KEY.fullmatch((key or b"").decode(errors="replace"))
    if parts is None:
        raise InvalidRecord(f"the key {key!r} is no variant/partition/index")
    variant, partition, index = parts.groups()
    return Stream(model, variant, int(partition) if partition else None), int(index)
