from __future__ import annotations

from pathlib import Path
from random import Random

import orjson
from click.testing import CliRunner

from stream_ml.cli import cli
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
    assert "no drift" in drift(tmp_path, adult.rows()[:15_000])
    told = drift(tmp_path, flipped(adult.rows()[:35_000], 25_000), "--false-alarm-every", "5000")
    assert "35,000 events learned, 70 evaluations watched" in told
    assert ": loss went from 0.3" in told


def test_a_statistic_that_is_ignored_is_not_told(tmp_path: Path) -> None:
    rows = flipped(adult.rows()[:35_000], 25_000)
    told = orjson.loads(drift(tmp_path, rows, "--json", "--ignore", "loss", "--ignore", "auc"))
    assert {alarm["statistic"] for alarm in told["alarms"]}.isdisjoint({"loss", "auc"})
