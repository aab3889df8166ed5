"""What only a real broker can do to us: be away, die, lose a topic, refuse to let us in."""

from __future__ import annotations

import time

import pytest
from confluent_kafka.admin import AdminClient, ConfigResource, ResourceType

from stream_ml.errors import CannotContinue, ConfigError
from stream_ml.streams.kafka import KafkaLog
from stream_ml.streams.log import Fetch, LogTruncated, LogUnavailable, Reader, Undeliverable
from tests.servers.kafka import SASL, KafkaServer, require_kafka
from tests.servers.processes import free_port


def open_log(server: KafkaServer, **settings: str) -> KafkaLog:
    return KafkaLog({"bootstrap.servers": server.bootstrap, **settings})


def read_all(reader: Reader, records: int) -> list[Fetch]:
    fetches: list[Fetch] = []
    end = time.monotonic() + 60
    while sum(len(fetch.values) for fetch in fetches) < records:
        assert time.monotonic() < end, fetches
        fetches += reader.poll(1000, 1)
    return fetches


def test_a_killed_broker_loses_and_repeats_nothing(own_kafka: KafkaServer) -> None:
    log = open_log(own_kafka)
    log.ensure_topic("events", 1, retention_seconds=3600)
    reader = log.reader("events", {0: 0})
    with log.writer() as writer:
        for number in range(30_000):
            if number in (5_000, 20_000):
                own_kafka.kill()
                own_kafka.start()
            writer.send("events", b"%d" % number, partition=0)
    fetches = read_all(reader, 30_000)
    values = [value for fetch in fetches for value in fetch.values]
    assert values == [b"%d" % number for number in range(30_000)]
    assert log.bounds("events", 0).next == 30_000


@pytest.mark.parametrize(
    ("records", "told"),
    [
        ([3], "offset 10 is gone"),
        ([20], "recreated"),
        pytest.param([3, 20], "recreated", id="refused first, there when it is asked why"),
    ],
)
def test_a_recreated_topic_is_another_and_never_read_on(
    kafka: KafkaServer, topic_name: str, records: list[int], told: str
) -> None:
    log = open_log(kafka)
    first = log.ensure_topic(topic_name, 1)
    with log.writer() as writer:
        for number in range(10):
            writer.send(topic_name, b"old %d" % number)
    reader = log.reader(topic_name, {0: 0})
    read_all(reader, 10)
    admin = AdminClient({"bootstrap.servers": kafka.bootstrap})
    admin.delete_topics([topic_name])[topic_name].result()
    while log.topic(topic_name) is not None:
        time.sleep(0.05)
    assert log.ensure_topic(topic_name, 1).id != first.id
    for more in records:
        with open_log(kafka).writer() as writer:
            for number in range(more):
                writer.send(topic_name, b"new %d" % number)
        if more < max(records):
            time.sleep(2)  # the client, which fetches ahead, is refused

    def read_on() -> None:
        end = time.monotonic() + 30
        while time.monotonic() < end:
            reader.poll(100, 1)

    with pytest.raises(LogTruncated, match=told):
        read_on()


def test_a_deleted_topic_is_told(kafka: KafkaServer, topic_name: str) -> None:
    log = open_log(kafka)
    log.ensure_topic(topic_name, 1)
    reader = log.reader(topic_name, {0: 0})
    admin = AdminClient({"bootstrap.servers": kafka.bootstrap})
    admin.delete_topics([topic_name])[topic_name].result()

    def read_on() -> None:
        end = time.monotonic() + 30
        while time.monotonic() < end:
            reader.poll(100, 0.2)

    with pytest.raises(LogTruncated, match="deleted"):
        read_on()


def test_absent_brokers_are_told_after_the_deadline() -> None:
    log = KafkaLog({"bootstrap.servers": f"127.0.0.1:{free_port()}"}, request_seconds=0.5)
    with pytest.raises(LogUnavailable, match="refused"):
        log.topic("events")
    with pytest.raises(LogUnavailable):
        log.ensure_topic("events", 1)
    log.commit("group", "events", {0: 7})  # advice: never raises
    with pytest.raises(Undeliverable, match="1 records not acknowledged"):
        send_one(log)
    log.close()


def send_one(log: KafkaLog) -> None:
    with log.writer() as writer:
        writer.send("events", b"x")
        writer.flush(0.5)


def test_a_reader_says_after_its_deadline_that_the_broker_is_away(own_kafka: KafkaServer) -> None:
    settings = {"bootstrap.servers": own_kafka.bootstrap}
    log = KafkaLog(settings, request_seconds=0.5, unavailable_after_seconds=0.5)
    log.ensure_topic("events", 1)
    reader = log.reader("events", {0: 0})
    with log.writer() as writer:
        writer.send("events", b"before")
    read_all(reader, 1)
    own_kafka.kill()

    def read_on() -> None:
        end = time.monotonic() + 30
        while time.monotonic() < end:
            reader.poll(100, 0.2)

    with pytest.raises(LogUnavailable):
        read_on()
    own_kafka.start()
    with open_log(own_kafka).writer() as writer:
        writer.send("events", b"after")
    assert [fetch.values for fetch in read_all(patient(reader), 1)] == [[b"after"]]


