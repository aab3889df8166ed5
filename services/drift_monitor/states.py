"""The states of monitors in a Faust table."""

from __future__ import annotations

from collections.abc import Iterator, MutableMapping
from typing import Any


class States(MutableMapping[str, bytes]):
    """
    A Faust table by text, for another thread than the one of Faust's loop.

    What is put in or removed is seen here at once; the table, and its changelog, have it after `hand_over`.
    """

    def __init__(self, table: Any) -> None:
        self._table = table
        self._changed: dict[str, bytes | None] = {}

    def hand_over(self) -> None:
        """Change the table; on Faust's loop, within its agent, while nobody else uses this."""
        for key, value in self._changed.items():
            if value is not None:
                self._table[key.encode()] = value
            elif key.encode() in self._table:
                del self._table[key.encode()]
        self._changed.clear()

    def __getitem__(self, key: str) -> bytes:
        found = self._changed[key] if key in self._changed else self._table.get(key.encode())
        if found is None:
            raise KeyError(key)
        return bytes(found)

    def __setitem__(self, key: str, value: bytes) -> None:
        self._changed[key] = value

    def __delitem__(self, key: str) -> None:
        self[key]
        self._changed[key] = None

    def __iter__(self) -> Iterator[str]:
        there = dict.fromkeys(key.decode() for key in list(self._table.keys()))
        return iter([key for key in {**there, **self._changed} if self._changed.get(key, b"") is not None])

    def __len__(self) -> int:
        return len(list(iter(self)))
