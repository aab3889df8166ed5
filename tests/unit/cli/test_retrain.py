from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pytest
from click.testing import CliRunner

from stream_ml.cli import cli
from stream_ml.errors import ConfigError
from tests.unit.retraining import sliced

MODEL = """
name = "clicks"
label = "y"
[features]
user = "user"
item = "item"
[learner]
alpha = {alpha}
"""


def files(folder: Path, alpha: float, count: int = 60_000) -> tuple[Path, Path]:
    random = np.random.default_rng(11)
    user, item = random.integers(0, 40, count), random.integers(0, 60, count)
    label = random.random(count) < 1 / (1 + np.exp(2 - user % 7 + item % 5))
    events, model = folder / "events.jsonl", folder / "model.toml"
    events.write_bytes(
        b"".join(
            orjson.dumps({"y": int(y), "user": int(u), "item": int(i)}) + b"\n"
            for y, u, i in zip(label, user, item, strict=True)
        )
    )
    model.write_text(MODEL.format(alpha=alpha))
    return events, model


def retrain(folder: Path, alpha: float, *options: str, count: int = 60_000) -> str:
    events, model = files(folder, alpha, count)
    command = ["retrain", "--events", str(events), "--model", str(model), *options]
    result = CliRunner().invoke(cli, command, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.stdout


def grid(folder: Path, settings: list[dict[str, Any]]) -> str:
    path = folder / "grid.json"
    path.write_bytes(orjson.dumps(settings))
    return str(path)


def test_a_model_that_hardly_learns_is_beaten(tmp_path: Path) -> None:
    settings = [{"name": "faster", "alpha": 0.1}, {"name": "slower", "alpha": 0.0001}]
    told = orjson.loads(retrain(tmp_path, 0.0005, "--json", "--grid", grid(tmp_path, settings)))
    assert (told["winner"], told["promoted"], told["says"]) == ("faster", True, "promote")
    low, high = told["interval"]
    assert 0 < low < told["difference"] < high
    assert [each["name"] for each in told["challengers"]] == ["faster", "slower"]
    assert told["challengers"][1]["difference"] < 0
    assert told["champion"]["log_loss"] > told["challengers"][0]["log_loss"]
    assert told["events"] == 30_000


def test_a_good_model_stays(tmp_path: Path) -> None:
    settings = [{"name": "same"}, {"name": "hardly", "alpha": 0.31}, {"name": "worse", "l1": 30.0}]
    told = orjson.loads(retrain(tmp_path, 0.3, "--json", "--grid", grid(tmp_path, settings)))
    assert (told["winner"], told["promoted"]) == (None, False)
    same, _, worse = told["challengers"]
    assert same["difference"] == 0
    assert worse["difference"] < 0


def test_without_a_grid_a_dozen_settings_around_the_model_are_tried(tmp_path: Path) -> None:
    told = orjson.loads(retrain(tmp_path, 0.3, "--json", "--train-share", "0.2"))
    assert len(told["challengers"]) >= 10
    assert told["events"] == 48_000


def test_a_person_gets_a_table_and_the_report(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    settings = [{"name": "faster", "alpha": 0.1}]
    options = ("--grid", grid(tmp_path, settings), "--report", str(tmp_path / "report"))
    told = retrain(tmp_path, 0.0005, *options)
    assert "# clicks: promote: faster" in told
    assert f"report: {tmp_path / 'report' / 'report.md'}" in told
    assert (tmp_path / "report" / "report.md").read_text().startswith("# clicks: promote: faster")
    assert (tmp_path / "report" / "loss.png").stat().st_size > 1_000


def test_a_segment_that_is_much_worse_is_told_with_a_plot_of_segments(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    events, model = tmp_path / "events.jsonl", tmp_path / "model.toml"
    events.write_bytes(b"\n".join(sliced.events(60_000)))
    model.write_text(sliced.model_text())
    folder = tmp_path / "report"
    command = ["retrain", "--events", str(events), "--model", str(model), "--report", str(folder)]
    command += ["--grid", grid(tmp_path, [sliced.BLIND.described() | {"name": "blind"}])]
    result = CliRunner().invoke(cli, command, catch_exceptions=False)
    assert "# m: go on" in result.stdout
    assert "slice phone: its loss is" in result.stdout
    assert "| slice | events | champion | blind |" in result.stdout
    page = (folder / "report.md").read_text()
    for name in ("loss", "saved", "calibration", "slices"):
        assert f"({name}.png)" in page
        assert (folder / f"{name}.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ([], "1 to 256 settings are wanted, there are 0"),
        ([{"name": f"s{number}"} for number in range(257)], "1 to 256 settings are wanted, there are 257"),
        ([{"name": "a"}, {"name": "a"}], "two settings are called 'a'"),
        ([{"name": "champion"}], "a setting is called 'champion', as what it is compared with"),
        ([{"name": "b"}, {"name": "a", "alpah": 1.0}], "unknown key 'grid.1.alpah'; did you mean 'alpha'?"),
        ([{"name": "a", "alpha": -1}], "grid.0.alpha: Input should be greater than 0, got -1"),
    ],
)
def test_a_grid_that_is_none_is_refused(tmp_path: Path, settings: list[dict[str, Any]], told: str) -> None:
    with pytest.raises(ConfigError) as refused:
        retrain(tmp_path, 0.1, "--grid", grid(tmp_path, settings))
    assert told in str(refused.value)


def test_a_file_of_a_few_thousand_events_is_enough_as_it_is_for_a_retrainer(tmp_path: Path) -> None:
    """A hundred blocks, though they are small: with fewer than 32 the gate says nothing."""
    settings = grid(tmp_path, [{"name": "faster", "alpha": 0.1}])
    told = orjson.loads(retrain(tmp_path, 0.0005, "--json", "--grid", settings, count=16_000))
    assert (told["winner"], told["says"]) == ("faster", "promote")


def test_challengers_of_a_file_begin_cold_and_say_so(tmp_path: Path) -> None:
    told = orjson.loads(retrain(tmp_path, 0.1, "--json", "--grid", grid(tmp_path, [{"name": "same"}])))
    assert told["challengers"][0]["settings"] == {"warm": False}


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (("--train-share", "nan"), "--train-share nan: a share of the events is above 0 and below 1"),
        (("--min-gain", "nan"), "--min-gain nan: a share of the loss is at least 0 and below 1"),
        (("--events", "-"), "--events -: the events are read twice"),
        (("--report", "/dev/null/report"), "--report /dev/null/report: cannot be written"),
    ],
)
def test_what_cannot_work_is_said_before_anything_is_learned(
    tmp_path: Path, options: tuple[str, ...], told: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("stream_ml.cli.retrain.train", lambda *_, **__: pytest.fail("it trains"))
    with pytest.raises(ConfigError) as refused:
        retrain(tmp_path, 0.1, *options, count=100)
    assert told in str(refused.value)


def test_events_of_which_none_is_learned_are_counted_by_what_became_of_them(tmp_path: Path) -> None:
    events, model = files(tmp_path, 0.1, 10)
    events.write_bytes(b'{"user": 3}\n' * 400)
    command = ["retrain", "--events", str(events), "--model", str(model)]
    with pytest.raises(ConfigError, match=r"400 events leave no block of 50 to compare: .*400 "):
        CliRunner().invoke(cli, command, catch_exceptions=False)
