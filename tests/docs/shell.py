"""The blocks of a page in one shell, as a reader would run them from top to bottom."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from shlex import quote

from tests.docs.pages import ROOT, Block, lines_of

TIMEOUT_SECONDS = 240
VENV = Path(sys.prefix)
# A line's last &, if it is no part of && or >&.
_BACKGROUND = re.compile(r"[^&>]&\s*(#[^\n]*)?$")
# A failure names its command; what runs in the background is stopped as Ctrl-C would, and must end well.
_HEAD = """
set -euo pipefail
trap 'echo "FAILED: $BASH_COMMAND" >&2; kill -TERM $(jobs -p) 2>/dev/null; wait' EXIT
background=()
"""
_TAIL = """
for job in "${background[@]}"; do
  kill -TERM $job 2>/dev/null || true
  wait $job || { echo "FAILED: what ran in the background ended with exit code $?" >&2; exit 1; }
done
trap - EXIT
"""


def script(blocks: Iterable[Block], left_out: Iterable[str] = ()) -> str:
    """Return the blocks as one script, without the commands that begin with one of *left_out*."""
    parts = [_HEAD]
    for block in blocks:
        if block.kind == "sh":
            kept = [line for line in lines_of(block) if not line.startswith(tuple(left_out))]
            parts += [f"{line}\nbackground+=($!)" if _BACKGROUND.search(line) else line for line in kept]
        elif block.kind == "console":
            parts += _compared(block)
        elif block.kind == "python" and not block.text.startswith(tuple(left_out)):
            parts.append(f"python -c {quote(block.text)}")
    return "\n".join([*parts, _TAIL])


def _compared(block: Block) -> list[str]:
    """Return a test for each command of a block that shows what it prints."""
    shown = re.split(r"^\$ ", block.text, flags=re.MULTILINE)[1:]
    pairs = (each.split("\n", 1) for each in shown)
    return [f"diff <({command}) <(echo -n {quote(output)}) >&2" for command, output in pairs]


def commands(block: Block) -> list[str]:
    """Return what a block has to be run, line by line where it is shell."""
    if block.kind == "sh":
        return lines_of(block)
    return [block.text] if block.kind in {"console", "python"} else []


def run(text: str, folder: Path, replaced: Mapping[str, str] | None = None) -> str:
    """Run a script in *folder*, with the placeholders of its page *replaced*; return what it printed."""
    for placeholder, real in (replaced or {}).items():
        assert placeholder in text, f"nothing to replace: {placeholder}"
        text = text.replace(placeholder, real)
    if not (folder / ".venv").exists():
        (folder / ".venv").symlink_to(VENV)
    with subprocess.Popen(
        ["bash", "-c", text],
        cwd=folder,
        env=_environment(folder),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as shell:
        try:
            output, errors = shell.communicate(timeout=TIMEOUT_SECONDS)
        except subprocess.TimeoutExpired:
            # All of them: what runs in the background would stay.
            os.killpg(shell.pid, signal.SIGKILL)
            output, errors = shell.communicate()
    logs = "".join(path.read_text() for path in folder.glob(".stream-ml/*.log"))
    assert shell.returncode == 0, f"{text}\n{output}\n{errors}\n{logs}"
    return output


def _environment(folder: Path) -> dict[str, str]:
    """Ours, but for what would make a command find another checkout, another home or other settings."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("STREAM_ML_")}
    path = f"{VENV / 'bin'}:{os.environ['PATH']}"
    return {**kept, "PATH": path, "PYTHONPATH": str(ROOT), "HOME": str(folder), "COLUMNS": "110"}
