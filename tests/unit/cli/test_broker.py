import pytest

from stream_ml.cli.broker import find_broker, topic_and_group
from stream_ml.errors import ConfigError
from stream_ml.local import running
from stream_ml.local.running import Running

HERE = Running(
    model="m", bootstrap="127.0.0.1:1", embedded=True, topic="events", group="m.learner",
    predictor="127.0.0.1:2", learner_http="127.0.0.1:3", predictor_http="127.0.0.1:4", snapshot_store="/s",
)  # fmt: skip


def test_a_broker_that_is_named_is_taken_whatever_runs(tmp_path, monkeypatch):
    HERE.save(tmp_path)
    named = tmp_path / "kafka.properties"
    named.write_text("bootstrap.servers=in.file:1\nsasl.username=me\n")
    monkeypatch.setenv("STREAM_ML_KAFKA_SSL_CA_LOCATION", "/ca.pem")
    both = {"sasl.username": "me", "ssl.ca.location": "/ca.pem"}
    assert find_broker(None, named, tmp_path) == ({"bootstrap.servers": "in.file:1", **both}, None)
    assert find_broker("option:1", named, tmp_path) == ({"bootstrap.servers": "option:1", **both}, None)


def test_without_a_name_it_is_the_broker_of_what_runs_with_the_settings_there_are(tmp_path, monkeypatch):
    HERE.save(tmp_path)
    monkeypatch.setenv("STREAM_ML_KAFKA_SASL_USERNAME", "me")
    settings = {"bootstrap.servers": HERE.bootstrap, "sasl.username": "me"}
    assert find_broker(None, None, tmp_path) == (settings, HERE)


def test_without_a_name_and_without_what_runs_the_option_is_hinted_at(tmp_path, monkeypatch):
    monkeypatch.setattr(running, "STARTING_SECONDS", 0.0)
    with pytest.raises(ConfigError, match=r"nothing runs from .*\n.*--bootstrap"):
        find_broker(None, None, tmp_path)


def test_only_who_learns_the_topic_is_followed_unless_a_group_is_named():
    assert topic_and_group(None, None, HERE) == ("events", "m.learner")
    assert topic_and_group("events", None, HERE) == ("events", "m.learner")
    assert topic_and_group("history", None, HERE) == ("history", None)
    assert topic_and_group("history", "g", HERE) == ("history", "g")
    assert topic_and_group("history", None, None) == ("history", None)
    with pytest.raises(ConfigError, match=r"no topic is named\n  hint: --topic"):
        topic_and_group(None, "g", None)
