"""What the topics of one model tell: evaluations, journal, drifts."""

from __future__ import annotations

from collections import deque
from typing import Any

import orjson

from stream_ml.console.curves import Curves
from stream_ml.console.decided import Decided
from stream_ml.console.tail import Record, Tail
from stream_ml.drift.evaluation import read
from stream_ml.errors import InvalidRecord
from stream_ml.learning.outputs import evaluations_topic
from stream_ml.learning.topics import drifts_topic
from stream_ml.streams.log import Log

# About 6 KiB each.
EVALUATIONS_READ = 5_000
DRIFTS_READ = 1_000
DRIFTS_KEPT = 200
_SHOWN_OF_A_DRIFT = (
    *("kind", "variant", "partition", "statistic", "segment", "learned_to", "since_learned"),
    *("before", "after", "strength"),
)


class ModelTopics:
    """Follows them; one thread at a time."""

    def __init__(self, log: Log, model: str) -> None:
        self.curves = Curves()
        self.decided = Decided(log, model)
        self.drifts: deque[dict[str, Any]] = deque(maxlen=DRIFTS_KEPT)
        # A monitor that was killed repeats what it told, under the same key.
        self._told: deque[bytes | None] = deque(maxlen=DRIFTS_KEPT)
        self._evaluations = Tail(log, evaluations_topic(model), EVALUATIONS_READ)
        self._drifts = Tail(log, drifts_topic(model), DRIFTS_READ)

    def poll(self) -> None:
        """
        Take in what came.

        Raises:
            CannotContinue: something that was next is gone; begin again with a new one of these.
            RecoverableError: no broker answered.
        """
        self.decided.poll()
        for record in self._evaluations.poll():
            self._evaluated(record)
        for record in self._drifts.poll():
            self._drifted(record)

    def _evaluated(self, record: Record) -> None:
        variant, _, partition = (record.key or b"").decode(errors="replace").rpartition("/")[0].partition("/")
        try:
            self.curves.take(variant, partition, read(record.value), record.at)
        except InvalidRecord:
            return  # of somebody else; the drift monitor counts them

    def _drifted(self, record: Record) -> None:
        if record.key in self._told:
            return
        try:
            said = orjson.loads(record.value)
            told = {name: said.get(name) for name in _SHOWN_OF_A_DRIFT}
        except (orjson.JSONDecodeError, AttributeError):
            return
        self._told.append(record.key)
        self.drifts.appendleft({"at": record.at, **told})

    def said(self) -> dict[str, Any]:
        """Return what there is to show of them, for JSON."""
        return {
            "curves": {variant: curve.columns() for variant, curve in self.curves.of.items()},
            "variants": self.decided.variants(),
            "history": self.decided.happened(),
            "drifts": list(self.drifts),
        }

    def close(self) -> None:
        """Leave the topics; idempotent."""
        for each in (self.decided, self._evaluations, self._drifts):
            each.close()
