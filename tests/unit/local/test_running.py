from dataclasses import replace

import pytest

from stream_ml.errors import ConfigError
from stream_ml.local import running
from stream_ml.local.running import Running

HERE = Running(
    model="m", bootstrap="127.0.0.1:1", embedded=True, topic="events", group="m.learner",
    predictor="127.0.0.1:2", learner_http="127.0.0.1:3", predictor_http="127.0.0.1:4", snapshot_store="/s",
)  # fmt: skip


def test_what_up_saved_is_found_by_the_other_commands(tmp_path):
    assert Running.find(tmp_path) is None
    HERE.save(tmp_path)
    assert Running.find(tmp_path) == HERE
    assert Running.need(tmp_path, "--predictor") == HERE


def test_what_was_stopped_is_forgotten(tmp_path):
    replace(HERE, model="other").save(tmp_path)
    Running.forget(tmp_path)
    Running.forget(tmp_path)
    assert Running.find(tmp_path) is None


def test_asking_where_nothing_runs_says_what_to_do(tmp_path, monkeypatch):
    monkeypatch.setattr(running, "STARTING_SECONDS", 0.0)
    with pytest.raises(
        ConfigError, match=r"nothing runs from .*\n.*stream-ml up MODEL.*--predictor host:port"
    ):
        Running.need(tmp_path, "--predictor host:port")
