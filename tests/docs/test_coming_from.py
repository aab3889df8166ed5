"""The conversions of docs/coming-from.md: the page's own commands, then each peer's loss beside ours."""

from __future__ import annotations

import re
import warnings
from pathlib import Path

import pytest
from vowpalwabbit import Workspace

from stream_ml._native import Learner, Plan
from stream_ml.features import compile_model
from stream_ml.features.expressions import parse_expression
from stream_ml.features.syntax import ExpressionError
from tests.docs import shell
from tests.docs.pages import DOCS, blocks
from tests.docs.stages import CENSUS_ROWS, Stage, write_census

PAGE = DOCS / "coming-from.md"
VW = next(line for block in blocks(PAGE) for line in shell.commands(block) if line.startswith("vw "))


@pytest.fixture(scope="module")
def followed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """A folder in which the page's commands were run, but for VW's own; and what they printed."""
    folder = tmp_path_factory.mktemp("coming")
    write_census(Stage(folder), None)
    return folder, shell.run(shell.script(blocks(PAGE), ["vw "]), folder)


def learned(model: Path, events: Path) -> float:
    """Return our progressive log loss of the events of a file, none of which may be refused."""
    learner = Learner(Plan(compile_model(model).plan_bytes))
    lines = events.read_bytes().splitlines()
    assert learner.learn([(0, lines, [0] * len(lines))]).refused == []
    assert learner.metrics()["learned"] == CENSUS_ROWS
    return float(learner.metrics()["log_loss"])


def test_vowpal_wabbit_has_the_loss_of_the_converted_model(followed: tuple[Path, str]) -> None:
    folder, _ = followed
    workspace = Workspace(f"-d {folder / 'people.vw'} --quiet {VW.removeprefix('vw people.vw ')}")
    theirs = workspace.get_sum_loss() / workspace.get_weighted_examples()
    workspace.finish()
    assert learned(folder / "people.toml", folder / "people.jsonl") == pytest.approx(theirs, abs=0.001)


def test_river_has_nearly_the_loss_of_the_converted_pipeline(followed: tuple[Path, str]) -> None:
    folder, output = followed
    (theirs,) = re.findall(r"^0\.\d+$", output, re.MULTILINE)
    assert learned(folder / "pipeline.toml", folder / "people.jsonl") == pytest.approx(
        float(theirs), abs=0.01
    )


def test_every_expression_that_the_page_shows_is_one_of_the_language() -> None:
    table = PAGE.read_text().split("| Flink SQL | model file |")[1].split("\n\n")[0]
    cells = [line.split(" | ")[-1] for line in table.splitlines()]
    shown = [code for cell in cells for code in re.findall(r"`([^`]+)`", cell)]
    assert len(shown) > 10
    for expression in shown:
        parse_expression(expression)
    with pytest.raises(ExpressionError):
        parse_expression("substring(zip, 1, 2)")


def test_every_name_of_river_that_the_page_shows_is_there() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # some of its modules warn of their own dependencies
        import river.compose
        import river.drift
        import river.evaluate
        import river.feature_extraction
        import river.optim
        import river.preprocessing
    modules = (
        river.compose,
        river.feature_extraction,
        river.preprocessing,
        river.optim,
        river.drift,
        river.evaluate,
    )
    section = PAGE.read_text().split("## From River")[1].split("## From Flink")[0]
    for name in re.findall(r"`(?:\w+\.)?([A-Z]\w+)`", section):
        assert any(hasattr(module, name) for module in modules), name
