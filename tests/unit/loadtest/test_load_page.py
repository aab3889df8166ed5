from pathlib import Path

import pytest

from loadtest import load_page
from loadtest.report import save
from loadtest.results import SHOWN

EMPTY = "".join(
    f"words\n<!-- {name}:begin -->\nold\n<!-- {name}:end -->\n"
    for name in ("scenarios", "sizing", "endurance")
)


def test_the_tables_of_the_page_are_those_of_the_results_files() -> None:
    page = load_page.PAGE.read_text()
    assert load_page.made(page) == page


def test_lines_and_figures_come_from_the_results(tmp_path: Path) -> None:
    lines = [{"scenario": "steady", "p99 ms": 1.25, "run": "void"}]
    made = {"rows": lines, "machine": "m", "commit": "c", "load_average": 0.1}
    save({**made, "held_calls_per_second": 4_321}, tmp_path / "scenarios.json")
    page = load_page.made(EMPTY, tmp_path)
    assert "| steady | 1.25 | void |" in page
    assert "| calls a second for 50 scores each, one core, p99 ≤ 10 ms | 4,321 | `scenarios` |" in page
    assert "old" not in page
    assert page.count("words\n") == 3
    assert load_page.made(page, tmp_path) == page


@pytest.mark.parametrize(("name", "figure"), [(name, figure) for _, name, figure in load_page.SIZING])
def test_what_one_sizes_by_is_a_figure_of_its_load_test(name: str, figure: str) -> None:
    assert figure in SHOWN[name]
