"""The events of a job: of files, or of the log, each partition's range, the partitions woven by time."""

from __future__ import annotations

import heapq
import math
from collections.abc import Iterator, Mapping

from stream_ml.errors import CannotContinue, RecoverableError
from stream_ml.retraining.jobs import Window
from stream_ml.streams.events_from_files import event_bytes, read_events
from stream_ml.streams.log import Log, LogTruncated

_POLL_RECORDS = 5_000
_SILENCE_SECONDS, _SILENT_POLLS = 5.0, 3
# So often in a row it must look like a hole: a broker that is slow just then looks the same.
_LOOKS = 2
# Offsets before a hole in which a record is looked for: what arrives shows that the broker is not just slow.
_BEFORE = 1_000

Ranges = Mapping[int, tuple[int, int]]


def events_of(window: Window, log: Log, topic: str) -> Iterator[bytes]:
    """
    Yield the records' values, oldest first; the same each time.

    Raises:
        CannotContinue: some of them are gone.
        RecoverableError: some of them do not arrive.
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


def missing(window: Window, log: Log, topic: str, most: float = math.inf) -> int:
    """
    Return how many events of *window* have yet to come.

    Args:
        most: more than so many of a partition are waited for by nobody.

    Raises:
        CannotContinue: they will not come.
        ConfigError: there is no such topic or partition.
    """
    left = 0
    for partition, (first, end) in (window.events or {}).items():
        held = log.bounds(topic, partition)
        if first > held.next:
            raise CannotContinue(
                f"{topic}[{partition}] ends at {held.next}, before the job's window, [{first}, {end}), "
                "begins: the topic was made anew, or the window is wrong\n  hint: ask for another retraining"
            )
        if end - held.next > most:
            raise CannotContinue(
                f"the job's window ends at {end} of {topic}[{partition}], which ends at {held.next}: "
                f"more than {most:,} events are waited for by nobody\n"
                "  hint: a nearer end, or max_awaited_events"
            )
        left += max(0, end - held.next)
    return left


def count_of(ranges: Ranges) -> int:
    """Return how many offsets there are."""
    return sum(end - first for first, end in ranges.values())


def _partition(
    log: Log, topic: str, partition: int, first: int, end: int
) -> Iterator[tuple[int, int, int, bytes]]:
    """Yield timestamp (never falling), partition, offset and value."""
    reader = log.reader(topic, {partition: first})
    at, silent, looks, newest = first, 0, 0, 0
    try:
        while at < end:
            fetches = reader.poll(_POLL_RECORDS, _SILENCE_SECONDS)
            silent = 0 if fetches else silent + 1
            looks = looks + 1 if silent and _is_hole(log, topic, partition, at, known=at > first) else 0
            if looks >= _LOOKS:
                return
            if silent >= _SILENT_POLLS:
                raise RecoverableError(
                    f"{topic}[{partition}]: the events of the job's window from {at} on do not arrive"
                )
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


def _is_hole(log: Log, topic: str, partition: int, at: int, *, known: bool) -> bool:
    """
    Whether nothing is left from *at* on but what transactions and compaction leave, where nothing arrives.

    A reader that begins before finds records there, and none after.

    Args:
        known: there is a record right before *at*; else any before it will do.
    """
    reader = log.reader(topic, {partition: max(log.bounds(topic, partition).first, at - _BEFORE)})
    came = -1
    try:
        while came <= at and (fetches := reader.poll(_POLL_RECORDS, _SILENCE_SECONDS)):
            came = fetches[-1].next
    finally:
        reader.close()
    return came == at if known else 0 <= came <= at
