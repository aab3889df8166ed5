"""The line on standard error by which a long command says how far it is."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

Item = TypeVar("Item")
Say = Callable[[str], None]

_SAY_EVERY = 100


@contextmanager
def progress(*, quiet: bool) -> Iterator[Say]:
    """Yield what shows a text; it shows nothing where *quiet*, or where standard error is no terminal."""
    console = Console(stderr=True)
    columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True, disable=quiet or not console.is_terminal) as bar:
        task = bar.add_task("")
        yield lambda text: bar.update(task, description=text)


def counted(items: Iterable[Item], say: Say, described: Callable[[int], str]) -> Iterator[Item]:
    """Yield *items*; now and then say *described* of how many were dealt with."""
    say(described(0))
    for number, item in enumerate(items, 1):
        yield item
        if number % _SAY_EVERY == 0:
            say(described(number))