class patient:  # noqa: N801
    """A reader that is asked again where the broker is still away."""

    def __init__(self, reader: Reader) -> None:
        self.seek, self.close, self._reader = reader.seek, reader.close, reader

    def poll(self, max_records: int, timeout_seconds: float) -> list[Fetch]:
        try:
            return self._reader.poll(max_records, timeout_seconds)
        except LogUnavailable:
            return []


def test_a_full_queue_holds_the_sender_back_and_loses_nothing(kafka: KafkaServer, topic_name: str) -> None:
    log = open_log(kafka, **{"queue.buffering.max.messages": "10"})
    log.ensure_topic(topic_name, 1)
    with log.writer() as writer:
        for number in range(2_000):
            writer.send(topic_name, b"%d" % number)
    fetches = read_all(log.reader(topic_name, {0: 0}), 2_000)
    assert [value for fetch in fetches for value in fetch.values] == [
        b"%d" % number for number in range(2_000)
    ]


def test_a_compacted_topic_is_said_to_be_one(kafka: KafkaServer, topic_name: str) -> None:
    log = open_log(kafka)
    assert log.ensure_topic(topic_name, 1, settings={"cleanup.policy": "compact,delete"}).compacted


def test_retention_is_what_was_asked_for(kafka: KafkaServer, topic_name: str) -> None:
    log = open_log(kafka)
    log.ensure_topic(topic_name, 1, retention_seconds=90)
    log.ensure_topic(f"{topic_name}-for-ever", 1)
    assert (setting(kafka, topic_name), setting(kafka, f"{topic_name}-for-ever")) == ("90000", "-1")


def setting(server: KafkaServer, topic: str, name: str = "retention.ms") -> str:
    admin = AdminClient({"bootstrap.servers": server.bootstrap})
    resource = ConfigResource(ResourceType.TOPIC, topic)
    return str(admin.describe_configs([resource])[resource].result()[name].value)


# Kafka's own published values of murmur2: a Java producer sends these keys to these partitions.
@pytest.mark.parametrize(
    ("key", "murmur2"),
    [(b"21", -973932308), (b"foobar", -790332482), (b"a-little-bit-long-string", -985981536)],
)
def test_a_key_goes_where_a_java_producer_sends_it(
    kafka: KafkaServer, topic_name: str, key: bytes, murmur2: int
) -> None:
    log = open_log(kafka)
    log.ensure_topic(topic_name, 7)
    places: list[int] = []
    with log.writer() as writer:
        writer.send(topic_name, b"x", key=key, on_delivered=lambda partition, _: places.append(partition))
    assert places == [(murmur2 & 0x7FFFFFFF) % 7]


def test_records_tell_their_leaders_epoch(kafka: KafkaServer, topic_name: str) -> None:
    log = open_log(kafka)
    log.ensure_topic(topic_name, 1)
    with log.writer() as writer:
        writer.send(topic_name, b"x")
    (fetch,) = read_all(log.reader(topic_name, {0: 0}), 1)
    assert fetch.leader_epoch == 0


@pytest.mark.parametrize(
    "settings",
    [{"nonsense": "1"}, {"acks": "1"}, {"auto.offset.reset": "latest"}, {"socket.timeout.ms": "soon"}],
)
def test_a_setting_that_cannot_be_is_refused_by_name(settings: dict[str, str]) -> None:
    with pytest.raises(ConfigError, match=next(iter(settings))):
        KafkaLog({"bootstrap.servers": "127.0.0.1:1", **settings}).writer()


def test_sasl_settings_pass_through_and_a_wrong_password_is_a_refusal(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    require_kafka()
    server = KafkaServer(tmp_path_factory.mktemp("kafka") / "sasl", SASL)
    sasl = {
        "bootstrap.servers": server.bootstrap,
        "security.protocol": "SASL_PLAINTEXT",
        "sasl.mechanism": "PLAIN",
        "sasl.username": "learner",
    }
    try:
        server.start_process()
        log = KafkaLog({**sasl, "sasl.password": "right"}, request_seconds=30)
        log.ensure_topic("events", 1)
        with log.writer() as writer:
            writer.send("events", b"let in")
        assert read_all(log.reader("events", {0: 0}), 1)[0].values == [b"let in"]
        with pytest.raises(CannotContinue, match="SASL"):
            KafkaLog({**sasl, "sasl.password": "wrong"}, request_seconds=5).topic("events")
    finally:
        server.stop()
