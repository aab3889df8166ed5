from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from stream_ml import _native
from stream_ml.errors import CannotContinue
from stream_ml.learning.batch import Batch
from stream_ml.learning.fetching import BatchLimits, Fetcher
from stream_ml.learning.inbox import Inbox
from stream_ml.runtime.clock import SystemClock
from stream_ml.streams.memory import MemoryLog

LIMITS = BatchLimits(
    max_records=10, max_bytes=1_000_000, interval_seconds=0.0, poll_seconds=0.005, look_seconds=0.0
)


@pytest.fixture
def log() -> MemoryLog:
    log = MemoryLog()
    log.ensure_topic("events", 2)
    return log


@pytest.fixture
def threads() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(1) as threads:
        yield threads


class Fetching:
    """A fetcher at work; `batches` takes what it put into its inbox."""

    def __init__(self, log: MemoryLog, threads: ThreadPoolExecutor, limits: BatchLimits = LIMITS) -> None:
        self.inbox = Inbox(100)
        topic = log.topic("events")
        assert topic is not None
        fetcher = Fetcher(log, topic, {0: 0, 1: 0}, self.inbox, limits, SystemClock())
        self.inbox.run(threads, fetcher.run)

    def batches(self, records: int) -> list[Batch]:
        found: list[Batch] = []
        while sum(len(part.values) for batch in found for part in batch.ranges) < records:
            batch, _ = self.inbox.take(20, batch_wanted=True)
            assert batch is not None, "nothing came"
            found.append(batch)
        return found

    def __enter__(self) -> "Fetching":
        return self

    def __exit__(self, *_error: object) -> None:
        self.inbox.close()


def send(log: MemoryLog, partition: int, values: list[bytes | None]) -> None:
    for value in values:
        log.writer().send("events", value, partition=partition)


def test_batches_have_at_most_so_many_records_and_leave_none_out(
    log: MemoryLog, threads: ThreadPoolExecutor
) -> None:
    send(log, 0, [b"%d" % number for number in range(35)])
    with Fetching(log, threads) as fetching:
        batches = fetching.batches(35)
    assert all(len(batch.ranges[0].values) <= 10 for batch in batches)
    assert [value for batch in batches for value in batch.ranges[0].values] == [b"%d" % n for n in range(35)]


def test_ranges_meet_also_where_the_log_has_holes(log: MemoryLog, threads: ThreadPoolExecutor) -> None:
    send(log, 0, [b"a"])
    log.skip_offsets("events", 0, 5)
    send(log, 0, [b"b"])
    with Fetching(log, threads, replace(LIMITS, max_records=1)) as fetching:
        ranges = [batch.ranges[0] for batch in fetching.batches(2)]
    assert [(part.first, part.next) for part in ranges] == [(0, 1), (1, 7)]


def test_a_batch_says_what_the_journal_needs(log: MemoryLog, threads: ThreadPoolExecutor) -> None:
    send(log, 0, [b"a", None])
    send(log, 1, [b"ccc"])
    with Fetching(log, threads) as fetching:
        (batch,) = fetching.batches(3)
    assert [part.described[:4] for part in batch.ranges] == [(0, 0, 2, 2), (1, 0, 1, 1)]
    assert [part.checksum for part in batch.ranges] == [
        _native.checksum([b"a", None]),
        _native.checksum([b"ccc"]),
    ]
    assert [part.size for part in batch.ranges] == [1, 3]
    assert [native[0] for native in batch.as_native()] == [0, 1]


def test_polls_within_the_interval_make_one_batch(log: MemoryLog, threads: ThreadPoolExecutor) -> None:
    slow = replace(LIMITS, interval_seconds=30.0)
    with Fetching(log, threads, slow) as fetching:
        for number in range(10):
            send(log, number % 2, [b"%d" % number])
        (batch,) = fetching.batches(10)
    assert [part.values for part in batch.ranges] == [
        [b"0", b"2", b"4", b"6", b"8"],
        [b"1", b"3", b"5", b"7", b"9"],
    ]


def test_large_records_make_batches_of_fewer(log: MemoryLog, threads: ThreadPoolExecutor) -> None:
    send(log, 0, [b"x" * 1000] * 30)
    with Fetching(log, threads, replace(LIMITS, max_bytes=3000)) as fetching:
        sizes = [len(batch.ranges[0].values) for batch in fetching.batches(30)]
    assert sizes[0] == 10
    assert set(sizes[1:]) <= {3, 2}


def test_a_partition_that_was_added_is_read_from_its_beginning(
    log: MemoryLog, threads: ThreadPoolExecutor
) -> None:
    with Fetching(log, threads) as fetching:
        log.add_partitions("events", 3)
        send(log, 2, [b"new"])
        (batch,) = fetching.batches(1)
    assert (batch.ranges[0].partition, batch.ranges[0].first) == (2, 0)


def test_a_partition_that_was_added_and_lost_its_beginning_is_a_stop(
    log: MemoryLog, threads: ThreadPoolExecutor
) -> None:
    with Fetching(log, threads, replace(LIMITS, look_seconds=0.05)) as fetching:
        log.add_partitions("events", 3)
        send(log, 2, [b"gone", b"new"])
        log.delete_records("events", 2, 1)
        with pytest.raises(CannotContinue, match=r"events\[2\] was added and has lost its first 1"):
            fetching.batches(1)


def test_records_dropped_unread_are_a_stop_that_names_the_way_on(
    log: MemoryLog, threads: ThreadPoolExecutor
) -> None:
    send(log, 0, [b"gone", b"new"])
    log.delete_records("events", 0, 1)
    with (
        Fetching(log, threads) as fetching,
        pytest.raises(CannotContinue, match=r"offset 0 is gone.*--accept-loss"),
    ):
        fetching.batches(1)


def test_a_closed_inbox_lets_a_fetcher_end_that_waits_for_room(
    log: MemoryLog, threads: ThreadPoolExecutor
) -> None:
    send(log, 0, [b"x"] * 5000)
    with Fetching(log, threads):
        pass
    assert threads.submit(lambda: "free").result(timeout=20) == "free"
