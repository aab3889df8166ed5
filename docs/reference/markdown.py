"""What the made pages share: their heads, tables, paragraphs of comments."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterable, Sequence


def head(title: str, source: str) -> str:
    """Return the first lines of a page, which say what it is made of."""
    made = f"<!-- Made of {source} by `python -m docs.reference`; a test compares it with the code. -->"
    return f"# {title}\n\n{made}"


def table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table; cells may hold Markdown."""
    lines = [_row(columns), "|" + "---|" * len(columns), *map(_row, rows)]
    return "\n".join(lines)


def _row(cells: Sequence[str]) -> str:
    """Return a row; a cell with nothing in it takes no more room than it must."""
    return "".join(f"| {cell.replace('|', chr(92) + '|')} " if cell else "| " for cell in cells) + "|"


def prose(comment: str) -> str:
    """Return the words of a comment or docstring as paragraphs, each one line."""
    starred = re.sub(r"^[ \t]*\*[ \t]?", "", comment, flags=re.MULTILINE)
    paragraphs = re.split(r"\n\s*\n", textwrap.dedent(starred).strip())
    return "\n\n".join(" ".join(paragraph.split()) for paragraph in paragraphs)


def page(*parts: str) -> str:
    """Return the parts as a page, a line between them."""
    return "\n\n".join(part.strip("\n") for part in parts if part) + "\n"
