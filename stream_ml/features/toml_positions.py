"""
Where each key and value of a TOML text stands.

``tomllib`` gives values without positions. This scanner runs after it, on text that is known to be
valid TOML, and so needs to tell things apart, not to check them.
"""

from __future__ import annotations

from dataclasses import dataclass

from stream_ml.features.problems import Span

ESCAPES = {"b": "\b", "t": "\t", "n": "\n", "f": "\f", "r": "\r", "e": "\x1b"}
# \xHH is TOML 1.1's; its length is that of the whole escape.
HEX_ESCAPES = {"x": 4, "u": 6, "U": 10}
OPENING, CLOSING = "[{", "]}"


@dataclass(frozen=True, slots=True)
class Position:
    """
    Where one key and its value stand.

    Attributes:
        value_starts: for a string, the offset in the text of each of its characters, and one past the last.
    """

    key: Span
    value: Span
    value_starts: tuple[int, ...] | None = None

    def inside(self, start: int, end: int) -> Span:
        """Return where the characters ``[start, end)`` of a string value stand in the text."""
        if self.value_starts is None:
            return self.value
        last = len(self.value_starts) - 1
        return Span(self.value_starts[min(start, last)], self.value_starts[min(max(end, start + 1), last)])


def positions(text: str) -> dict[tuple[str, ...], Position]:
    """Return the position of every key (path from the root) of valid TOML; tables' headers are keys too."""
    return _Scanner(text).scan()


class _Scanner:
    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0
        self.table: tuple[str, ...] = ()
        self.positions: dict[tuple[str, ...], Position] = {}

    def scan(self) -> dict[tuple[str, ...], Position]:
        while self._skip_blank():
            if self.text[self.at] == "[":
                self._header()
            else:
                self._pair()
        return self.positions

    def _skip_blank(self) -> bool:
        """Move past white space and comments; say whether anything is left."""
        while self.at < len(self.text):
            if self.text[self.at] == "#":
                self.at = self._line_end()
            elif self.text[self.at].isspace():
                self.at += 1
            else:
                return True
        return False

    def _line_end(self) -> int:
        end = self.text.find("\n", self.at)
        return len(self.text) if end < 0 else end

    def _header(self) -> None:
        start = self.at
        while self.text[self.at] == "[":
            self.at += 1
        self.table = self._key()
        while self.at < len(self.text) and self.text[self.at] == "]":
            self.at += 1
        span = Span(start, self.at)
        self.positions.setdefault(self.table, Position(span, span))

    def _pair(self) -> None:
        start = self.at
        key = self.table + self._key()
        key_span = Span(start, start + len(self.text[start : self.at].rstrip()))
        self.at += 1  # the equals sign
        while self.text[self.at] in " \t":
            self.at += 1
        self.positions[key] = self._value(key_span)

    def _key(self) -> tuple[str, ...]:
        """Read a dotted key up to its ``=`` or ``]``."""
        parts: list[str] = []
        while self.text[self.at] not in "=]":
            if self.text[self.at] in "\"'":
                parts.append(self._string()[0])
            elif self.text[self.at] in " \t.":
                self.at += 1
            else:
                start = self.at
                while self.text[self.at] not in " \t.=]":
                    self.at += 1
                parts.append(self.text[start : self.at])
        return tuple(parts)

    def _value(self, key: Span) -> Position:
        start = self.at
        if self.text[self.at] in "\"'":
            starts = self._string()[1]
            return Position(key, Span(start, self.at), tuple(starts))
        self._skip_other()
        return Position(key, Span(start, start + len(self.text[start : self.at].rstrip())))

    def _skip_other(self) -> None:
        """Move past a number, bool, date, array or inline table."""
        depth = 0
        while self.at < len(self.text):
            character = self.text[self.at]
            if character in "\"'":
                self._string()
                continue
            if character == "#":
                if depth == 0:
                    return
                self.at = self._line_end()
            if character == "\n" and depth == 0:
                return
            depth += (character in OPENING) - (character in CLOSING)
            self.at += 1

    def _string(self) -> tuple[str, list[int]]:
        """Read a string; return it, and the offset of each of its characters."""
        quote = self.text[self.at]
        long = self.text.startswith(quote * 3, self.at)
        closing = quote * 3 if long else quote
        self.at += len(closing)
        if long and (self.text.startswith("\n", self.at) or self.text.startswith("\r\n", self.at)):
            self.at = self._line_end() + 1
        characters: list[str] = []
        starts: list[int] = []
        while not self._at_end_of_string(closing):
            if quote == '"' and self.text[self.at] == "\\":
                self._escape(characters, starts)
            else:
                self._plain(characters, starts)
        starts.append(self.at)
        self.at += len(closing)
        return "".join(characters), starts

    def _at_end_of_string(self, closing: str) -> bool:
        # A long string may end in one or two quotes of its own: then the closing is the last three.
        here = self.text.startswith(closing, self.at)
        return here and not (len(closing) == 3 and self.text.startswith(closing, self.at + 1))

    def _plain(self, characters: list[str], starts: list[int]) -> None:
        # tomllib reads \r\n as \n.
        if not self.text.startswith("\r\n", self.at):
            characters.append(self.text[self.at])
            starts.append(self.at)
        self.at += 1

    def _escape(self, characters: list[str], starts: list[int]) -> None:
        letter = self.text[self.at + 1]
        if letter in " \t\r\n":  # a backslash at the end of a line swallows the break and the indent
            self.at += 1
            while self.text[self.at].isspace():
                self.at += 1
            return
        starts.append(self.at)
        length = HEX_ESCAPES.get(letter, 2)
        digits = self.text[self.at + 2 : self.at + length]
        characters.append(chr(int(digits, 16)) if digits else ESCAPES.get(letter, letter))
        self.at += length
