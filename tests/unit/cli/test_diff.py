"""``diff``: two model files, or the ones inside of snapshots."""

from pathlib import Path

import orjson
import pytest
from click.testing import CliRunner

from stream_ml.cli import cli
from stream_ml.errors import ConfigError
from tests.unit.cli.test_inspect import MODEL, taken


def run(*arguments: str) -> str:
    return CliRunner().invoke(cli, ["diff", *arguments], catch_exceptions=False).output


@pytest.fixture
def changed(tmp_path: Path) -> str:
    text = MODEL.format(optimizer="ftrl").replace('color = "color"', 'hue = "lower(color)"')
    (tmp_path / "changed.toml").write_text(text.replace("alpha = 0.2", "alpha = 0.3"))
    return str(tmp_path / "changed.toml")


def test_a_snapshot_or_a_store_stands_for_the_model_file_that_it_was_learned_with(
    tmp_path: Path, changed: str
) -> None:
    name, _ = taken(tmp_path)
    told = {run(old, changed) for old in (str(tmp_path / "store"), f"{tmp_path}/store/{name}")}
    assert told == {run(str(tmp_path / "m.toml"), changed)}


def test_it_tells_people_what_differs_and_whether_the_rows_go_on(tmp_path: Path, changed: str) -> None:
    taken(tmp_path)
    assert run(str(tmp_path / "m.toml"), changed).splitlines() == [
        "1 unchanged: size",
        "slot color removed: color",
        "slot hue added: lower(color)",
        "setting alpha changed: 0.2 → 0.3",
        "a learner that is started with NEW begins a variant with the rows of OLD",
    ]
    assert run(changed, changed).splitlines()[-1] == "nothing differs"


def test_scripts_get_one_object(tmp_path: Path, changed: str) -> None:
    taken(tmp_path, optimizer="sgd")
    told = orjson.loads(run(str(tmp_path / "store"), changed, "--json"))
    assert told["unchanged"] == ["size"]
    assert told["slots"][1] == {"name": "hue", "change": "added", "before": None, "after": "lower(color)"}
    assert (told["warm"], told["settings"][0]["name"]) == (False, "optimizer")
    assert "mean nothing" in told["obstacle"]


def test_what_is_neither_a_model_file_nor_a_store_is_said(tmp_path: Path, changed: str) -> None:
    with pytest.raises(ConfigError, match="neither a model file nor a snapshot nor a store"):
        run(str(tmp_path / "absent"), changed)
