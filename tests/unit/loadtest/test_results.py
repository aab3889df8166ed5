from pathlib import Path
from typing import Any

import pytest

from loadtest import results
from loadtest.report import Report, bar_of, save

MADE: dict[str, Any] = {
    "name": "learn",
    "events_per_second": 1_234_567,
    "ratio_vw_json": 7.25,
    "same_bits": True,
    "bars": {"ratio_vw_json": "≥ 7"},
    "rows": [{"learner": "ours", "logloss": 0.42}, {"learner": "River", "logloss": None}],
    "machine": "a machine",
    "commit": "abc",
    "seed": 1,
}


def test_the_tables_in_the_readme_are_those_of_the_results_files() -> None:
    readme = results.README.read_text()
    assert results.with_tables(readme, results.readme_tables()) == readme


def test_a_table_shows_each_figure_in_words_beside_its_bar(tmp_path: Path) -> None:
    save(MADE, tmp_path / "learn.json")
    lines = results.readme_tables(tmp_path).splitlines()
    assert "| one core, times Vowpal Wabbit `--json` | 7.25 | ≥ 7 |" in lines
    assert "| JSON events of 39 fields → updated rows, one core, events/s | 1,234,567 |  |" in lines
    assert "| River | – |" in lines
    assert "**`loadtest learn`** · a machine · commit abc · seed 1" in lines


def test_a_bar_that_is_missed_is_said_to_be(tmp_path: Path) -> None:
    save({**MADE, "ratio_vw_json": 6.99}, tmp_path / "learn.json")
    assert "| one core, times Vowpal Wabbit `--json` | 6.99 | ≥ 7 (missed) |" in results.readme_tables(
        tmp_path
    )


@pytest.mark.parametrize(
    ("value", "bar", "said"),
    [
        (1.5, "≤ 1.5", "≤ 1.5"),
        (1.51, "≤ 1.5", "≤ 1.5 (missed)"),
        (True, "= true", "= true"),
        (False, "= true", "= true (missed)"),
        (2, "≥ 2", "≥ 2"),
        (None, "≤ 1", "≤ 1 (missed)"),
    ],
)
def test_a_figure_is_held_against_its_bar(value: Any, bar: str, said: str) -> None:
    assert bar_of({"figure": value, "bars": {"figure": bar}}, "figure") == said


def test_only_what_stands_between_the_markers_is_replaced() -> None:
    readme = f"before\n{results.BEGIN}\nold\n{results.END}\nafter\n"
    made = results.with_tables(readme, "new\n")
    assert made == f"before\n{results.BEGIN}\nnew\n{results.END}\nafter\n"
    assert results.with_tables(made, "new\n") == made


def test_a_readme_without_markers_is_refused() -> None:
    with pytest.raises(ValueError, match="results:begin"):
        results.with_tables("nothing here", "new\n")


def test_every_figure_that_has_a_bar_is_shown() -> None:
    from loadtest import endurance, freshness, ingest, learn, scenarios, serve

    for module in (learn, ingest, freshness, serve, scenarios, endurance):
        name = module.__name__.removeprefix("loadtest.")
        assert module.BARS.keys() <= results.SHOWN[name].keys()


def test_a_report_names_machine_method_commit_and_seed() -> None:
    made = Report(
        "learn", "how", seed=3, quick=True, figures={"ratio": 2.0}, bars={"ratio": "≥ 1"}
    ).as_object()
    assert made["ratio"] == 2.0
    assert (made["name"], made["method"], made["seed"], made["quick"]) == ("learn", "how", 3, True)
    assert made["machine"]
    assert made["commit"]
