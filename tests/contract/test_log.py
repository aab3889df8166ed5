"""What every log promises, over memory, the embedded broker and a real Kafka broker."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain

import pytest
from confluent_kafka import Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewPartitions

from stream_ml.errors import ConfigError
from stream_ml.streams.embedded import EmbeddedBroker
from stream_ml.streams.kafka import KafkaLog
from stream_ml.streams.log import Bounds, Fetch, Log, LogTruncated, Reader, Undeliverable
from stream_ml.streams.memory import MemoryLog
from tests.servers.kafka import KafkaServer
from tests.servers.processes import wait_until


@dataclass
class Rig:
    """A log, and what only an operator of it can do; None where there is no way."""

    log: Log
    delete_records: Callable[[str, int, int], None]
    add_partitions: Callable[[str, int], None] | None = None
    leave_hole: Callable[[str, int], None] | None = None


def memory_rig() -> Rig:
    log = MemoryLog()
    return Rig(log, log.delete_records, log.add_partitions, lambda topic, at: log.skip_offsets(topic, at, 3))


def kafka_rig(server: KafkaServer) -> Rig:
    admin = AdminClient({"bootstrap.servers": server.bootstrap})

    def delete_records(topic: str, partition: int, before: int) -> None:
        place = TopicPartition(topic, partition, before)
        admin.delete_records([place])[place].result()

    def add_partitions(topic: str, partitions: int) -> None:
        admin.create_partitions([NewPartitions(topic, partitions)])[topic].result()

    def leave_hole(topic: str, partition: int) -> None:
        producer = Producer({"bootstrap.servers": server.bootstrap, "transactional.id": f"hole-{topic}"})
        producer.init_transactions()
        producer.begin_transaction()
        for _ in range(2):
            producer.produce(topic, b"never committed", partition=partition)
        producer.flush()
        producer.abort_transaction()

    log = KafkaLog({"bootstrap.servers": server.bootstrap})
    return Rig(log, delete_records, add_partitions, leave_hole)


@pytest.fixture(params=["memory", "embedded", "kafka"])
def rig(request: pytest.FixtureRequest) -> Iterator[Rig]:
    if request.param == "memory":
        made = memory_rig()
    elif request.param == "embedded":
        broker: EmbeddedBroker = request.getfixturevalue("embedded_broker")
        made = Rig(broker.log(), broker.delete_records)
    else:
        made = kafka_rig(request.getfixturevalue("kafka"))
    yield made
    made.log.close()


def append(log: Log, topic: str, values: Sequence[bytes | None], partition: int = 0) -> None:
    with log.writer() as writer:
        for value in values:
            writer.send(topic, value, partition=partition)


def read(
    log: Log, topic: str, starts: Mapping[int, int], records: int, *, max_records: int = 1000
) -> list[Fetch]:
    """Poll until that many records came."""
    reader = log.reader(topic, starts, keys=True, headers=True)
    fetches: list[Fetch] = []
    while sum(len(fetch.values) for fetch in fetches) < records:
        polled = reader.poll(max_records, 10)
        assert polled, f"nothing more came after {fetches}"
        fetches += polled
    reader.close()
    return fetches


def values(fetches: Sequence[Fetch]) -> list[bytes | None]:
    return list(chain.from_iterable(fetch.values for fetch in fetches))


def numbered(count: int) -> list[bytes | None]:
    return [b"%d" % number for number in range(count)]


def test_records_come_back_in_order_with_all_that_was_sent(rig: Rig, topic_name: str) -> None:
    rig.log.ensure_topic(topic_name, 1)
    with rig.log.writer() as writer:
        for number in range(2500):
            writer.send(
                topic_name,
                b"%d" % number,
                key=b"key %d" % number,
                partition=0,
                headers={"number": b"%d" % number},
            )
    fetches = read(rig.log, topic_name, {0: 0}, 2500)
    assert values(fetches) == numbered(2500)
    assert list(chain.from_iterable(fetch.offsets for fetch in fetches)) == list(range(2500))
    assert [key for fetch in fetches for key in fetch.keys or ()] == [b"key %d" % n for n in range(2500)]
    assert [header for fetch in fetches for header in fetch.headers or ()] == [
        {"number": b"%d" % n} for n in range(2500)
    ]
    stamps = [stamp for fetch in fetches for stamp in fetch.timestamps_ms]
    assert len(stamps) == 2500
    assert min(stamps) > 1_600_000_000_000


def test_fetches_follow_on_each_other_and_keep_the_limit(rig: Rig, topic_name: str) -> None:
    rig.log.ensure_topic(topic_name, 1)
    append(rig.log, topic_name, numbered(100))
    fetches = read(rig.log, topic_name, {0: 30}, 70, max_records=7)
    assert fetches[0].first == 30
    assert fetches[-1].next == 100
    assert all(len(fetch.values) <= 7 for fetch in fetches)
    assert [fetch.next for fetch in fetches[:-1]] == [fetch.first for fetch in fetches[1:]]


def test_keys_and_headers_are_not_fetched_unasked(rig: Rig, topic_name: str) -> None:
    rig.log.ensure_topic(topic_name, 1)
    append(rig.log, topic_name, numbered(1))
    (fetch,) = rig.log.reader(topic_name, {0: 0}).poll(10, 10)
    assert fetch.keys is None
    assert fetch.headers is None


def test_a_tombstone_is_none_and_an_empty_value_is_not(rig: Rig, topic_name: str) -> None:
    rig.log.ensure_topic(topic_name, 1)
    append(rig.log, topic_name, [b"a", None, b"", b"b"])
    assert values(read(rig.log, topic_name, {0: 0}, 4)) == [b"a", None, b"", b"b"]


def test_partitions_have_one_fetch_each_in_their_order(rig: Rig, topic_name: str) -> None:
    rig.log.ensure_topic(topic_name, 3)
    for partition in (2, 0, 1):
        append(rig.log, topic_name, numbered(200), partition)
    reader = rig.log.reader(topic_name, {2: 100, 0: 150, 1: 0})
    seen: dict[int, list[bytes | None]] = {0: [], 1: [], 2: []}
    while sum(map(len, seen.values())) < 350:
        fetches = reader.poll(120, 10)
        assert fetches
        assert sum(len(fetch.values) for fetch in fetches) <= 120
        partitions = [fetch.partition for fetch in fetches]
        assert partitions == sorted(set(partitions))
        for fetch in fetches:
            seen[fetch.partition] += fetch.values
    assert seen == {0: numbered(200)[150:], 1: numbered(200), 2: numbered(200)[100:]}


def test_nothing_new_is_an_empty_list(rig: Rig, topic_name: str) -> None:
    rig.log.ensure_topic(topic_name, 1)
    append(rig.log, topic_name, numbered(5))
    reader = rig.log.reader(topic_name, {0: 5})
    assert reader.poll(10, 0) == []
    assert reader.poll(10, 0.2) == []
    append(rig.log, topic_name, [b"new"])
    assert values(reader.poll(10, 10)) == [b"new"]


@pytest.mark.parametrize("place", [0, 450, 3000])
def test_a_seek_forgets_what_was_buffered(rig: Rig, topic_name: str, place: int) -> None:
    rig.log.ensure_topic(topic_name, 2)
    for partition in (0, 1):
        append(rig.log, topic_name, numbered(4000), partition)
    reader = rig.log.reader(topic_name, {0: 0, 1: 0})
    seen: dict[int, list[bytes | None]] = {0: [], 1: []}
    while len(seen[0]) < 500:
        for fetch in reader.poll(100, 10):
            seen[fetch.partition] += fetch.values
    reader.seek(0, place)
    seen[0] = []
    while len(seen[0]) < 4000 - place or len(seen[1]) < 4000:
        for fetch in reader.poll(100, 10):
            seen[fetch.partition] += fetch.values
    assert seen == {0: numbered(4000)[place:], 1: numbered(4000)}


def test_a_hole_is_passed_and_told(rig: Rig, topic_name: str) -> None:
    if rig.leave_hole is None:
        return  # the embedded broker knows no transactions: it has no holes to pass
    rig.log.ensure_topic(topic_name, 1)
    append(rig.log, topic_name, numbered(3))
    rig.leave_hole(topic_name, 0)
    append(rig.log, topic_name, numbered(2))
    fetches = read(rig.log, topic_name, {0: 0}, 5)
    assert values(fetches) == [*numbered(3), *numbered(2)]
    assert list(chain.from_iterable(fetch.offsets for fetch in fetches)) == [0, 1, 2, 6, 7]
    assert fetches[-1].next == 8


def test_a_hole_at_the_end_is_within_the_bounds(rig: Rig, topic_name: str) -> None:
    if rig.leave_hole is None:
        return
    rig.log.ensure_topic(topic_name, 1)
    append(rig.log, topic_name, numbered(3))
    rig.leave_hole(topic_name, 0)
    wait_until(lambda: rig.log.bounds(topic_name, 0) == Bounds(0, 6))  # a broker marks the end a little later
    assert read(rig.log, topic_name, {0: 0}, 3)[-1].next == 3


def test_bounds_follow_what_is_appended_and_deleted(rig: Rig, topic_name: str) -> None:
    rig.log.ensure_topic(topic_name, 2)
    assert rig.log.bounds(topic_name, 1) == Bounds(0, 0)
    append(rig.log, topic_name, numbered(10), 1)
    rig.delete_records(topic_name, 1, 4)
    assert rig.log.bounds(topic_name, 1) == Bounds(4, 10)
    assert rig.log.bounds(topic_name, 0) == Bounds(0, 0)


@pytest.mark.parametrize("wanted", [3, 11])
def test_a_place_that_is_not_there_is_an_error_that_names_it(rig: Rig, topic_name: str, wanted: int) -> None:
    rig.log.ensure_topic(topic_name, 1)
    append(rig.log, topic_name, numbered(10))
    rig.delete_records(topic_name, 0, 4)
    reader = rig.log.reader(topic_name, {0: wanted})
    with pytest.raises(LogTruncated, match=f"offset {wanted} is gone") as raised:
        reader.poll(10, 10)
    assert (raised.value.wanted, raised.value.first, raised.value.next) == (wanted, 4, 10)
    with pytest.raises(LogTruncated):
        reader.poll(10, 10)
    reader.seek(0, 4)
    assert values(reader.poll(1, 10)) == [b"4"]


def test_other_partitions_records_survive_the_error(rig: Rig, topic_name: str) -> None:
    rig.log.ensure_topic(topic_name, 2)
    append(rig.log, topic_name, numbered(10), 0)
    append(rig.log, topic_name, numbered(10), 1)
    rig.delete_records(topic_name, 1, 5)
    reader = rig.log.reader(topic_name, {0: 0, 1: 0})
    seen: list[bytes | None] = []

    def read_on() -> None:
        while len(seen) < 15:
            fetches = reader.poll(10, 10)
            assert fetches
            seen.extend(values(fetches))

    with pytest.raises(LogTruncated, match=r"\[1\]: offset 0"):
        read_on()
    reader.seek(1, 5)
    read_on()
    assert sorted(seen, key=str) == sorted([*numbered(10), *numbered(10)[5:]], key=str)


def test_every_partition_whose_place_is_gone_is_told(rig: Rig, topic_name: str) -> None:
    rig.log.ensure_topic(topic_name, 2)
    for partition in (0, 1):
        append(rig.log, topic_name, numbered(10), partition)
        rig.delete_records(topic_name, partition, 5)
    reader = rig.log.reader(topic_name, {0: 0, 1: 0})
    told = set()
    for _ in range(2):
        with pytest.raises(LogTruncated) as raised:
            poll_until_error(reader)
        told.add(raised.value.partition)
        reader.seek(raised.value.partition, 10)
    assert told == {0, 1}
    assert reader.poll(10, 0.2) == []


def poll_until_error(reader: Reader) -> None:
    for _ in range(100):
        reader.poll(10, 0.1)


def test_an_added_partition_is_seen_and_read_from_its_beginning(rig: Rig, topic_name: str) -> None:
    if rig.add_partitions is None:
        return  # the embedded broker has no topic administration
    before = rig.log.ensure_topic(topic_name, 1)
    append(rig.log, topic_name, numbered(2))
    rig.add_partitions(topic_name, 3)
    after = rig.log.topic(topic_name)
    assert after is not None
    assert (after.partitions, after.id) == (3, before.id)
    append(rig.log, topic_name, numbered(3), 2)
    assert values(read(rig.log, topic_name, {0: 2, 1: 0, 2: 0}, 3)) == numbered(3)


def test_an_unknown_topic_is_none_and_asking_does_not_create_it(rig: Rig, topic_name: str) -> None:
    assert rig.log.topic(topic_name) is None
    with pytest.raises(ConfigError, match=topic_name):
        rig.log.bounds(topic_name, 0)
    with pytest.raises(ConfigError, match=topic_name):
        rig.log.reader(topic_name, {0: 0})
    assert rig.log.topic(topic_name) is None


def test_sending_to_an_unknown_topic_is_refused(rig: Rig, topic_name: str) -> None:
    with pytest.raises(Undeliverable, match=topic_name), rig.log.writer() as writer:
        writer.send(topic_name, b"lost")
    assert rig.log.topic(topic_name) is None


def test_a_topic_that_exists_is_left_as_it_is(rig: Rig, topic_name: str) -> None:
    first = rig.log.ensure_topic(topic_name, 3, retention_seconds=3600)
    assert (first.name, first.partitions, first.compacted) == (topic_name, 3, False)
    assert first.id != ""
    assert rig.log.ensure_topic(topic_name, 5) == first == rig.log.topic(topic_name)


def test_committed_offsets_are_kept_by_group(rig: Rig, topic_name: str) -> None:
    rig.log.ensure_topic(topic_name, 3)
    append(rig.log, topic_name, numbered(10), 2)
    group = f"group-{topic_name}"
    assert rig.log.committed(group, topic_name) == {}
    rig.log.commit(group, topic_name, {0: 0, 2: 7})
    rig.log.commit(group, topic_name, {2: 9})
    await_commits(rig.log, group, topic_name, {0: 0, 2: 9})
    assert rig.log.committed(f"other-{group}", topic_name) == {}


def await_commits(log: Log, group: str, topic: str, expected: dict[int, int]) -> None:
    wait_until(lambda: log.committed(group, topic) == expected, 10, lambda: str(log.committed(group, topic)))


def test_the_writer_tells_where_each_record_is(rig: Rig, topic_name: str) -> None:
    rig.log.ensure_topic(topic_name, 2)
    places: list[tuple[int, int]] = []
    with rig.log.writer() as writer:
        for number in range(6):
            writer.send(
                topic_name,
                b"x",
                partition=number % 2,
                on_delivered=lambda partition, offset: places.append((partition, offset)),
            )
        writer.flush(30)
        assert sorted(places) == [(0, 0), (0, 1), (0, 2), (1, 0), (1, 1), (1, 2)]


def test_records_of_one_key_meet_in_one_partition(rig: Rig, topic_name: str) -> None:
    rig.log.ensure_topic(topic_name, 3)
    places: dict[bytes, set[int]] = {}
    with rig.log.writer() as writer:
        for number in range(60):
            key = b"key %d" % (number % 20)
            writer.send(
                topic_name,
                b"x",
                key=key,
                on_delivered=lambda partition, _, key=key: places.setdefault(key, set()).add(partition),  # type: ignore[misc]
            )
    assert len(places) == 20
    assert all(len(partitions) == 1 for partitions in places.values())
    assert set.union(*places.values()) == {0, 1, 2}


def test_a_record_that_is_too_large_ends_the_writer(rig: Rig, topic_name: str) -> None:
    rig.log.ensure_topic(topic_name, 1)
    writer = rig.log.writer()
    writer.send(topic_name, b"fits")
    writer.flush(10)
    with pytest.raises(Undeliverable, match="2000000 bytes"):
        writer.send(topic_name, bytes(2_000_000))
    with pytest.raises(Undeliverable):
        writer.send(topic_name, b"after it")
    with pytest.raises(Undeliverable):
        writer.flush(10)
    with pytest.raises(Undeliverable):
        writer.close()
    writer.close()
    assert values(read(rig.log, topic_name, {0: 0}, 1)) == [b"fits"]
