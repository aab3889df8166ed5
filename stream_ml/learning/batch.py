"""A batch: what one step learns."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from stream_ml import _native
from stream_ml.streams.log import Fetch
from stream_ml.weights.lines import Range


@dataclass(frozen=True, slots=True)
class EventRange:
    """
    The records of one partition's ``[first, next)``.

    Attributes:
        first: where the partition's previous range ended, so that holes belong to a range too.
        offsets, values, timestamps_ms: of each record.
        checksum, size: of the values; bytes.
        leader_epoch: of the last record; -1 where unknown.
    """

    partition: int
    first: int
    next: int
    offsets: Sequence[int]
    values: list[bytes | None]
    timestamps_ms: list[int]
    checksum: int
    leader_epoch: int
    size: int

    @classmethod
    def of(cls, first: int, fetches: Sequence[Fetch]) -> EventRange:
        """Return the range from *first* to the end of *fetches*, which follow on each other."""
        joined = fetches[0] if len(fetches) == 1 else _joined(fetches)
        return cls(
            partition=joined.partition,
            first=first,
            next=joined.next,
            offsets=joined.offsets,
            values=joined.values,
            timestamps_ms=joined.timestamps_ms,
            checksum=_native.checksum(joined.values),
            leader_epoch=joined.leader_epoch,
            size=sum(map(len, filter(None, joined.values))),
        )

    @property
    def first_at(self) -> float:
        """Timestamp of the first record, seconds since 1970."""
        return self.timestamps_ms[0] / 1000

    @property
    def described(self) -> Range:
        """What the journal says of it."""
        return Range(
            self.partition, self.first, self.next, len(self.values), self.checksum, self.leader_epoch
        )


@dataclass(frozen=True, slots=True)
class Batch:
    """Ranges in the order of learning; at most one a partition."""

    ranges: tuple[EventRange, ...]

    def as_native(self) -> list[tuple[int, Sequence[bytes | None], Sequence[int]]]:
        """Return what the native ``learn`` takes."""
        return [(part.partition, part.values, part.timestamps_ms) for part in self.ranges]

    @property
    def newest_at(self) -> float:
        """Timestamp of the newest of the ranges' last records, seconds since 1970; 0 without records."""
        return max(self.newest_of.values(), default=0.0)

    @property
    def newest_of(self) -> dict[int, float]:
        """The same for each partition with records."""
        return {part.partition: part.timestamps_ms[-1] / 1000 for part in self.ranges if part.timestamps_ms}


def _joined(fetches: Sequence[Fetch]) -> Fetch:
    return Fetch(
        partition=fetches[0].partition,
        first=fetches[0].first,
        next=fetches[-1].next,
        offsets=[offset for fetch in fetches for offset in fetch.offsets],
        keys=None,
        values=[value for fetch in fetches for value in fetch.values],
        timestamps_ms=[stamp for fetch in fetches for stamp in fetch.timestamps_ms],
        leader_epoch=fetches[-1].leader_epoch,
    )
