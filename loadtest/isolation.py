"""Run one contestant in a fresh process, on cores of its own."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Callable, Iterable
from multiprocessing.connection import Connection
from typing import Any, TypeVar

Result = TypeVar("Result")

# A new interpreter: nothing allocated, imported or warmed by an earlier contestant is inherited.
_fresh = multiprocessing.get_context("spawn")


def isolated(cores: Iterable[int], function: Callable[..., Result], *arguments: Any) -> Result:
    """
    Return ``function(*arguments)``, run by a new process whose threads all stay on *cores*.

    Raises:
        RuntimeError: the process failed; its traceback is on stderr.
    """
    receiving, sending = _fresh.Pipe(duplex=False)
    process = _fresh.Process(target=_run, args=(sending, frozenset(cores), function, arguments))
    process.start()
    sending.close()
    try:
        result: Result = receiving.recv()
    except EOFError as error:
        process.join()
        raise RuntimeError(
            f"{function.__name__} ended with exit code {process.exitcode} and no result"
        ) from error
    process.join()
    return result


def _run(
    sending: Connection, cores: frozenset[int], function: Callable[..., Any], arguments: tuple[Any, ...]
) -> None:
    os.sched_setaffinity(0, cores)
    sending.send(function(*arguments))
    sending.close()
