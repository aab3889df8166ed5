"""The pages that people read, and the commands in them."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
# What is decided stays as it was written; plans go with their issue.
_NO_PAGES = ("decisions/", "results/", "plan-")
_FENCE = re.compile(r"^```([\w-]*)[^\n]*\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_OURS = re.compile(r"(stream-ml|make|python -m|pip install|helm|kubectl) \S")
# Between two simple commands of one line.
_BETWEEN = frozenset({"|", "||", "&", "&&", ";", "(", ")"})
_REDIRECTS = frozenset({">", ">>", "<", "2>"})


@dataclass(frozen=True)
class Block:
    """A fenced block of a page; *line* is that of its first line, from 1."""

    page: str
    line: int
    kind: str
    text: str


def page_paths() -> list[Path]:
    """Return README.md and every page of the site, in a steady order."""
    found = sorted(path for path in DOCS.rglob("*.md"))
    kept = [path for path in found if not path.relative_to(DOCS).as_posix().startswith(_NO_PAGES)]
    return [ROOT / "README.md", *kept]


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def blocks(path: Path) -> list[Block]:
    """Return the fenced blocks of a page."""
    text = path.read_text(encoding="utf-8")
    return [
        Block(name_of(path), text.count("\n", 0, found.start()) + 2, found[1], found[2])
        for found in _FENCE.finditer(text)
    ]


def lines_of(block: Block) -> list[str]:
    """Return the commands of a shell block as it has them, a here-document with its command."""
    lines: list[str] = []
    ends = ""
    for line in block.text.splitlines():
        if ends or (lines and lines[-1].endswith("\\")):
            lines[-1] += f"\n{line}"
            ends = "" if line == ends else ends
        elif line.strip() and not line.startswith("#"):
            lines.append(line)
            document = re.search(r"<<'?(\w+)'?", line)
            ends = document[1] if document else ""
    return lines


def simple_commands(line: str) -> list[list[str]]:
    """Return the words of each command in a line of shell: of a pipe, of what runs after what."""
    head = re.sub(r"<<'?\w+'?", "", line.split("\n")[0]) if "<<" in line else line.replace("\\\n", " ")
    for inner in re.findall(r"\$\(([^()]*)\)", head):
        head = head.replace(f"$({inner})", "SHELL")
    scanner = shlex.shlex(head, posix=True, punctuation_chars=True)
    scanner.wordchars += "…,:=@%{}[]$!^+"
    words = list(scanner)
    parts = [list(group) for between, group in groupby(words, _BETWEEN.__contains__) if not between]
    return [_without_redirects(part) for part in parts]


def _without_redirects(words: list[str]) -> list[str]:
    kept: list[str] = []
    before = ""
    for word in words:
        if word not in _REDIRECTS and before not in _REDIRECTS:
            kept.append(word)
        before = word
    return kept


def inline_commands(path: Path) -> Iterator[str]:
    """Yield what a page shows as a command in the middle of a sentence."""
    prose = _FENCE.sub("", path.read_text(encoding="utf-8"))
    for code in re.findall(r"`([^`\n]+)`", prose):
        if _OURS.match(code):
            yield code
