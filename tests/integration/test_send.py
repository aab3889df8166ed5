"""``stream-ml send`` against brokers: what arrives, what it reports, how it ends."""

from __future__ import annotations

from pathlib import Path

import orjson
import pytest
from click.testing import CliRunner, Result

from stream_ml.cli.send import send
from stream_ml.errors import ConfigError
from stream_ml.streams.embedded import EmbeddedBroker
from stream_ml.streams.kafka import KafkaLog
from stream_ml.streams.log import Fetch, Log
from tests.servers.kafka import KafkaServer


def run(*arguments: object, env: dict[str, str] | None = None) -> Result:
    result = CliRunner().invoke(send, [str(argument) for argument in arguments], env=env)
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


def arrived(log: Log, topic: str) -> Fetch:
    """All records of the topic's only partition."""
    (fetch,) = log.reader(topic, {0: 0}, keys=True).poll(100_000, 10)
    assert fetch.next == log.bounds(topic, 0).next
    return fetch


def test_a_csv_file_arrives_as_json_lines_packed_by_a_field(
    kafka: KafkaServer, topic_name: str, tmp_path: Path
) -> None:
    file = tmp_path / "lines.csv"
    file.write_text("basket,price\nb1,1.5\nb1,2\nb2,\n")
    arguments = ("--bootstrap", kafka.bootstrap, "--topic", topic_name, "--create", 1)
    result = run(file, *arguments, "--record-by", "basket", "--json")
    report = orjson.loads(result.stdout)
    assert {name: report[name] for name in ("events", "records", "acknowledged", "broken", "topic")} == {
        "events": 3,
        "records": 2,
        "acknowledged": 2,
        "broken": 0,
        "topic": topic_name,
    }
    fetch = arrived(KafkaLog({"bootstrap.servers": kafka.bootstrap}), topic_name)
    assert fetch.values == [b'{"basket":"b1","price":1.5}\n{"basket":"b1","price":2}', b'{"basket":"b2"}']
    assert fetch.keys == [b"b1", b"b2"]


def test_a_broken_line_is_sent_and_told(embedded_broker: EmbeddedBroker, tmp_path: Path) -> None:
    file = tmp_path / "events.jsonl"
    file.write_bytes(b'{"id":1}\n{"id":\n{"id":3}\n')
    log = embedded_broker.log()
    log.ensure_topic("events", 1)
    arguments = ("--bootstrap", embedded_broker.bootstrap, "--topic", "events", "--follow-group", "g")
    result = run(file, *arguments)
    assert "3 events in 3 records to events" in result.stdout
    assert "1 of them are no JSON objects" in result.stdout
    assert arrived(log, "events").values == [b'{"id":1}', b'{"id":', b'{"id":3}']


def test_a_basket_that_does_not_fit_into_a_record_is_told(
    embedded_broker: EmbeddedBroker, tmp_path: Path
) -> None:
    file = tmp_path / "events.jsonl"
    file.write_bytes(b'{"basket":1}\n' * 2001 + b'{"basket":2}\n')
    log = embedded_broker.log()
    log.ensure_topic("events", 1)
    arguments = (file, "--bootstrap", embedded_broker.bootstrap, "--topic", "events")
    arguments += ("--follow-group", "g", "--record-by", "basket")
    assert "2 records hold what no longer fitted into the one before: a record has at most 1,000" in (
        run(*arguments).stdout
    )
    assert [value.count(b"\n") + 1 for value in arrived(log, "events").values] == [1000, 1000, 1, 1]
    assert orjson.loads(run(*arguments, "--json").stdout)["rests"] == 2
    assert "fitted" not in run(*arguments[:-2]).stdout


def test_it_stops_after_as_many_records_as_asked(embedded_broker: EmbeddedBroker, tmp_path: Path) -> None:
    file = tmp_path / "events.jsonl"
    file.write_bytes(b'{"id":1}\n' * 10)
    log = embedded_broker.log()
    log.ensure_topic("events", 1)
    settings = tmp_path / "client.properties"
    settings.write_text(f"# ours\nbootstrap.servers = {embedded_broker.bootstrap}\nlinger.ms=1\n")
    result = run(
        file,
        "--topic",
        "events",
        "--follow-group",
        "g",
        "--kafka-file",
        settings,
        "--max-records",
        4,
        "--rate",
        1000,
    )
    assert "4 events" in result.stdout
    assert len(arrived(log, "events").values) == 4


def test_a_misspelt_topic_is_refused_and_not_created(
    kafka: KafkaServer, topic_name: str, tmp_path: Path
) -> None:
    file = tmp_path / "events.jsonl"
    file.write_bytes(b"{}\n")
    with pytest.raises(ConfigError, match="--create"):
        run(file, "--topic", topic_name, env={"STREAM_ML_KAFKA_BOOTSTRAP_SERVERS": kafka.bootstrap})
    assert KafkaLog({"bootstrap.servers": kafka.bootstrap}).topic(topic_name) is None


def test_a_broker_without_a_topic_named_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="--topic"):
        run(tmp_path / "events.jsonl", "--bootstrap", "127.0.0.1:1")


def test_an_unknown_client_setting_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="nonsense"):
        run(
            tmp_path / "events.jsonl",
            *("--bootstrap", "127.0.0.1:1", "--topic", "events"),
            env={"STREAM_ML_KAFKA_NONSENSE": "1"},
        )


def test_a_file_that_breaks_in_the_middle_says_what_was_sent_before(
    embedded_broker: EmbeddedBroker, tmp_path: Path
) -> None:
    file = tmp_path / "events.csv"
    file.write_text("id,price\n1,2\n2,3\n3\n4,5\n")
    log = embedded_broker.log()
    log.ensure_topic("events", 1)
    with pytest.raises(ConfigError, match=r"events\.csv:4: 1 cells.*\n.*the first 1 events are sent"):
        run(file, "--bootstrap", embedded_broker.bootstrap, "--topic", "events", "--follow-group", "g")
    assert arrived(log, "events").values == [b'{"id":1,"price":2}']
