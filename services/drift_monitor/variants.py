"""What the journal says of a model's variants: who serves, and who is over."""

from __future__ import annotations

import logging
import math
from collections.abc import Iterable

from stream_ml.errors import CannotContinue, RecoverableError
from stream_ml.runtime.clock import Clock
from stream_ml.streams.log import Log, LogTruncated
from stream_ml.weights.journal import JournalReader, journal_topic
from stream_ml.weights.state import JournalState

log = logging.getLogger("drift_monitor")

# Records of variants that are over come in crowds, after a long pause; the journal is not read for each.
_BELIEVED_SECONDS = 1.0


class Variants:
    """The variants of a model; the journal is read when somebody asks, which is seldom."""

    def __init__(self, log: Log, model: str, clock: Clock) -> None:
        """Read nothing yet; there may be no journal."""
        self._log, self._topic, self._clock = log, journal_topic(model), clock
        self._state: JournalState | None = None
        self._read_at = -math.inf

    def serving(self) -> str | None:
        """
        Return the variant that serves now; None: there is none, or nobody can tell.

        Raises:
            RecoverableError: the journal does not arrive; safe to retry.
        """
        self._read()
        return self._state.serving if self._state else None

    def over(self, variants: Iterable[str]) -> set[str]:
        """
        Return those of *variants* that have learned their last: nobody learns them, nor goes back to them.

        Raises:
            RecoverableError: as `serving`.
        """
        if self._clock.monotonic() - self._read_at >= _BELIEVED_SECONDS:
            self._read()
        # Where nobody can tell all are watched: nothing is to be missed.
        return {each for each in variants if self._state and _is_over(self._state, each)}

    def _read(self) -> None:
        self._state = self._as_of_now()
        self._read_at = self._clock.monotonic()

    def _as_of_now(self) -> JournalState | None:
        if self._log.topic(self._topic) is None:
            return None
        try:
            with JournalReader.open(self._log, self._topic) as reader:
                reader.read_to_end()
                return reader.state
        except LogTruncated as error:
            raise RecoverableError(f"{self._topic} was trimmed while it was read") from error
        except CannotContinue as error:
            log.error("the journal cannot be read: %s", error, extra={"reason": str(error)})
            return None


def _is_over(state: JournalState, variant: str) -> bool:
    # What the journal has forgotten never learns again.
    if variant not in state.variants:
        return True
    return state.is_over(variant) and variant != state.before(state.serving)
