"""The events of a job: of files, or of the log, each partition's range, the partitions woven by time."""

from __future__ import annotations

import heapq
from collections.abc import Iterator, Mapping

from stream_ml.errors import CannotContinue
from stream_ml.retraining.jobs import Window
from stream_ml.streams.events_from_files import event_bytes, read_events
from stream_ml.streams.log import Log, LogTruncated

_POLL_RECORDS = 5_000
_SILENCE_SECONDS, _SILENT_POLLS = 5.0, 3

Ranges = Mapping[int, tuple[int, int]]


def events_of(window: Window, log: Log, topic: str) -> Iterator[bytes]:
    """
    Yield the records' values, oldest first; the same each time.

    Raises:
        CannotContinue: some of them are gone.
    """
    if window.files is not None:
        for file in window.files:
            yield from (event_bytes(each) for each in read_events(file, None))
    else:
        assert window.events is not None, "one of both is given"
        yield from events_between(log, topic, window.events)


def events_between(log: Log, topic: str, ranges: Ranges) -> Iterator[bytes]:
    """Yield the values of *ranges* in the order of their timestamps, then of their partitions."""
    every = [_partition(log, topic, p, first, end) for p, (first, end) in sorted(ranges.items())]
    for _, _, _, value in heapq.merge(*every):
        yield value


def count_of(ranges: Ranges) -> int:
    """Return how many offsets there are."""
    return sum(end - first for first, end in ranges.values())


def _partition(
    log: Log, topic: str, partition: int, first: int, end: int
) -> Iterator[tuple[int, int, int, bytes]]:
    """Yield timestamp (never falling), partition, offset and value."""
    reader = log.reader(topic, {partition: first})
    at, silent, newest = first, 0, 0
    try:
        while at < end and silent < _SILENT_POLLS:
            fetches = reader.poll(_POLL_RECORDS, _SILENCE_SECONDS)
            silent = 0 if fetches else silent + 1
            for fetch in fetches:
                for offset, stamp, value in zip(
                    fetch.offsets, fetch.timestamps_ms, fetch.values, strict=True
                ):
                    newest = max(newest, stamp)
                    if offset < end and value is not None:
                        yield newest, partition, offset, value
                at = fetch.next
    except LogTruncated as error:
        raise CannotContinue(f"events of the job's window are gone: {error}") from error
    finally:
        reader.close()
