"""The log in memory: what it adds to the port's contract for tests, each case alone."""

from __future__ import annotations

import pytest

from stream_ml.errors import ConfigError
from stream_ml.streams.log import Bounds, LogTruncated, Undeliverable
from stream_ml.streams.memory import MemoryLog


def log_of(*values: bytes | None, partitions: int = 1, max_record_bytes: int = 1_000_000) -> MemoryLog:
    log = MemoryLog(max_record_bytes=max_record_bytes, now=lambda: 12.3456)
    log.ensure_topic("t", partitions)
    with log.writer() as writer:
        for value in values:
            writer.send("t", value, key=b"k", partition=0, headers={"h": b"1"})
    return log


@pytest.mark.parametrize(
    ("start", "max_records", "values", "next"),
    [
        (0, 10, [b"a", None, b"c"], 3),
        (0, 2, [b"a", None], 2),
        (1, 1, [None], 2),
        (2, 10, [b"c"], 3),
    ],
)
def test_a_reader_gets_what_stands_from_its_place_on(
    start: int, max_records: int, values: list[bytes | None], next: int
) -> None:
    (fetch,) = log_of(b"a", None, b"c").reader("t", {0: start}).poll(max_records, 0)
    assert (fetch.partition, fetch.first, fetch.next, fetch.values) == (0, start, next, values)
    assert list(fetch.offsets) == list(range(start, next))
    assert fetch.timestamps_ms == [12345] * len(values)


@pytest.mark.parametrize(("keys", "headers"), [(False, False), (True, False), (False, True), (True, True)])
def test_keys_and_headers_are_read_only_if_asked_for(keys: bool, headers: bool) -> None:
    (fetch,) = log_of(b"a").reader("t", {0: 0}, keys=keys, headers=headers).poll(1, 0)
    assert fetch.keys == ([b"k"] if keys else None)
    assert fetch.headers == ([{"h": b"1"}] if headers else None)


@pytest.mark.parametrize(("before", "wanted"), [(2, 0), (2, 1), (0, 4), (3, 2)])
def test_a_place_that_is_not_in_the_log_is_refused_until_another_is_sought(before: int, wanted: int) -> None:
    log = log_of(b"a", b"b", b"c")
    log.delete_records("t", 0, before)
    reader = log.reader("t", {0: wanted})
    for _ in range(2):
        with pytest.raises(LogTruncated) as caught:
            reader.poll(10, 0)
        assert (caught.value.wanted, caught.value.first, caught.value.next) == (wanted, before, 3)
    reader.seek(0, 3)
    assert reader.poll(10, 0) == []


def test_deleted_records_leave_the_bounds_behind_them() -> None:
    log = log_of(b"a", b"b", b"c")
    log.delete_records("t", 0, 2)
    assert log.bounds("t", 0) == Bounds(2, 3)
    (fetch,) = log.reader("t", {0: 2}).poll(10, 0)
    assert fetch.values == [b"c"]


def test_a_hole_is_read_over() -> None:
    log = log_of(b"a")
    log.skip_offsets("t", 0, 5)
    log.writer().send("t", b"b", partition=0)
    (fetch,) = log.reader("t", {0: 0}).poll(10, 0)
    assert (list(fetch.offsets), fetch.next, log.bounds("t", 0)) == ([0, 6], 7, Bounds(0, 7))


def test_partitions_are_read_in_their_order_up_to_the_limit() -> None:
    log = log_of(partitions=3)
    for partition in (2, 0, 1):
        for _ in range(2):
            log.writer().send("t", b"%d" % partition, partition=partition)
    reader = log.reader("t", {2: 0, 0: 0, 1: 0})
    first, second = reader.poll(3, 0), reader.poll(10, 0)
    assert [(fetch.partition, fetch.values) for fetch in first] == [(0, [b"0", b"0"]), (1, [b"1"])]
    assert [(fetch.partition, fetch.values) for fetch in second] == [(1, [b"1"]), (2, [b"2", b"2"])]


def test_a_record_too_large_fails_its_writer_for_good() -> None:
    writer = log_of(max_record_bytes=3).writer()
    writer.send("t", b"abc")
    for value in (b"abcd", b"a"):
        with pytest.raises(Undeliverable, match="a record of 4 bytes is too large"):
            writer.send("t", value)
    with pytest.raises(Undeliverable):
        writer.flush(0)


def test_equal_keys_share_a_partition_and_the_sender_hears_the_place() -> None:
    log, places = log_of(partitions=4), list[tuple[int, int]]()
    for key in (b"x", b"y", b"x"):
        log.writer().send("t", b"v", key=key, on_delivered=lambda *place: places.append(place))
    assert places[0][0] == places[2][0]
    assert places[2][1] > places[0][1]


@pytest.mark.parametrize(
    ("policy", "compacted"), [("compact", True), ("compact,delete", True), ("delete", False)]
)
def test_a_topic_says_whether_it_is_compacted(policy: str, compacted: bool) -> None:
    topic = MemoryLog().ensure_topic("t", 2, settings={"cleanup.policy": policy})
    assert (topic.name, topic.partitions, topic.compacted) == ("t", 2, compacted)


def test_a_topic_is_made_once_and_keeps_its_identity_as_it_grows() -> None:
    log = MemoryLog()
    made = log.ensure_topic("t", 1)
    assert log.ensure_topic("t", 9) == made
    log.add_partitions("t", 3)
    grown = log.topic("t")
    assert grown is not None
    assert (grown.id, grown.partitions, log.bounds("t", 2)) == (made.id, 3, Bounds(0, 0))


def test_what_was_never_made_is_missing() -> None:
    log = log_of()
    assert log.topic("other") is None
    with pytest.raises(Undeliverable, match="there is no topic other"):
        log.writer().send("other", b"v")
    for topic, partition in (("other", 0), ("t", 1)):
        with pytest.raises(ConfigError, match="create the topic first"):
            log.reader(topic, {partition: 0})


def test_each_group_has_its_own_committed_offsets() -> None:
    log = log_of(partitions=2)
    log.commit("g", "t", {0: 3})
    log.commit("g", "t", {1: 4})
    log.commit("h", "t", {0: 1})
    assert log.committed("g", "t") == {0: 3, 1: 4}
    assert log.committed("h", "t") == {0: 1}
    assert log.committed("i", "t") == {}
