"""Asking for a retraining: a record of the topic of jobs, whoever asks."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

from stream_ml.errors import ConfigError
from stream_ml.retraining.jobs import JOBS_TOPIC, Job, Setting, Window, encode_job, job_id
from stream_ml.runtime.clock import Clock
from stream_ml.streams.log import Log, Writer

log = logging.getLogger(__name__)

_FLUSH_SECONDS = 30.0
# A grid that leaves it to the retrainer: about a dozen settings around the champion's.
DEFAULT_GRID = (Setting(name="default"),)


def ask(
    log: Log,
    writer: Writer,
    model: str,
    topic: str,
    events: int,
    *,
    job: str,
    reason: Mapping[str, Any],
    asked_by: str,
    after: int = 0,
) -> Job:
    """
    Ask for a retraining of *model* over about the last *events* events of *topic*; its grid is the default.

    Args:
        job: its id; of two with the same the one counts that is claimed.
        after: further events, which have yet to come; the job waits for them.

    Raises:
        ConfigError: there are no such topic, or no events.
    """
    asked = Job(
        job=job,
        model=model,
        reason=dict(reason),
        base=None,
        window=Window(events=window_around_now(log, topic, events, after)),
        grid=DEFAULT_GRID,
        asked_by=asked_by,
    )
    writer.send(JOBS_TOPIC, encode_job(asked), key=job.encode(), partition=0)
    return asked


class Schedule:
    """Asks for a retraining of a model every so often, once, however many retrainers have the schedule."""

    def __init__(
        self, log: Log, model: str, topic: str, every_seconds: float, events: int, clock: Clock
    ) -> None:
        """*every_seconds*: 0 is never; the first job is asked for when the first such time is over."""
        self._log, self._model, self._topic = log, model, topic
        self._every_seconds, self._events, self._clock = every_seconds, events, clock
        self._asked = self._number()

    def turn(self) -> None:
        """Ask, if it is time."""
        if (number := self._number()) == self._asked:
            return
        with self._log.writer() as writer:
            try:
                ask(
                    self._log,
                    writer,
                    self._model,
                    self._topic,
                    self._events,
                    job=job_id(self._model, "schedule", number),
                    reason={"asked": "schedule"},
                    asked_by="schedule",
                )
            except ConfigError as error:
                log.warning("no retraining is asked for", extra={"reason": str(error)})
            # Only now: while brokers are away it is asked again, and who asks twice gets one job.
            writer.flush(_FLUSH_SECONDS)
        self._asked = number

    def _number(self) -> int:
        """Return the number of the time that we are in: the same for every retrainer."""
        return int(self._clock.now() // self._every_seconds) if self._every_seconds else 0


def window_around_now(log: Log, topic: str, events: int, after: int = 0) -> dict[int, tuple[int, int]]:
    """
    Return about the last *events* offsets of *topic* and the next *after*, an equal share of each partition.

    Raises:
        ConfigError: there are none.
    """
    found = log.topic(topic)
    partitions = 0 if found is None else found.partitions
    share, more = (-(-count // max(1, partitions)) for count in (events, after))
    bounds = {p: log.bounds(topic, p) for p in range(partitions)}
    ranges = {p: (max(each.first, each.next - share), each.next + more) for p, each in bounds.items()}
    if all(each.first == each.next for each in bounds.values()):
        raise ConfigError(f"{topic} is empty, or not there: there is nothing to train on")
    return ranges
