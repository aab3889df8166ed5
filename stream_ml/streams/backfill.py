"""
History before the live stream: events of files and tables, sent to the topic of events before anybody sends.

The topic is what is learned, so a model that was filled from files and went on live has the same bits as one
that got all of it live. What is left to be right is the seam. Every record of a backfill has its number in a
header; from that a later run knows what is there, compares it, and goes on after it. It refuses to send
history after a live event, and says so if somebody else sent to the topic meanwhile.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from stream_ml.errors import CannotContinue, ConfigError
from stream_ml.streams.log import Bounds, Log
from stream_ml.streams.paced import PacedSender
from stream_ml.streams.packing import PackedRecord
from stream_ml.streams.ranges import read_range

# Of a record of events: its number in the backfill, from 0.
NUMBER = "backfill"


class Held:
    """
    The records of a backfill that a topic holds already, compared with those that it should hold.

    Attributes:
        records: how many were found to be there.
        live: whether the topic holds events of somebody else.
    """

    def __init__(self, log: Log, topic: str) -> None:
        """
        Look at the topic.

        Raises:
            CannotContinue: it was trimmed so that nobody can tell what it held.
        """
        self._log, self._topic = log, topic
        found = log.topic(topic)
        assert found is not None, "the caller has found the topic"
        self.bounds = {partition: log.bounds(topic, partition) for partition in range(found.partitions)}
        trimmed = any(bounds.first for bounds in self.bounds.values())
        if trimmed and len(self.bounds) > 1:
            raise CannotContinue(
                f"{topic} has {len(self.bounds)} partitions and was trimmed: what it held of the backfill "
                "cannot be told\n  hint: begin with a new topic"
            )
        self.records, self.live = 0, False
        self._partitions = {p: self._numbered(p, bounds) for p, bounds in self.bounds.items()}
        self._heads = {p: next(records, None) for p, records in self._partitions.items()}
        # One partition has the records in their order: what is trimmed came before what is there.
        first = self._heads[0] if trimmed else None
        self._trimmed_until = first[0] if first else 0
        if trimmed and first is None and not self.live:
            raise CannotContinue(
                f"{topic} was trimmed to its end: what it held of the backfill cannot be told"
            )

    def has(self, number: int, value: bytes) -> bool:
        """
        Return whether record *number* is there; to be asked for every record, in their order.

        Raises:
            ConfigError: another one is, under its number.
        """
        if number < self._trimmed_until:
            return True
        for partition, head in self._heads.items():
            if head is not None and head[0] == number:
                if head[1] != value:
                    raise ConfigError(
                        f"{self._topic} holds another record {number} than these files\n"
                        "  hint: go on with the same files, options and order; or begin with a new topic"
                    )
                self.records += 1
                self._heads[partition] = next(self._partitions[partition], None)
                return True
        return False

    def finish(self) -> None:
        """Raise ConfigError if the topic holds more of a backfill than was asked for."""
        left = [head[0] for head in self._heads.values() if head is not None]
        if left:
            raise ConfigError(
                f"{self._topic} holds record {min(left)} of a backfill, which these files end before"
            )

    def _numbered(self, partition: int, bounds: Bounds) -> Iterator[tuple[int, bytes | None]]:
        """Yield number and value of the backfill's records, up to the first live one."""
        for fetch in read_range(self._log, self._topic, partition, bounds.first, bounds.next):
            for value, headers in zip(fetch.values, fetch.headers or (), strict=True):
                if NUMBER not in headers:
                    self.live = True
                    return
                yield int(headers[NUMBER]), value


def send_missing(sender: PacedSender, records: Iterable[PackedRecord], held: Held) -> Iterator[PackedRecord]:
    """
    Send those of *records* that are not there yet; yield each of them.

    Raises:
        ConfigError: live events are there already, or the files are others than before.
    """
    for number, record in enumerate(records):
        if held.has(number, record.value):
            continue
        if held.live:
            raise ConfigError(
                f"live events are in the topic already, and record {number} of the backfill is not: history "
                "would be learned after them\n  hint: backfill a new topic, then let the producers send there"
            )
        sender.send(record.value, key=record.key, events=record.events, headers={NUMBER: b"%d" % number})
        yield record
    held.finish()


def check_alone(log: Log, topic: str, held: Held, acknowledged: Mapping[int, int]) -> None:
    """
    Make sure that nobody else sent to *topic* since *held* looked at it.

    Raises:
        CannotContinue: somebody did, and history and live events are mixed.
    """
    for partition, before in held.bounds.items():
        others = log.bounds(topic, partition).next - before.next - acknowledged.get(partition, 0)
        if others:
            raise CannotContinue(
                f"{topic}[{partition}]: {others} records of somebody else came during the backfill: live "
                "events are learned before the history is complete\n"
                "  hint: stop the producers, and backfill a new topic"
            )
