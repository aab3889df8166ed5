"""Wrong arguments: each command says which and why, ends with 2, and has done nothing."""

from __future__ import annotations

from pathlib import Path

import orjson
import pytest
from click.testing import CliRunner, Result

from stream_ml.cli import cli
from stream_ml.errors import ConfigError
from stream_ml.runtime.lifecycle import CONFIG

MODEL = 'name = "m"\nlabel = "y"\n[features]\na = "a"\n'
EVENTS = '{"a": "x", "y": 1}\n{"a": "z", "y": 0}\n'


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a model, its events and a learner's settings, in which the commands run."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "m.toml").write_text(MODEL)
    (tmp_path / "events.jsonl").write_text(EVENTS)
    (tmp_path / "learner.toml").write_text('model_file = "m.toml"\n[kafka]\n"bootstrap.servers" = "b:1"\n')
    return tmp_path


def run(*arguments: str) -> Result:
    return CliRunner().invoke(cli, list(arguments))


def complaint_of(result: Result) -> str:
    """Return what *result* complains of, whether click or a ConfigError says it; the exit code is 2."""
    if isinstance(result.exception, ConfigError):
        return str(result.exception)
    assert result.exit_code == CONFIG == 2, result.output
    return result.stderr


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["init"], "Missing argument 'SAMPLE'"),
        (["init", "absent.csv"], "absent.csv: no such file"),
        (["init", "events.jsonl", "--format", "xml"], "'xml' is not one of 'jsonl', 'csv', 'parquet'"),
        (["init", "events.jsonl", "--label", "nothing"], "nothing"),
        (["check"], "Missing argument 'MODEL'"),
        (["backfill"], "no history is named"),
        (["backfill", "events.jsonl", "--sql", "sqlite://"], "no history is named"),
        (["backfill", "events.jsonl", "--bootstrap", "b:1"], "no topic is named"),
        (["dead-letters", "--bootstrap", "b:1"], "no model is named"),
        (["export", "examples", "m.toml", "events.jsonl", "out.txt"], "the extension names no format"),
        (["hotels", "absent.csv"], "absent.csv: no such file"),
        (["check", "absent.toml"], "absent.toml: cannot be read: No such file or directory"),
        (["check", "m.toml", "--events", "absent.jsonl"], "absent.jsonl: no such file"),
        (["check", "m.toml", "--limit", "many"], "'many' is not a valid integer"),
        (["up"], "Missing argument 'MODEL'"),
        (["up", "absent.toml"], "File 'absent.toml' does not exist"),
        (["up", "m.toml", "--create", "0"], "0 is not in the range x>=1"),
        (["up", "m.toml", "--port", "http"], "'http' is not a valid integer"),
        (["send"], "Missing argument 'FILE'"),
        (["send", "events.jsonl", "--bootstrap", "b:1"], "no topic is named"),
        (["send", "events.jsonl", "--rate", "0"], "0.0 is not in the range x>0"),
        (["send", "events.jsonl", "--max-records", "0"], "0 is not in the range x>=1"),
        (["send", "events.jsonl", "--create", "none"], "'none' is not a valid integer"),
        (["score"], "Missing argument 'EVENTS'"),
        (["score", "events.jsonl", "--predictor", "nowhere"], "host:port"),
        (["score", "events.jsonl", "--limit", "0"], "0 is not in the range x>=1"),
        (["score", "absent.jsonl", "--predictor", "127.0.0.1:1"], "absent.jsonl: no such file"),
        (["learn"], "Missing argument 'SETTINGS'"),
        (["learn", "absent.toml"], "File 'absent.toml' does not exist"),
        (["serve", "absent.toml"], "File 'absent.toml' does not exist"),
        (["inspect"], "nothing ran from .stream-ml"),
        (["inspect", "nowhere"], "nowhere holds no snapshot of any model"),
        (["inspect", "nowhere", "--model", "m"], "nowhere holds no snapshot of m"),
        (["inspect", "--top", "-1"], "-1 is not in the range x>=0"),
        (["replay", "absent.toml"], "File 'absent.toml' does not exist"),
        (["replay", "learner.toml", "--to-step", "-1"], "-1 is not in the range x>=0"),
        (["replay", "learner.toml", "--output", "/proc/x"], "--output /proc/x: cannot be written"),
        (["replay", "learner.toml", "--output", "m.toml"], "m.toml: cannot be written"),
        (["demo", "--events", "few"], "'few' is not a valid integer"),
        (["score", "events.jsonl", "--contribution"], "No such option"),
    ],
    ids=lambda each: " ".join(each) if isinstance(each, list) else None,
)
def test_a_wrong_argument_is_named_and_ends_with_2(
    arguments: list[str], complaint: str, folder: Path
) -> None:
    before = sorted(folder.iterdir())
    said = " ".join(complaint_of(run(*arguments)).split())
    assert complaint in said
    assert sorted(folder.iterdir()) == before


@pytest.mark.parametrize("value", ["learner.toml", "m.toml"])
def test_a_settings_file_with_a_key_of_something_else_names_it(value: str, folder: Path) -> None:
    (folder / value).write_text('surplus = 1\nmodel_file = "m.toml"\n[kafka]\n"bootstrap.servers" = "b:1"\n')
    assert "unknown setting 'surplus'" in complaint_of(run("replay", value))


def test_an_event_that_is_no_json_is_an_event_refused_and_no_wrong_argument() -> None:
    result = run("check", "m.toml", '{"a": ', "--json")
    assert result.exit_code == 1
    assert orjson.loads(result.stdout)["event"]["refused"]["reason"] == "invalid_json"


def test_check_tells_scripts_and_people_the_same_fingerprint() -> None:
    told = orjson.loads(run("check", "m.toml", "--json").stdout)["fingerprint"]
    assert len(told) == 32
    assert told in run("check", "m.toml").stdout


def test_a_limit_is_how_many_events_are_looked_at() -> None:
    for limit in (1, 2, 5):
        result = run("check", "m.toml", "--events", "events.jsonl", "--limit", str(limit), "--json")
        assert orjson.loads(result.stdout)["events"]["events"] == min(limit, 2)


@pytest.mark.parametrize("arguments", [["init", "-", "--output", "-"], ["check", "m.toml", "-"]])
def test_standard_input_may_be_the_file(arguments: list[str]) -> None:
    given = "".join(f'{{"a": "{"xz"[at % 2]}", "y": {at % 2}, "n": {at % 7}}}\n' for at in range(50))
    result = CliRunner().invoke(
        cli, arguments, input=given if arguments[0] == "init" else EVENTS.split("\n")[0]
    )
    assert result.exit_code == 0, result.output
    assert "label" in result.stdout
