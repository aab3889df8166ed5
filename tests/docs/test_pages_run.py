"""Every command of README.md and docs/ is run as it stands there, or not_run.toml says why not."""

from __future__ import annotations

import ast
import tomllib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from tests.docs import shell
from tests.docs.pages import DOCS, ROOT, Block, blocks, name_of, page_paths
from tests.docs.stages import STAGES, Stage, nothing, operated, up

LEFT_OUT = tomllib.loads((Path(__file__).parent / "not_run.toml").read_text())["left_out"]
PAGES = {name_of(path): path for path in page_paths() if "runbooks" not in path.parts}

RUNBOOKS = "docs/runbooks"


def commands(page: str) -> list[str]:
    """Return the commands of a page, or of all runbooks."""
    paths = [PAGES[page]] if page != RUNBOOKS else (DOCS / "runbooks").glob("*.md")
    return [command for path in paths for block in blocks(path) for command in shell.commands(block)]


def left_out(page: str) -> tuple[str, ...]:
    return tuple(begin for entry in LEFT_OUT if entry["page"] == page for begin in entry["begin"])


def is_run(page: str) -> bool:
    """Whether there is anything to run on a page."""
    return any(not command.startswith(left_out(page)) for command in commands(page))


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The folder of a service that has learned some bookings and refused others."""
    folder = tmp_path_factory.mktemp("service")
    with up(folder):
        yield folder


@pytest.mark.parametrize("page", [page for page in PAGES if is_run(page)])
def test_a_pages_commands_run_from_top_to_bottom(
    page: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    stage = Stage(tmp_path)
    STAGES.get(page, nothing)(stage, request)
    shell.run(shell.script(blocks(PAGES[page]), left_out(page)), tmp_path, stage.replaced)


def test_the_commands_of_the_runbooks_run(tmp_path: Path, request: pytest.FixtureRequest) -> None:
    """Each once, for many pages have the same; what they look for in `/metrics` must be there."""
    pages = [path for path in page_paths() if "runbooks" in path.parts]
    lines = {line: None for path in pages for block in blocks(path) for line in shell.commands(block)}
    stage = Stage(tmp_path)
    operated(stage, request)
    together = Block(RUNBOOKS, 1, "sh", "\n".join(lines))
    shell.run(shell.script([together], left_out(RUNBOOKS)), tmp_path, stage.replaced)


@pytest.mark.parametrize("entry", LEFT_OUT, ids=lambda entry: f"{entry['page']}: {entry['begin'][0]}")
def test_what_is_left_out_is_there_and_has_a_reason_or_a_test(entry: dict[str, str]) -> None:
    assert entry.keys() - {"page", "begin"} in ({"why"}, {"test"})
    for begin in entry["begin"]:
        assert any(line.startswith(begin) for line in commands(entry["page"])), f"{begin} is not there"
    if "test" in entry:
        file, _, test = entry["test"].partition("::")
        tree = ast.parse((ROOT / file).read_text())
        assert test in {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}


def test_a_load_test_that_is_left_out_is_run_by_the_test_that_is_named() -> None:
    named = [(begin, entry["test"]) for entry in LEFT_OUT for begin in entry["begin"] if "loadtest " in begin]
    assert named
    for begin, (file, _, test) in ((begin, where.partition("::")) for begin, where in named):
        (body,) = [
            node for node in ast.parse((ROOT / file).read_text()).body if getattr(node, "name", "") == test
        ]
        assert begin.split()[-1] in {node.id for node in ast.walk(body) if isinstance(node, ast.Name)}, begin


def test_every_page_that_is_prepared_for_is_run() -> None:
    assert [page for page in STAGES if page not in PAGES or not is_run(page)] == []


@pytest.mark.parametrize(
    "wrong", ["false", "cat absent.txt", "false | cat", "(exit 3) &", "true && \\\nfalse", "echo $unset"]
)
def test_a_command_that_fails_fails_its_page(wrong: str, tmp_path: Path) -> None:
    block = Block("page.md", 1, "sh", f"{wrong}\necho on\n")
    with pytest.raises(AssertionError):
        shell.run(shell.script([block]), tmp_path)
    assert shell.run(shell.script([block], [wrong]), tmp_path) == "on\n"


def test_what_a_page_shows_of_an_output_is_compared(tmp_path: Path) -> None:
    right = Block("page.md", 1, "console", "$ echo a; echo b\na\nb\n$ echo $((1 + 1))\n2\n")
    shell.run(shell.script([right]), tmp_path)
    with pytest.raises(AssertionError, match="> c"):
        shell.run(shell.script([replace(right, text="$ echo a\nc\n")]), tmp_path)
