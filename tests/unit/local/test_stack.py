import tomllib
from pathlib import Path

import pytest

from stream_ml.errors import ConfigError
from stream_ml.local.running import Running
from stream_ml.local.stack import Stack, _held, _toml
from tests.clicks import MODEL


def test_settings_files_are_read_back_as_they_were_meant():
    settings = {
        "model_file": '/a b/"quoted" \\ ü.toml',
        "embedded_broker": True,
        "kafka": {"bootstrap.servers": "127.0.0.1:9", "fetch.wait.max.ms": 10},
        "models": ["a", "b"],
        "interval_seconds": 0.05,
    }
    assert tomllib.loads(_toml(settings)) == settings


def test_a_second_run_in_one_directory_is_refused_and_leaves_the_first_alone(tmp_path: Path) -> None:
    (tmp_path / "model.toml").write_text(MODEL)
    first = Running("clicks", "b", True, "events", "g", "p", "l", "q", "s")
    with _held(tmp_path):
        first.save(tmp_path)
        with pytest.raises(ConfigError, match="another `stream-ml up` runs from"):
            Stack(tmp_path / "model.toml", tmp_path).__enter__()
        assert Running.find(tmp_path) == first
    _held(tmp_path).close()


def test_a_directory_that_cannot_be_made_is_a_wrong_argument(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError, match=r"cannot be used.*\n.*--directory"):
        Stack(tmp_path / "model.toml", tmp_path / "file" / "below").__enter__()


def test_what_a_killed_run_left_is_forgotten_at_the_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Running("clicks", "b", True, "events", "g", "p", "l", "q", "s").save(tmp_path)
    found: list[Running | None] = []
    monkeypatch.setattr(Stack, "_start", lambda _stack: found.append(Running.find(tmp_path)))
    with Stack(tmp_path / "model.toml", tmp_path):
        assert found == [None]
