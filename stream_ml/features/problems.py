"""What is wrong with a model file, where, and what to do about it."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from stream_ml.errors import ConfigError


@dataclass(frozen=True, slots=True)
class Span:
    """Characters ``[start, end)`` of a text."""

    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Problem:
    """
    One mistake.

    Attributes:
        file, line, column: where; line and column count from 1.
        length: of what the carets underline, characters.
        source_line: the line as written.
        hint: what to do about it; "" where the message says it all.
    """

    file: str
    line: int
    column: int
    length: int
    source_line: str
    message: str
    hint: str

    def __str__(self) -> str:
        gutter = " " * len(str(self.line))
        # A tab before the caret keeps its width, or the caret would point elsewhere.
        indent = "".join(c if c == "\t" else " " for c in self.source_line[: self.column - 1])
        lines = [
            f"{self.file}:{self.line}:{self.column}: {self.message}",
            f" {self.line} | {self.source_line}",
            f" {gutter} | {indent}{'^' * self.length}",
        ]
        if self.hint:
            lines.append(f" {gutter} = hint: {self.hint}")
        return "\n".join(lines)


class ModelFileError(ConfigError):
    """
    A model file is refused.

    Attributes:
        problems: every mistake found, in the order of the file.
    """

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems = sorted(problems, key=lambda problem: (problem.line, problem.column))
        super().__init__("\n".join(str(problem) for problem in self.problems))


class Problems:
    """Collects the mistakes of one text, so that all are told at once."""

    def __init__(self, file: str, text: str) -> None:
        self._file = file
        self._text = text
        self._found: list[Problem] = []

    def add(self, span: Span, message: str, hint: str = "") -> None:
        """Note a mistake at *span*; the carets stay on its first line."""
        start = min(span.start, len(self._text))
        line_start = self._text.rfind("\n", 0, start) + 1
        line_end = self._text.find("\n", start)
        line_end = len(self._text) if line_end < 0 else line_end
        self._found.append(
            Problem(
                file=self._file,
                line=self._text.count("\n", 0, start) + 1,
                column=start - line_start + 1,
                length=max(1, min(span.end, line_end) - start),
                source_line=self._text[line_start:line_end].rstrip("\r"),
                message=message,
                hint=hint,
            )
        )

    def raise_if_any(self) -> None:
        """Raise ModelFileError if anything was noted."""
        if self._found:
            raise ModelFileError(self._found)


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Return a hint that names the nearest of *known* words, or all of them where none is near."""
    words = sorted(known)
    near = difflib.get_close_matches(word.lower(), words, n=1)
    return f"did you mean {near[0]!r}?" if near else "one of: " + ", ".join(words)
