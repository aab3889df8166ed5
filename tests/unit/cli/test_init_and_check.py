"""``init`` and ``check``: what they write, print and refuse."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import orjson
import pytest
from click.testing import CliRunner, Result

from stream_ml.cli import cli
from stream_ml.errors import ConfigError
from stream_ml.features import compile_model

SAMPLE = "id,shop,price,paid\n" + "".join(
    f"{n},{'abc'[n % 3]},{n / 7:.2f},{int(n % 3 == 1 and n % 7 > 1)}\n" for n in range(210)
)
MODEL = 'name = "m"\nlabel = "paid"\n[features]\nshop = "shop"\nprice = "bucket(price, 1)"\n'


def run(*arguments: str, given: str | None = None) -> Result:
    return CliRunner().invoke(cli, list(arguments), input=given)


@pytest.fixture
def sample(tmp_path: Path) -> str:
    path = tmp_path / "shop payments.csv"
    path.write_text(SAMPLE)
    return str(path)


@pytest.fixture
def model(tmp_path: Path) -> str:
    path = tmp_path / "m.toml"
    path.write_text(MODEL)
    return str(path)


def report(result: Result) -> dict[str, Any]:
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    found = orjson.loads(result.stdout)
    assert isinstance(found, dict)
    return found


def test_init_writes_a_file_that_check_accepts_with_the_same_events(tmp_path: Path, sample: str) -> None:
    output = str(tmp_path / "model.toml")
    written = run("init", sample, "--output", output)
    assert written.exit_code == 0, written.output
    assert f"next: stream-ml check {output} --events '{sample}'" in written.stdout
    compiled = compile_model(Path(output))
    assert compiled.model_file.name == "shop-payments"
    checked = report(run("check", output, "--events", sample, "--json"))
    assert checked["fingerprint"] == compiled.fingerprint
    assert checked["events"]["events"] == 210
    assert checked["events"]["refused"] == {}
    assert checked["events"]["slots"]["shop"] == {"events": 210, "values": 3}


def test_init_tells_scripts_the_same_as_people(tmp_path: Path, sample: str) -> None:
    output = str(tmp_path / "model.toml")
    told = report(run("init", sample, "--name", "other", "--label", "paid", "--output", output, "--json"))
    compiled = compile_model(Path(output))
    assert (told["name"], told["fingerprint"]) == ("other", compiled.fingerprint)
    assert [feature["name"] for feature in told["features"]] == [slot.name for slot in compiled.slots]


def test_init_prints_the_file_where_asked_and_reads_standard_input() -> None:
    lines = "".join(f'{{"y": {n % 2}, "x": "{n % 3}"}}\n' for n in range(30))
    printed = run("init", "-", "--output", "-", given=lines)
    assert [slot.name for slot in compile_model(printed.stdout).slots] == ["x"]


def test_init_never_writes_over_a_file_unasked(tmp_path: Path, sample: str, model: str) -> None:
    refused = run("init", sample, "--output", model)
    assert isinstance(refused.exception, ConfigError)
    assert "--force" in str(refused.exception)
    assert Path(model).read_text() == MODEL
    assert run("init", sample, "--output", model, "--force").exit_code == 0
    assert Path(model).read_text() != MODEL


@pytest.mark.parametrize(
    ("line", "complaint"), [("nonsense", "event 2 is not JSON"), ("[1]", "event 2 is not an object but list")]
)
def test_init_names_the_event_that_is_none(line: str, complaint: str) -> None:
    refused = run("init", "-", given='{"y": 1}\n' + line)
    assert isinstance(refused.exception, ConfigError)
    assert complaint in str(refused.exception)


def test_check_shows_the_features_of_an_event(model: str, tmp_path: Path) -> None:
    event = '{"shop": "b", "price": 3, "paid": 1}'
    (tmp_path / "event.json").write_text(event + "\n")
    (tmp_path / "lines.json").write_text(event.replace(", ", ",\n"))
    shown = [
        report(run("check", model, event, "--json")),
        report(run("check", model, "-", "--json", given=event)),
        report(run("check", model, str(tmp_path / "event.json"), "--json")),
        report(run("check", model, str(tmp_path / "lines.json"), "--json")),
    ]
    assert shown[0] == shown[1] == shown[2] == shown[3]
    features = shown[0]["event"]["features"]
    assert [(f["slot"], f["value"], f["x"]) for f in features] == [("shop", "b", 1.0), ("price", "1", 1.0)]
    assert shown[0]["event"]["label"] == 1.0
    text = run("check", model, event)
    assert text.exit_code == 0
    assert f"{features[0]['id']}  shop = b  × 1" in text.stdout
    assert "bucket(price, 1)" in text.stdout


def test_check_says_why_and_where_an_event_is_refused(model: str) -> None:
    refused = run("check", model, '{"shop": ["b"]}')
    assert refused.exit_code == 1
    assert "refused: wrong_type: field shop" in refused.stdout
    assert (
        report(run("check", model, '{"price": "3"}', "--json"))["event"]["refused"]["reason"] == "wrong_type"
    )


def test_check_counts_what_is_refused_unlabelled_or_never_there(model: str, tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    path.write_text('{"price": 3}\nnot json\n{"price": "x"}\n{"price": 0, "paid": 1}\n{"price": 1}\n')
    result = run("check", model, "--events", str(path), "--limit", "4")
    assert result.exit_code == 1
    assert "4 events, 2 refused" in result.stdout
    assert "event 2: invalid_json" in result.stdout
    assert "event 3: wrong_type" in result.stdout
    assert "1 have no label" in result.stdout
    assert "shop has no feature in any of them: missing, misspelt, or always 0" in " ".join(
        result.stdout.split()
    )
    counted = report(run("check", model, "--events", str(path), "--json"))["events"]
    assert counted["events"] == 5
    assert counted["refused"] == {"invalid_json": 1, "wrong_type": 1}
    assert counted["without"] == {"label": 2}
    assert counted["slots"]["price"] == {"events": 3, "values": 2}


def test_a_wrong_model_file_exits_with_2_and_shows_the_place(tmp_path: Path) -> None:
    (tmp_path / "m.toml").write_text(MODEL.replace("bucket", "buket"))
    command = [sys.executable, "-m", "stream_ml", "check", str(tmp_path / "m.toml")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "m.toml:5:10: unknown function 'buket'" in done.stderr
    assert "did you mean 'bucket'?" in done.stderr
    assert "Traceback" not in done.stderr


def test_an_absent_event_file_is_said_to_be_absent(model: str) -> None:
    refused = run("check", model, "absent.json")
    assert isinstance(refused.exception, ConfigError)
    assert "absent.json: cannot be read: No such file" in str(refused.exception)


def test_init_gives_a_column_called_bias_a_slot_with_a_name_that_is_free(tmp_path: Path) -> None:
    path = tmp_path / "views.csv"
    path.write_text(SAMPLE.replace("shop", "bias"))
    output = str(tmp_path / "model.toml")
    assert run("init", str(path), "--label", "paid", "--output", output).exit_code == 0
    features = compile_model(Path(output)).model_file.features
    assert "bias_2" in features
    assert features["bias_2"].text == "bias"


def test_init_says_where_it_cannot_write(tmp_path: Path, sample: str) -> None:
    shown = run("init", sample, "--output", str(tmp_path / "absent" / "model.toml"))
    assert isinstance(shown.exception, ConfigError)
    assert "cannot be written" in str(shown.exception)


def test_check_looks_at_one_event_at_least(model: str, sample: str) -> None:
    assert run("check", model, "--events", sample, "--limit", "-5").exit_code == 2
