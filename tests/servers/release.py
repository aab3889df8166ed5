"""The release before this one, as a folder that processes can run from."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).parents[2]
# Until there is a release formats may change; the state after their last change stands for one.
FORMATS = [f"stream_ml/weights/{name}.py" for name in ("artefact", "feed", "lines")]
BUILT = ROOT / ".cache" / "release-before"


@contextmanager
def release_before(folder: Path) -> Iterator[tuple[str, dict[str, str]]]:
    """Check out the release before, build its crate, and give its commit and what lets a process run it."""
    commit = _git("rev-parse", _newest_tag() or _last_change_of_formats())
    tree = folder / "release-before"
    _git("worktree", "add", "--detach", str(tree), commit)
    try:
        _build(tree, commit)
        # Before the packages of this environment, and without the folder that the tests run in.
        yield commit, {"PYTHONPATH": str(tree), "PYTHONSAFEPATH": "1"}
    finally:
        _git("worktree", "remove", "--force", str(tree))


def _newest_tag() -> str:
    tags = _git("tag", "--merged", "HEAD", "--sort=-creatordate").splitlines()
    return tags[0] if tags else ""


def _last_change_of_formats() -> str:
    return _git("log", "-1", "--format=%H", "--", *FORMATS)


def _build(tree: Path, commit: str) -> None:
    unchanged = subprocess.run(
        ["git", "-C", ROOT, "diff", "--quiet", commit, "--", "stream_ml/native"], check=False
    )
    if unchanged.returncode == 0:
        for library in (ROOT / "stream_ml").glob("_native*.so"):
            shutil.copy(library, tree / "stream_ml")
        return
    environment = {**os.environ, "VIRTUAL_ENV": sys.prefix, "CARGO_TARGET_DIR": str(BUILT)}
    command = [
        Path(sys.executable).with_name("maturin"),
        "develop",
        "--release",
        "--locked",
        "--skip-install",
    ]
    subprocess.run([*command, "--quiet"], cwd=tree, env=environment, check=True)


def _git(*arguments: str) -> str:
    done = subprocess.run(["git", "-C", ROOT, *arguments], check=True, capture_output=True, text=True)
    return done.stdout.strip()
