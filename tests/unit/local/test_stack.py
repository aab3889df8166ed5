import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from stream_ml.errors import ConfigError
from stream_ml.local.running import Running
from stream_ml.local.stack import Stack, _held, _toml
from stream_ml.runtime.drift_settings import DriftMonitorSettings
from stream_ml.runtime.retrainer_settings import RetrainerSettings
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


def started(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> dict[str, tuple[str, dict[str, Any]]]:
    """Which services it starts beside learner and predictor, with which settings."""
    found: dict[str, tuple[str, dict[str, Any]]] = {}

    def run(_stack: Stack, name: str, service: str, settings: Mapping[str, Any]) -> None:
        found[name] = service, dict(settings)

    monkeypatch.setattr(Stack, "_run", run)
    stack.running = Running("clicks", "b:9", True, "events", "g", "p", "l", "q", "s")
    stack._start_keepers()
    return found


def test_monitor_and_retrainer_run_only_where_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert started(Stack(tmp_path / "model.toml", tmp_path), monkeypatch) == {}


def test_monitor_and_retrainer_are_told_model_broker_and_folders_and_take_settings_of_ours(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stack = Stack(
        tmp_path / "model.toml", tmp_path, topic="visits", monitor={"cooldown_evaluations": 7},
        retrainer={"reports": "/elsewhere"},
    )  # fmt: skip
    found = started(stack, monkeypatch)
    service, settings = found["monitor"]
    assert service == "drift_monitor"
    monitor = DriftMonitorSettings(**settings)
    assert (monitor.model, monitor.events_topic, monitor.cooldown_evaluations) == ("clicks", "visits", 7)
    service, settings = found["retrainer"]
    assert service == "retrainer"
    retrainer = RetrainerSettings(**settings)
    assert retrainer.learner_settings == [tmp_path / "learner.toml"]
    assert retrainer.reports == Path("/elsewhere")
    assert retrainer.scratch == tmp_path / "retraining"
    assert retrainer.kafka == monitor.kafka == {"bootstrap.servers": "b:9"}
