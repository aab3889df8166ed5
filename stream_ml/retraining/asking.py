"""Asking for a retraining: a record of the topic of jobs, whoever asks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from stream_ml.errors import ConfigError
from stream_ml.retraining.jobs import JOBS_TOPIC, Job, Setting, Window, encode_job
from stream_ml.streams.log import Log, Writer

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
) -> Job:
    """
    Ask for a retraining of *model* over about the last *events* events of *topic*; its grid is the default.

    Args:
        job: its id; of two with the same the first counts.

    Raises:
        ConfigError: there are no such topic, or no events.
    """
    asked = Job(
        job=job,
        model=model,
        reason=dict(reason),
        base=None,
        window=Window(events=window_until_now(log, topic, events)),
        grid=DEFAULT_GRID,
        asked_by=asked_by,
    )
    writer.send(JOBS_TOPIC, encode_job(asked), key=job.encode(), partition=0)
    return asked


def window_until_now(log: Log, topic: str, events: int) -> dict[int, tuple[int, int]]:
    """
    Return about the last *events* offsets of *topic*, an equal share of each partition.

    Raises:
        ConfigError: there are none.
    """
    found = log.topic(topic)
    partitions = 0 if found is None else found.partitions
    share = -(-events // max(1, partitions))
    bounds = {p: log.bounds(topic, p) for p in range(partitions)}
    ranges = {p: (max(each.first, each.next - share), each.next) for p, each in bounds.items()}
    if all(first == end for first, end in ranges.values()):
        raise ConfigError(f"{topic} is empty, or not there: there is nothing to train on")
    return ranges
