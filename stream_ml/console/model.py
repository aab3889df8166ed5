"""What the topics of one model tell: evaluations, journal, drifts."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable
from typing import Any

import orjson

from stream_ml.console.curves import Curves
from stream_ml.console.decided import Decided
from stream_ml.console.tail import Record, Tail
from stream_ml.drift.evaluation import read
from stream_ml.errors import InvalidRecord, StreamMlError
from stream_ml.learning.outputs import evaluations_topic
from stream_ml.learning.topics import drifts_topic
from stream_ml.streams.log import Log, LogTruncated

log = logging.getLogger(__name__)

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
        self._log, self._model = log, model
        self._begin_journal()
        self._begin_evaluations()
        self._begin_drifts()

    def _begin_journal(self) -> None:
        self.decided = Decided(self._log, self._model)

    def _begin_evaluations(self) -> None:
        self.curves = Curves()
        self._evaluations = Tail(self._log, evaluations_topic(self._model), EVALUATIONS_READ)

    def _begin_drifts(self) -> None:
        self.drifts: deque[dict[str, Any]] = deque(maxlen=DRIFTS_KEPT)
        # A monitor that was killed repeats what it told, under the same key.
        self._told: deque[bytes | None] = deque(maxlen=DRIFTS_KEPT)
        self._drifts = Tail(self._log, drifts_topic(self._model), DRIFTS_READ)

    def poll(self) -> str | None:
        """Take in what came; return why some of it cannot be read, or None."""
        problems = [
            self._follow(self._read_journal, self.decided, self._begin_journal),
            self._follow(self._read_evaluations, self._evaluations, self._begin_evaluations),
            self._follow(self._read_drifts, self._drifts, self._begin_drifts),
        ]
        return next(filter(None, problems), None)

    def _follow(
        self, read: Callable[[], None], followed: Decided | Tail, begin: Callable[[], None]
    ) -> str | None:
        try:
            read()
        except LogTruncated as error:
            # Trimmed, or made anew: what there is now is what is shown.
            log.info("begins again", extra={"model": self._model, "why": str(error)})
            followed.close()
            begin()
        except StreamMlError as error:
            return str(error).splitlines()[0]
        return None

    def _read_journal(self) -> None:
        self.decided.poll()

    def _read_evaluations(self) -> None:
        for record in self._evaluations.poll():
            self._evaluated(record)

    def _read_drifts(self) -> None:
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
            told = {name: _plain(said.get(name)) for name in _SHOWN_OF_A_DRIFT}
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


def _plain(value: object) -> str | float | None:
    """Return *value*, or None for what no monitor writes: too deep a one could not be sent on."""
    return value if isinstance(value, str | int | float) else None
