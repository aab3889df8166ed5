"""
The steps of helm/Containerfile without a container engine: the wheel is built and installed below a folder.

Every RUN and COPY is taken from the file, with its absolute paths moved below that folder; but for the
compiler's packages, which only root could install, and with this machine's Python and libraries.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.helm.chart import ROOT
from tests.helm.containerfile import STAGES, ancestry
from tests.servers.processes import Process

MODEL = 'name = "shop"\nlabel = "bool(bought)"\n[features]\npage = "page"\n'
EVENTS = '{"page": "hats", "bought": true}\n{"page": "shoes", "bought": false}\n' * 50
# What moves below the folder: the absolute paths that stages write to.
_MOVED = re.compile(r"(?<![\w/.])/(wheels|constraints\.txt|opt/stream-ml)")


class CleanRoot:
    """A folder that stands for the root of an image."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.installed = folder / "opt" / "stream-ml"

    def moved(self, command: str) -> str:
        return _MOVED.sub(rf"{self.folder}/\1", command)

    def copy(self, stage: str, target: Path) -> None:
        """Copy what a stage copies of the checkout, without what the build's ignore file names."""
        left_out = shutil.ignore_patterns("__pycache__", "*.so", "target")
        for copied in STAGES[stage].all("COPY"):
            if not copied.startswith("--from="):
                for source in copied.split()[:-1]:
                    if (ROOT / source).is_dir():
                        shutil.copytree(ROOT / source, target / source, ignore=left_out)
                    else:
                        shutil.copy(ROOT / source, target)

    def run(self, stage: str, directory: Path, python: Path) -> None:
        """Run the commands of a stage; `python` and `pip` are those beside *python*."""
        path = f"{python.parent}:{os.environ['PATH']}"
        # The crate's dependencies are compiled already where somebody has built it in the checkout.
        environment = {**os.environ, "PATH": path, "CARGO_TARGET_DIR": str(ROOT / "stream_ml/native/target")}
        for command in STAGES[stage].all("RUN"):
            if "apt-get" not in command:
                subprocess.run(
                    ["sh", "-euc", self.moved(command)], cwd=directory, env=environment, check=True
                )

    def environment(self) -> dict[str, str]:
        """Return the variables of the image, and no others."""
        found: dict[str, str] = {}
        for stage in reversed(ancestry("service")):
            for line in stage.all("ENV"):
                found |= dict(re.findall(r"(\w+)=(\S+)", self.moved(line)))
        return found


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory, rounds: Callable[[int, int], int]) -> CleanRoot:
    if not rounds(0, 1):
        pytest.skip("compiles the crate and installs all dependencies anew: with --full-counts")
    made = CleanRoot(tmp_path_factory.mktemp("root"))
    source, tools = made.folder / "source", made.folder / "tools"
    source.mkdir()
    subprocess.run([sys.executable, "-m", "venv", tools], check=True)
    made.copy("wheel", source)
    made.run("wheel", source, tools / "bin" / "python")
    made.copy("installed", made.folder)
    made.run("installed", made.folder, tools / "bin" / "python")
    return made


def ran(root: CleanRoot, *arguments: str) -> str:
    done = subprocess.run(
        [root.installed / "bin" / "python", *arguments],
        cwd=root.installed,
        env=root.environment(),
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_wheel_has_the_module_and_the_idl_and_no_sources_of_the_crate(root: CleanRoot) -> None:
    (wheel,) = (root.folder / "wheels").glob("*.whl")
    names = zipfile.ZipFile(wheel).namelist()
    assert "schemas/predictor.thrift" in names
    assert [name for name in names if name.startswith("stream_ml/_native.") and name.endswith(".so")]
    assert [name for name in names if name.endswith(".rs") or name.startswith(("tests/", "docs/"))] == []


def test_what_runs_is_what_was_installed(root: CleanRoot) -> None:
    where = ran(root, "-c", "import stream_ml, services; print(*stream_ml.__path__, *services.__path__)")
    assert [path for path in where.split() if not path.startswith(str(root.installed))] == []
    assert "Online learning from Kafka" in ran(root, "-m", "stream_ml", "--help")
    for service in ("learner", "predictor", "drift_monitor", "retrainer"):
        assert "--settings" in ran(root, "-m", f"services.{service}", "--help")


def test_services_start_learn_and_answer_from_there(root: CleanRoot, tmp_path: Path) -> None:
    (tmp_path / "model.toml").write_text(MODEL)
    (tmp_path / "events.jsonl").write_text(EVENTS)
    here = ["--directory", str(tmp_path / "up")]
    command = [
        str(root.installed / "bin" / "python"),
        "-u",
        "-m",
        "stream_ml",
        "up",
        str(tmp_path / "model.toml"),
    ]
    process = Process([*command, "--port", "0", *here], tmp_path / "up.log")
    process.environment = root.environment()
    try:
        process.start().wait_for_output("is up", 60)
        ran(root, "-m", "stream_ml", "send", str(tmp_path / "events.jsonl"), *here)
        scores = ran(root, "-m", "stream_ml", "score", str(tmp_path / "events.jsonl"), "--json", *here)
    finally:
        code = process.terminate()
    assert code == 0
    assert scores.count('"prediction"') == EVENTS.count("\n")
    logs = "".join(path.read_text() for path in (tmp_path / "up").glob("*.log"))
    assert "Traceback" not in logs
