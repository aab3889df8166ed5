"""`stream-ml topics`: what is not there is made, what is there is left as it is."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from stream_ml.cli import topics as command
from stream_ml.errors import ConfigError
from stream_ml.streams.memory import MemoryLog
from tests.clicks import MODEL


@pytest.fixture
def log(monkeypatch: pytest.MonkeyPatch) -> MemoryLog:
    made = MemoryLog()
    monkeypatch.setattr(command, "kafka_log", lambda settings: made)
    return made


def run(folder: Path, *options: str) -> Result:
    (folder / "m.toml").write_text(MODEL)
    settings = folder / "learner.toml"
    settings.write_text(
        f'model_file = "{folder / "m.toml"}"\nsnapshot_store = "{folder / "snapshots"}"\n'
        'feed_partitions = 2\n[kafka]\n"bootstrap.servers" = "127.0.0.1:1"\n'
    )
    return CliRunner().invoke(command.topics, [str(settings), *options])


def test_topics_are_made_once_and_listed(log: MemoryLog, tmp_path: Path) -> None:
    first = run(tmp_path, "--create", "3")
    assert first.output == "events: 3 partitions\nclicks.journal: 1 partition\nclicks.weights: 2 partitions\n"
    assert log.topic("clicks.evaluations") is not None
    assert run(tmp_path, "--create", "5").output == first.output


def test_the_topic_of_the_events_is_not_made_unasked(log: MemoryLog, tmp_path: Path) -> None:
    error = run(tmp_path).exception
    assert isinstance(error, ConfigError)
    assert "there is no topic events" in str(error)
    assert log.topic("clicks.journal") is None
