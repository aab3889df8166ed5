"""The event that came last, to begin with in the page's box."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from time import monotonic

from stream_ml.streams.log import Fetch, Log, Reader

# A transaction's end takes an offset and is no record.
_LOOKED_BACK = 10
_POLL_SECONDS = 0.2
_WAIT_SECONDS = 2.0


def newest_event(log: Log, topic: str) -> str | None:
    """
    Return the last line of the newest record of *topic*; None where there is none.

    Raises:
        StreamMlError: the topic cannot be read.
    """
    described = log.topic(topic)
    if described is None:
        return None
    bounds = {partition: log.bounds(topic, partition) for partition in range(described.partitions)}
    starts = {
        partition: max(each.first, each.next - _LOOKED_BACK)
        for partition, each in bounds.items()
        if each.next > each.first
    }
    if not starts:
        return None
    newest: tuple[int, bytes] | None = None
    with closing(log.reader(topic, starts)) as reader:
        for fetch in _to_the_ends(reader, {partition: bounds[partition].next for partition in starts}):
            for stamp, value in zip(fetch.timestamps_ms, fetch.values, strict=True):
                if value and value.strip() and (newest is None or stamp >= newest[0]):
                    newest = (stamp, value)
    return None if newest is None else newest[1].strip().rpartition(b"\n")[2].decode(errors="replace")


def _to_the_ends(reader: Reader, ends: dict[int, int]) -> Iterator[Fetch]:
    """Yield what comes until every partition has answered, for as long at most as one waits for a page."""
    silent, unread, give_up_at = set(ends), dict(ends), monotonic() + _WAIT_SECONDS
    while unread and monotonic() < give_up_at:
        fetches = reader.poll(_LOOKED_BACK * len(ends), _POLL_SECONDS)
        # Offsets that are left may be no records.
        if not fetches and not silent:
            return
        for fetch in fetches:
            silent.discard(fetch.partition)
            if fetch.next >= ends[fetch.partition]:
                unread.pop(fetch.partition, None)
            yield fetch
