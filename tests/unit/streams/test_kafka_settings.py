from __future__ import annotations

from collections.abc import Callable, Mapping

import pytest

from stream_ml.errors import ConfigError
from stream_ml.streams.kafka_settings import admin_settings, reader_settings, writer_settings

KINDS = [admin_settings, reader_settings, writer_settings]
Kind = Callable[[Mapping[str, str]], dict[str, str]]


@pytest.mark.parametrize("kind", KINDS)
def test_an_operators_settings_pass_through(kind: Kind) -> None:
    settings = {"sasl.username": "learner", "ssl.ca.location": "/etc/ca.pem", "linger.ms": "7"}
    assert kind(settings).items() >= settings.items()


@pytest.mark.parametrize("kind", KINDS)
def test_no_client_creates_a_topic_by_a_misspelling(kind: Kind) -> None:
    assert kind({})["allow.auto.create.topics"] == "false"


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("acks", "1"),
        ("enable.idempotence", "false"),
        ("auto.offset.reset", "earliest"),
        ("isolation.level", "read_uncommitted"),
        ("enable.auto.commit", "true"),
    ],
)
def test_what_exactness_rests_on_cannot_be_changed(kind: Kind, name: str, value: str) -> None:
    with pytest.raises(ConfigError, match=f"{name}={value}"):
        kind({name: value})


def test_saying_what_holds_anyway_is_allowed() -> None:
    assert writer_settings({"acks": "all", "auto.offset.reset": "error"})["acks"] == "all"


def test_a_reader_stops_where_its_place_is_gone_and_commits_nothing() -> None:
    settings = reader_settings({})
    assert settings["auto.offset.reset"] == "error"
    assert settings["enable.auto.commit"] == settings["enable.auto.offset.store"] == "false"
    assert settings["check.crcs"] == "true"


def test_a_writer_waits_for_all_replicas() -> None:
    assert (writer_settings({})["acks"], writer_settings({})["enable.idempotence"]) == ("all", "true")
