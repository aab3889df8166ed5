"""The habits of the house that a machine can check, over every file that git knows."""

from __future__ import annotations

import ast
import re
import subprocess
from collections.abc import Iterator
from functools import cache
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
INNERMOST = {"stream_ml.errors", "stream_ml._native"}
FOUNDATIONS = INNERMOST | {"stream_ml.features", "stream_ml.drift", "stream_ml.runtime"}
STORES = FOUNDATIONS | {"stream_ml.streams", "stream_ml.weights"}
WORKERS = STORES | {"stream_ml.learning", "stream_ml.sharing", "stream_ml.serving", "stream_ml.retraining"}
# What each part may import beside itself; the arrows of the design point inward.
MAY_IMPORT = {
    "stream_ml.errors": set(),
    "stream_ml.features": {"stream_ml.errors"},
    "stream_ml.drift": {"stream_ml.errors"},
    "stream_ml.runtime": {"stream_ml.errors"},
    "stream_ml.streams": FOUNDATIONS,
    "stream_ml.weights": FOUNDATIONS | {"stream_ml.streams"},
    "stream_ml.learning": STORES,
    "stream_ml.sharing": STORES | {"stream_ml.learning"},
    "stream_ml.serving": STORES,
    "stream_ml.retraining": STORES | {"stream_ml.learning", "stream_ml.sharing"},
    "services": WORKERS,
    "stream_ml.local": WORKERS,
    "stream_ml.console": WORKERS | {"stream_ml.local"},
    "stream_ml.demo": WORKERS | {"stream_ml.local"},
    "stream_ml.hotels": WORKERS | {"stream_ml.local"},
    "stream_ml.cli": WORKERS
    | {"stream_ml.local", "stream_ml.console", "stream_ml.demo", "stream_ml.hotels", "services"},
    "stream_ml.__main__": {"stream_ml.cli"},
    "helm": {"stream_ml.runtime"},
    "docs": {"stream_ml.features", "stream_ml.runtime", "stream_ml.cli"},
    "loadtest": WORKERS | {"services", "tests.servers", "stream_ml.demo", "stream_ml.local"},
}
# Rust modules that may use each other: expressions of each type hold those of the others;
# a table tells its image what changes.
KNIT = {"set": "expr", "text": "expr", "image": "table"}
# A file of the ecosystem, read by a tool that looks for its name.
READ_BY_TOOLS = {
    *(".gitignore", "Makefile", "pyproject.toml", "Cargo.toml", "Cargo.lock", "README.md", "run"),
    *(".helmignore", "Chart.yaml", ".dockerignore"),
}
# Folders with Python beside the package.
OUTSIDE = ("services", "loadtest", "helm", "docs")
PYTHON = ("stream_ml/*.py", *(f"{folder}/*.py" for folder in OUTSIDE))
MARKERS = re.compile("|".join(["TO" + "DO", "FIX" + "ME", "XX" + "X", "HA" + "CK"]))


@cache
def tracked(*patterns: str) -> tuple[Path, ...]:
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--", *patterns], cwd=ROOT, check=True, capture_output=True, text=True
    ).stdout
    return tuple(path for name in listed.split("\0") if name and (path := ROOT / name).is_file())


def name_of(path: Path) -> str:
    """``stream_ml/streams/log.py`` is ``stream_ml.streams.log``."""
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def part_of(module: str) -> str:
    """The part of the design that a module belongs to: its folder, two levels deep within the package."""
    return (
        ".".join(module.split(".")[:2])
        if module.split(".")[0] in {"stream_ml", "tests"}
        else module.split(".")[0]
    )


@cache
def imports_of(path: Path) -> frozenset[str]:
    """Ours only, absolute, with the names of ``from package import module`` joined on."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno}: a relative import"
            found |= {node.module or ""} | {f"{node.module}.{alias.name}" for alias in node.names}
    return frozenset(module for module in found if module.split(".")[0] in {"stream_ml", "tests", *OUTSIDE})


def product_code() -> Iterator[Path]:
    yield from tracked(*PYTHON, "stream_ml/native/src/*.rs")


def lines_of(path: Path) -> int:
    """Without a Rust file's own tests."""
    return path.read_text().split("#[cfg(test)]\nmod ")[0].count("\n")


@pytest.mark.parametrize("path", tracked(*PYTHON), ids=name_of)
def test_imports_point_inward(path: Path) -> None:
    module = name_of(path)
    part = part_of(module)
    allowed = MAY_IMPORT.get(part, set()) | {part, "stream_ml"}
    outward = {found for found in imports_of(path) if part_of(found) not in allowed}
    assert not outward, f"{module} may import {sorted(allowed)} only"


