"""Whether the topic of the events still is the one that the shards have learned from."""

from __future__ import annotations

from collections.abc import Sequence

from stream_ml.errors import CannotContinue
from stream_ml.learning.ways_on import ACCEPT_LOSS
from stream_ml.runtime.clock import Clock
from stream_ml.streams.log import Log, LogUnavailable

# After an election brokers may say for a moment that a partition ends before what was read of it already.
_PATIENCE_SECONDS = 5.0


class EventsGone(CannotContinue):
    """
    The shards have learned events that the topic has not, or not any more.

    Attributes:
        made_anew: it is another topic: no offset of a fence means anything in it.
    """

    def __init__(self, message: str, *, made_anew: bool) -> None:
        super().__init__(message)
        self.made_anew = made_anew


class SharedEvents:
    """The topic of the events, compared with what is learned of it. Thread-safe."""

    def __init__(self, log: Log, topic: str, variant: str, learned: str | None, clock: Clock) -> None:
        """*learned*: id of the topic that *variant* began with; None where nothing tells it any more."""
        self._log, self._topic, self._variant, self._learned, self._clock = (
            log,
            topic,
            variant,
            learned,
            clock,
        )
        self._beyond_since: dict[int, float] = {}

    def check_topic(self) -> None:
        """Raises EventsGone: the topic was deleted, and made anew under the same name."""
        topic = self._log.topic(self._topic)
        if topic is not None and self._learned not in (topic.id, None):
            raise EventsGone(
                f"{self._topic} was made anew: {self._variant} has learned topic {self._learned}, it is now "
                f"{topic.id}; {ACCEPT_LOSS} learns all of it",
                made_anew=True,
            )

    def check_ends(self, partition: int, fences: Sequence[int], *, patient: bool = True) -> None:
        """
        See that *partition* does not end before what the shards have of it.

        Raises:
            LogUnavailable: it does, which may pass.
            EventsGone: it does for good.
        """
        end = self._log.bounds(self._topic, partition).next
        if max(fences) <= end:
            self._beyond_since.pop(partition, None)
            return
        since = self._beyond_since.setdefault(partition, self._clock.monotonic())
        told = (
            f"{self._topic}[{partition}] ends at {end}, but {self._variant} has learned up to {max(fences)}"
        )
        if patient and self._clock.monotonic() - since < _PATIENCE_SECONDS:
            raise LogUnavailable(f"{told}; brokers are asked again")
        raise EventsGone(
            f"{told}: its end was lost; {ACCEPT_LOSS} goes on behind it as a new variant", made_anew=False
        )
