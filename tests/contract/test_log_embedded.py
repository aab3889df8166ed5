"""What only the embedded broker does: other processes join it, it forgets, senders have to follow."""

from __future__ import annotations

import threading
from random import Random

import pytest
from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition

from stream_ml.errors import CannotContinue, ConfigError, RecoverableError
from stream_ml.streams.embedded import EmbeddedBroker
from stream_ml.streams.kafka import KafkaLog
from stream_ml.streams.log import Bounds, LogUnavailable, Topic
from stream_ml.streams.paced import PacedSender
from tests.servers.processes import Process


def joined(broker: EmbeddedBroker) -> KafkaLog:
    """The log as another process has it: by the address alone."""
    return KafkaLog({"bootstrap.servers": broker.bootstrap})


def test_another_process_creates_writes_and_this_one_reads(
    embedded_broker: EmbeddedBroker, tmp_path_factory: pytest.TempPathFactory
) -> None:
    script = """
import sys
from stream_ml.streams.kafka import KafkaLog
log = KafkaLog({"bootstrap.servers": sys.argv[1]})
assert log.ensure_topic("events", 3).partitions == 3
with log.writer() as writer:
    writer.send("events", b"from there", partition=2)
"""
    log_file = tmp_path_factory.mktemp("joined") / "output"
    process = Process.python(["-c", script, embedded_broker.bootstrap], log_file).start()
    assert process.wait() == 0, process.output()
    log = embedded_broker.log()
    (fetch,) = log.reader("events", {2: 0}).poll(10, 10)
    assert fetch.values == [b"from there"]


def test_a_topic_that_exists_is_the_same_from_everywhere(embedded_broker: EmbeddedBroker) -> None:
    here, there = embedded_broker.log(), joined(embedded_broker)
    made = there.ensure_topic("journal", 1)
    assert made == here.ensure_topic("journal", 7) == there.ensure_topic("journal", 7)
    assert made.partitions == 1


def test_an_impossible_request_is_told_and_the_next_one_is_heard(embedded_broker: EmbeddedBroker) -> None:
    there = KafkaLog({"bootstrap.servers": embedded_broker.bootstrap}, request_seconds=0.5)
    with pytest.raises(LogUnavailable, match="no broker knows it"):
        there.ensure_topic("events", -1)
    assert there.ensure_topic("events", 2).partitions == 2


def test_it_says_how_little_it_keeps_and_kafka_does_not(embedded_broker: EmbeddedBroker) -> None:
    assert embedded_broker.log().retained_bytes == joined(embedded_broker).retained_bytes == 5 * 1024 * 1024


def test_two_brokers_hold_topics_of_their_own(embedded_broker: EmbeddedBroker) -> None:
    with EmbeddedBroker() as other:
        first = embedded_broker.log().ensure_topic("events", 1)
        assert other.log().topic("events") is None
        second = other.log().ensure_topic("events", 1)
        assert isinstance(first, Topic)
        assert first.id != second.id


def test_sending_to_it_asks_whom_to_follow(embedded_broker: EmbeddedBroker) -> None:
    with pytest.raises(ConfigError, match="follow"):
        PacedSender(embedded_broker.log(), "events")


def test_a_sender_that_follows_a_reader_loses_nothing_to_its_retention(
    embedded_broker: EmbeddedBroker,
) -> None:
    log = embedded_broker.log()
    log.ensure_topic("events", 2)
    # Eight times what the broker keeps, of bytes that do not compress.
    noise = [Random(seed).randbytes(20_000) for seed in range(50)]
    records = 2 * 8 * 5 * 1024 * 1024 // 20_000
    seen: dict[int, int] = {0: 0, 1: 0}

    def follow() -> None:
        reader = log.reader("events", {0: 0, 1: 0})
        while sum(seen.values()) < records:
            for fetch in reader.poll(100, 10):
                assert fetch.first == seen[fetch.partition]
                seen[fetch.partition] = fetch.next
            log.commit("learner", "events", seen)
        reader.close()

    follower = threading.Thread(target=follow)
    follower.start()
    with PacedSender(log, "events", follow_group="learner") as sender:
        for number in range(records):
            sender.send(noise[number % len(noise)], key=b"%d" % number)
    follower.join(60)
    assert sum(seen.values()) == records == sender.acknowledged.total()
    assert sender.waited_seconds > 0
    assert log.bounds("events", 0).first > 0, "the broker dropped nothing: the test shows nothing"


def test_a_follower_that_stands_still_is_told_of(embedded_broker: EmbeddedBroker) -> None:
    log = embedded_broker.log()
    log.ensure_topic("events", 1)
    sender = PacedSender(log, "events", follow_group="nobody", stalled_after_seconds=0.2)

    def send_on() -> None:
        for _ in range(100):
            sender.send(bytes(100_000))

    with pytest.raises(RecoverableError, match="nobody"):
        send_on()
    sender.close()
    assert log.bounds("events", 0) == Bounds(0, sender.records)


def test_creating_a_topic_twice_is_refused_where_it_runs(embedded_broker: EmbeddedBroker) -> None:
    embedded_broker.create_topic("events", 1)
    with pytest.raises(CannotContinue, match="events"):
        embedded_broker.create_topic("events", 1)


def test_nobody_answers_after_it_is_closed() -> None:
    with EmbeddedBroker() as broker:
        log = KafkaLog({"bootstrap.servers": broker.bootstrap}, request_seconds=0.5)
        assert log.topic("events") is None
    with pytest.raises(LogUnavailable):
        log.topic("events")


def test_closing_twice_is_closing_once() -> None:
    broker = EmbeddedBroker()
    broker.close()
    broker.close()


class Moving:
    """A consumer whose broker answers once that another leads the partition."""

    def __init__(self, consumer: Consumer) -> None:
        self._consumer, self._refusals = consumer, [KafkaError.NOT_LEADER_FOR_PARTITION]

    def get_watermark_offsets(self, asked: TopicPartition, timeout: float) -> tuple[int, int]:
        if self._refusals:
            raise KafkaException(KafkaError(self._refusals.pop()))
        low, high = self._consumer.get_watermark_offsets(asked, timeout=timeout)
        return low, high

    def __getattr__(self, name: str) -> object:
        return getattr(self._consumer, name)


def test_bounds_of_a_partition_that_has_just_moved_are_asked_for_again(
    embedded_broker: EmbeddedBroker, topic_name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = embedded_broker.log()
    log.ensure_topic(topic_name, 1)
    monkeypatch.setattr(log, "_consumer", Moving(log._consumer))
    assert log.bounds(topic_name, 0) == Bounds(0, 0)
    log.close()
