"""What the journal of a model says to people: variants, snapshots, who decided what."""

from __future__ import annotations

from collections import deque
from typing import Any

from stream_ml.retraining.history import Happening, happening
from stream_ml.streams.log import Log
from stream_ml.weights.journal import JournalReader, journal_topic
from stream_ml.weights.lines import Snapshot
from stream_ml.weights.state import JournalState
from stream_ml.weights.verdicts import VALID

# So many lines are read from the first on, at a microsecond or ten each; of a longer journal what its newest
# snapshot states is where reading begins, and decisions before that are not listed.
LINES_READ = 200_000
HAPPENINGS_KEPT = 200
_SNAPSHOTS_DATED = 100
_POLL_SECONDS = 0.02


class Decided:
    """Follows a journal, which may not be there yet; one thread at a time."""

    def __init__(self, log: Log, model: str) -> None:
        self._log, self._topic = log, journal_topic(model)
        self._reader: JournalReader | None = None
        self._happened: deque[Happening] = deque(maxlen=HAPPENINGS_KEPT)
        self._dated: dict[str, float] = {}

    @property
    def state(self) -> JournalState | None:
        """What holds, or None while there is no journal."""
        return None if self._reader is None else self._reader.state

    def poll(self) -> None:
        """
        Take in what came.

        Raises:
            LogTruncated: the next line is gone; begin again with a new one of these.
            CannotContinue: the beginning is gone, and no snapshot's line says what held then.
            RecoverableError: no broker answered.
        """
        if self._reader is None:
            if self._log.topic(self._topic) is None:
                return
            self._reader = self._open()
        for at, entry in self._reader.poll_dated(_POLL_SECONDS):
            if entry.verdict != VALID:
                continue
            if isinstance(entry.line, Snapshot):
                self._date(entry.line.name, at)
            if (happened := happening(at, entry.line)) is not None:
                self._happened.append(happened)

    def _open(self) -> JournalReader:
        bounds = self._log.bounds(self._topic, 0)
        if bounds.first == 0 and bounds.next <= LINES_READ:
            return JournalReader(self._log, self._topic)
        return JournalReader.open(self._log, self._topic)

    def _date(self, snapshot: str, at: float) -> None:
        self._dated[snapshot] = at
        while len(self._dated) > _SNAPSHOTS_DATED:
            del self._dated[next(iter(self._dated))]

    def variants(self) -> list[dict[str, Any]]:
        """Return the variants, what serves first."""
        state = self.state
        if state is None:
            return []
        found = [self._variant(state, name) for name in state.variants]
        return sorted(found, key=lambda said: not said["serves"])

    def _variant(self, state: JournalState, name: str) -> dict[str, Any]:
        known = state.variants[name]
        newest_first = reversed(known.snapshots)
        return {
            "variant": name,
            "serves": name == state.serving,
            "learns": state.learns(name),
            "challenges": known.challenge.champion if known.challenge is not None else None,
            "over": state.is_over(name),
            "fingerprint": known.fingerprint,
            "rows": "Redis" if known.layout is not None else "memory",
            "writer": known.writer,
            "step": known.step,
            "snapshots": [
                {"name": each.name, "step": each.step, "at": self._dated.get(each.name)}
                for each in newest_first
            ],
        }

    def happened(self) -> list[dict[str, Any]]:
        """Return who decided what, newest first."""
        return [
            {"at": each.at, "variant": each.variant, "what": each.what, "who": each.who, "why": each.why}
            for each in reversed(self._happened)
        ]

    def close(self) -> None:
        """Leave the journal; idempotent."""
        if self._reader is not None:
            self._reader.close()
            self._reader = None
