"""Text that people or programs wrote, for a table: shown as it is, whatever is in it."""

from __future__ import annotations

from rich.text import Text


def cell(text: str) -> Text:
    """
    Return *text* to be shown letter by letter.

    Brackets are no markup of ours, and what would steer the terminal is written out.
    """
    return Text("".join(each if each.isprintable() else _written_out(each) for each in text))


def _written_out(character: str) -> str:
    return character.encode("unicode_escape").decode()