def test_every_part_has_its_rule() -> None:
    parts = {part_of(name_of(path)) for path in tracked(*PYTHON)}
    assert parts - {"stream_ml"} <= set(MAY_IMPORT)


def test_no_two_parts_may_import_each_other() -> None:
    TopologicalSorter(MAY_IMPORT).prepare()  # a cycle is an error


def test_no_marker_is_left_over() -> None:
    texts = [path for path in tracked() if path.suffix != ".png"]
    assert [path.name for path in texts if MARKERS.search(path.read_text(errors="ignore"))] == []


def test_few_files_are_long() -> None:
    long = {path.relative_to(ROOT): lines_of(path) for path in product_code() if lines_of(path) > 400}
    assert len(long) <= 5, long
    assert max(long.values(), default=0) <= 650, long


def test_a_service_is_wiring() -> None:
    assert {
        path.parent.name: lines_of(path) for path in tracked("services/*/__main__.py") if lines_of(path) > 150
    } == {}


def test_of_what_is_run_only_main_is_imported() -> None:
    imported = {
        (name_of(path), found)
        for path in tracked(*PYTHON)
        for found in imports_of(path)
        if ".__main__." in found and not found.endswith(".main")
    }
    assert imported == set()


def test_only_the_outermost_loop_catches_everything() -> None:
    catching = {
        path.relative_to(ROOT)
        for path in tracked("stream_ml/*.py", "loadtest/*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.ExceptHandler)
        and (node.type is None or (isinstance(node.type, ast.Name) and node.type.id == "Exception"))
    }
    # Of a service, of the jobs that a retrainer does, and of the console's threads.
    outermost = ("runtime/lifecycle.py", "retraining/working.py", "console/watch.py")
    assert catching == {Path("stream_ml") / name for name in outermost}


def test_every_module_is_imported_or_run() -> None:
    modules = {name_of(path): path for path in tracked("*.py")}
    imported = set().union(*map(imports_of, modules.values()))
    commands = {name for name in modules if name.startswith("stream_ml.cli.")}  # by name, in COMMANDS
    run = {name for name in modules if re.search(r"(^|\.)(__main__|conftest|test_[^.]*)$", name)}
    packages = {name for name, path in modules.items() if path.name == "__init__.py"}
    texts = "".join(path.read_text() for path in modules.values())
    launched = {
        name for name in modules if f'"{name}"' in texts or f'"{name.removeprefix("loadtest.")}":' in texts
    }
    assert set(modules) - imported - run - packages - commands - launched == set()


def test_every_rust_module_is_declared() -> None:
    sources = tracked("stream_ml/native/src/*.rs")
    declared = {name for path in sources for name in re.findall(r"\bmod (\w+);", path.read_text())}
    assert {path.stem for path in sources} - declared - {"lib"} == set()


def test_no_two_rust_modules_use_each_other() -> None:
    uses: dict[str, set[str]] = {}
    for path in tracked("stream_ml/native/src/*.rs"):
        module = path.relative_to(ROOT / "stream_ml/native/src").parts[0].removesuffix(".rs")
        if module not in {"lib", "tests"} and path.stem != "tests":
            code = path.read_text().split("#[cfg(test)]")[0]
            named = "::".join(re.findall(r"\bcrate::(\w+|\{[^}]*\})", code))
            used = {KNIT.get(name, name) for name in re.findall(r"\w+", named)}
            uses.setdefault(KNIT.get(module, module), set()).update(used - {KNIT.get(module, module)})
    TopologicalSorter(uses).prepare()  # a cycle is an error


def test_every_other_file_has_a_reader() -> None:
    texts = {path: path.read_text(errors="ignore") for path in tracked()}
    unread = []
    for path in texts:
        if path.suffix in {".py", ".rs"} or path.name in READ_BY_TOOLS:
            continue
        names = (path.name, path.relative_to(ROOT).parent.as_posix() + "/")
        if not any(
            name in text for other, text in texts.items() if other != path for name in names if name != "./"
        ):
            unread.append(path.relative_to(ROOT).as_posix())
    assert unread == []


def test_every_schedule_of_the_protocol_names_its_test() -> None:
    page = (ROOT / "docs" / "soak.md").read_text()
    named = re.findall(r"^\| .+ \| `(tests/.+\.py)` \| `(test_\w+)` \|$", page, flags=re.MULTILINE)
    assert len(named) == 18
    for file, test in named:
        defined = {
            node.name
            for node in ast.parse((ROOT / file).read_text()).body
            if isinstance(node, ast.FunctionDef)
        }
        assert test in defined, (file, test)
