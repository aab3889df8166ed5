"""Run one contestant in a fresh process, on cores of its own."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from multiprocessing.connection import Connection
from time import perf_counter, process_time
from typing import Any, TypeVar

from stream_ml.runtime.allocator import keep_freed_memory

Result = TypeVar("Result")

# A new interpreter: nothing allocated, imported or warmed by an earlier contestant is inherited.
_fresh = multiprocessing.get_context("spawn")


def all_cores() -> ProcessPoolExecutor:
    """Return a pool of new processes, one a core: a copy of one that has threads may crash."""
    return ProcessPoolExecutor(os.cpu_count(), _fresh)


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


class Watch:
    """Measures from when it is made: time that passed, and processor time of all threads of this process."""

    def __init__(self) -> None:
        self._started, self._cpu_started = perf_counter(), process_time()

    def read(self) -> tuple[float, float]:
        """Return both, in seconds."""
        return perf_counter() - self._started, process_time() - self._cpu_started


@contextmanager
def beside(cores: Iterable[int], function: Callable[..., object], *arguments: Any) -> Iterator[None]:
    """Let ``function(*arguments)`` run in a new process on *cores* meanwhile; then it is killed."""
    process = _fresh.Process(target=_pinned, args=(frozenset(cores), function, arguments), daemon=True)
    process.start()
    try:
        yield
        if process.exitcode is not None:
            raise RuntimeError(f"{function} ended early, with exit code {process.exitcode}")
    finally:
        process.kill()
        process.join()


def _pinned(cores: frozenset[int], function: Callable[..., Any], arguments: tuple[Any, ...]) -> Any:
    os.sched_setaffinity(0, cores)
    # As the learner's service does; the peers, too, are spared memory that comes and goes.
    keep_freed_memory()
    return function(*arguments)


def _run(
    sending: Connection, cores: frozenset[int], function: Callable[..., Any], arguments: tuple[Any, ...]
) -> None:
    sending.send(_pinned(cores, function, arguments))
    sending.close()
