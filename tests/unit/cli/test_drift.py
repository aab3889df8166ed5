from __future__ import annotations

from pathlib import Path
from random import Random

import orjson
import pytest
from click.testing import CliRunner, Result

from stream_ml.cli import cli
from stream_ml.errors import ConfigError
from tests import adult


def drift(tmp_path: Path, rows: list[adult.Row], *options: str) -> str:
    path = tmp_path / "adult.jsonl"
    path.write_bytes(b"".join(event + b"\n" for event in adult.events(rows)))
    result = CliRunner().invoke(
        cli, ["drift", str(path), "--model", str(adult.MODEL), *options], catch_exceptions=False
    )
    assert result.exit_code == 0
    return result.stdout


def flipped(rows: list[adult.Row], first: int) -> list[adult.Row]:
    """From *first* on a tenth of the labels is wrong."""
    random, other = Random(5), {"<=50K": ">50K", ">50K": "<=50K"}
    return [
        {**row, "income": other[row["income"]]} if at >= first and random.random() < 0.1 else row
        for at, row in enumerate(rows)
    ]


def test_the_control_does_not_drift(tmp_path: Path) -> None:
    told = orjson.loads(drift(tmp_path, adult.rows(), "--json"))
    assert (told["events"], told["alarms"]) == (48_842, [])
    assert told["rules"]["false_alarm_every"] == 10_000


def test_a_drift_is_told_with_place_statistic_segment_and_size(tmp_path: Path) -> None:
    told = orjson.loads(drift(tmp_path, flipped(adult.rows()[:40_000], 25_000), "--json"))
    (alarm,) = told["alarms"]
    assert 25_000 < alarm["at"] <= 29_000
    assert abs(alarm["since_learned"] - 25_000) <= 1_000
    assert (alarm["statistic"], alarm["segment"]) == ("loss", None)
    assert alarm["size"] > 0.05


def test_a_person_is_told_in_words(tmp_path: Path) -> None:
    assert "no drift" in drift(tmp_path, adult.rows()[:20_000])
    told = drift(tmp_path, flipped(adult.rows()[:35_000], 25_000), "--false-alarm-every", "5000")
    assert "35,000 events learned, 70 evaluations watched" in told
    assert ": loss went from 0.3" in told


def test_a_statistic_that_is_ignored_is_not_told(tmp_path: Path) -> None:
    rows = flipped(adult.rows()[:35_000], 25_000)
    told = orjson.loads(drift(tmp_path, rows, "--json", "--ignore", "loss", "--ignore", "auc"))
    assert {alarm["statistic"] for alarm in told["alarms"]}.isdisjoint({"loss", "auc"})


def run(tmp_path: Path, lines: list[bytes], *options: str) -> Result:
    path = tmp_path / "lines.jsonl"
    path.write_bytes(b"".join(line + b"\n" for line in lines))
    return CliRunner().invoke(cli, ["drift", str(path), "--model", str(adult.MODEL), *options])


def test_where_nothing_was_learned_nothing_is_said_to_be_well(tmp_path: Path) -> None:
    nothing = run(tmp_path, [b"garbage", b"{}", b"garbage"], "--json")
    assert isinstance(nothing.exception, ConfigError)
    assert "no event of it was learned: 2 invalid_json, 1 no_label" in str(nothing.exception)
    assert nothing.stdout == ""
    assert "it has none" in str(run(tmp_path, []).exception)


def test_too_few_evaluations_are_not_said_to_be_without_drift(tmp_path: Path) -> None:
    few = [*adult.events(adult.rows()[:1_000]), b"garbage"]
    told = run(tmp_path, few).stdout
    assert "not learned: 1 invalid_json" in told
    assert "too few to say anything: drifts are told after 32 evaluations" in told
    assert "no drift" not in told
    result = orjson.loads(run(tmp_path, few, "--json").stdout)
    assert (result["evaluations"], result["enough"], result["left_out"]) == (2, False, {"invalid_json": 1})


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (("--false-alarm-every", "nan"), "nan is no number"),
        (("--false-alarm-every", "inf"), "inf is no number"),
        (("--ignore", "los"), "did you mean 'loss'"),
    ],
)
def test_an_option_that_would_watch_otherwise_than_it_says_is_refused(
    tmp_path: Path, options: tuple[str, str], told: str
) -> None:
    refused = run(tmp_path, [], *options)
    assert refused.exit_code == 2 or isinstance(refused.exception, ConfigError)
    assert told in refused.stderr + str(refused.exception)
