from __future__ import annotations

import sys
import warnings
from dataclasses import replace
from pathlib import Path

import numpy as np
import orjson
import pytest

from stream_ml.errors import ConfigError
from stream_ml.retraining import plots
from stream_ml.retraining.blocks import slice_name
from stream_ml.retraining.gate import judge
from stream_ml.retraining.plots import Histogram
from stream_ml.retraining.report import Report
from tests.unit.retraining.test_gate import RULE, blocks

PNG = b"\x89PNG\r\n\x1a\n"


def histogram(shift: float) -> Histogram:
    """Return what somebody predicted who is *shift* too high in log-odds."""
    middles = (np.arange(64) - 31.5) / 2
    both = 1000 * np.exp(-((middles + 1) ** 2) / 4)
    share = 1 / (1 + np.exp(-(middles - shift)))
    return Histogram(both * share, both * (1 - share), both / (1 + np.exp(-middles)))


def report(**challengers: float) -> Report:
    compared = blocks(challengers, slices={"City|West": (0.7, -0.01), "Resort": (0.3, 0.01)})
    return Report(
        job="4be1",
        model="bookings",
        reason={"drift": "log_loss", "index": 41},
        champion="v1",
        rule=RULE,
        blocks=compared,
        verdict=judge(compared, RULE),
        settings={"warm": {"alpha": 0.2, "warm": True}},
        histograms={"v1": histogram(0.3), "warm": histogram(0)},
        notes=("replayed 120,000 events of the log",),
    )


def test_the_page_says_what_an_operator_wants_to_know() -> None:
    page = report(warm=0.02, cold=-0.1).markdown()
    lines = page.splitlines()
    assert lines[0] == "# bookings: promote: warm"
    assert lines[2].startswith("warm saves 0.00")
    assert "- job `4be1`, asked for by: drift log_loss, index 41" in lines
    assert "- compared over 100,000 events in 100 blocks" in lines
    assert "- replayed 120,000 events of the log" in lines
    assert "- `warm`: alpha 0.2, warm True" in lines
    rows = [line for line in lines if line.startswith(("| warm", "| cold"))]
    assert [row.split(" | ")[0] for row in rows] == ["| warm", "| cold"]  # who saves most comes first
    assert "| City\\|West | 70,000 | 0." in page
    assert "![calibration curve](calibration.png)" in lines
    assert "min_gain 0.005" in page


def test_the_text_is_the_same_every_time() -> None:
    one, other = report(warm=0.02, cold=-0.1), report(warm=0.02, cold=-0.1)
    assert one.markdown() == other.markdown()
    assert orjson.dumps(one.described()) == orjson.dumps(other.described())


def test_scripts_read_winner_difference_and_interval() -> None:
    made = report(warm=0.02, cold=-0.1)
    described = made.described()
    assert (described["winner"], described["promoted"], described["says"]) == ("warm", True, "promote")
    low, high = described["interval"]
    assert low < described["difference"] == pytest.approx(0.008, rel=0.1)
    assert described["difference"] < high
    warm, cold = described["challengers"]
    assert (warm["name"], cold["name"]) == ("warm", "cold")
    assert warm["settings"] == {"alpha": 0.2, "warm": True}
    champion = described["champion"]["log_loss"]
    assert champion - warm["log_loss"] == pytest.approx(warm["difference"])
    assert described["champion"]["variant"] == "v1"
    assert [(each["slice"], each["events"]) for each in described["slices"]] == [
        ("City|West", 70_000),
        ("Resort", 30_000),
    ]


def test_without_a_winner_the_difference_is_of_who_saves_most() -> None:
    described = report(worse=-0.1, bad=-0.05).described()
    assert (described["winner"], described["promoted"], described["says"]) == (None, False, "keep")
    assert described["difference"] == pytest.approx(-0.02, rel=0.1)
    assert report(worse=-0.1, bad=-0.05).markdown().startswith("# bookings: keep\n")


def test_a_folder_holds_page_data_and_plots(tmp_path: Path) -> None:
    made = report(warm=0.02, cold=-0.1)
    made.write(tmp_path / "jobs" / "4be1")
    written = {path.name: path.read_bytes() for path in (tmp_path / "jobs" / "4be1").iterdir()}
    pictures = {"loss.png", "saved.png", "calibration.png", "slices.png"}
    assert set(written) == {"report.md", "report.json", *pictures}
    assert all(written[name].startswith(PNG) for name in pictures)
    assert written["report.md"].decode() == made.markdown()
    assert orjson.loads(written["report.json"]) == orjson.loads(orjson.dumps(made.described()))
    made.write(tmp_path / "again")
    assert {path.name: path.read_bytes() for path in (tmp_path / "again").iterdir()} == written


def test_segments_are_named_by_whatever_events_say(tmp_path: Path) -> None:
    """As `$x_$` is no formula and a line break no row."""
    named = ["$x_$", "a$b$c", "two\nlines", "\x00\x1b", "long" * 20, slice_name(""), slice_name(None)]
    made = report(warm=0.02)
    slices = {name: (1 / len(named), 0.0) for name in named}
    compared = blocks({"warm": 0.02}, slices=slices)
    made = replace(made, blocks=compared, verdict=judge(compared, RULE))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        made.write(tmp_path)
    assert (tmp_path / "slices.png").read_bytes().startswith(PNG)
    rows = [line for line in made.markdown().splitlines() if line.startswith("| two")]
    assert [row.count("|") for row in rows] == [5]
    assert {slice_name(name) for name in (None, "", "(rest)", '"x"', "x")} == {
        "(rest)",
        '""',
        '"(rest)"',
        '"\\"x\\""',
        "x",
    }


def test_figures_that_do_not_exist_are_null_and_dashes(tmp_path: Path) -> None:
    """Before enough blocks the interval has no ends, and JSON no infinity."""
    few = blocks({"warm": 0.02}, count=3)
    made = replace(report(warm=0.02), blocks=few, verdict=judge(few, RULE), histograms={})
    made.write(tmp_path)
    assert orjson.loads((tmp_path / "report.json").read_bytes())["interval"] == [None, None]
    assert "| – and – |" in made.markdown()
    assert "calibration.png" not in made.markdown()
    assert not (tmp_path / "calibration.png").exists()


def test_a_comparison_of_nothing_has_a_report_too(tmp_path: Path) -> None:
    none = blocks({"warm": 0.02}, count=0)
    made = replace(report(warm=0.02), blocks=none, verdict=judge(none, RULE))
    made.write(tmp_path)
    assert "compared over 0 events in 0 blocks" in made.markdown()


def test_of_many_challengers_plots_show_the_best() -> None:
    made = report(**{f"c{number}": number / 100 for number in range(8)})
    assert made._shown() == ["c7", "c6", "c5", "c4"]


def test_a_calibration_curve_has_the_shares_of_groups_of_equal_importance() -> None:
    predicted, observed = histogram(0).curve()
    assert observed == pytest.approx(predicted, abs=0.01)
    predicted, observed = histogram(0.5).curve()
    assert len(predicted) >= 8
    assert (observed < predicted).all()
    assert (np.diff(predicted) > 0).all()
    empty = Histogram(np.zeros(64), np.zeros(64), np.zeros(64))
    assert [len(each) for each in empty.curve()] == [0, 0]


def test_without_matplotlib_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(ConfigError, match=r"stream-ml\[retrain\]"):
        plots.check_installed()
