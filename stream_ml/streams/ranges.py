"""All records of a stretch of a partition, for commands that read a topic once and end."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing

from stream_ml.errors import RecoverableError
from stream_ml.streams.log import Fetch, Log

_POLL_RECORDS = 5_000
_SILENCE_SECONDS = 30.0


def read_range(log: Log, topic: str, partition: int, first: int, end: int) -> Iterator[Fetch]:
    """
    Yield the records of ``[first, end)``, with keys and headers.

    Raises:
        LogTruncated: *first* is no longer in the log.
        RecoverableError: the records are there, but do not arrive.
    """
    at = first
    if at >= end:
        return
    with closing(log.reader(topic, {partition: first}, keys=True, headers=True)) as reader:
        while at < end:
            fetches = reader.poll(min(_POLL_RECORDS, end - at), _SILENCE_SECONDS)
            if not fetches:
                raise RecoverableError(f"{topic}[{partition}]: records [{at}, {end}) do not arrive")
            yield fetches[0]
            at = fetches[0].next
