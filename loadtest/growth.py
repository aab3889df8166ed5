"""What processes hold, sampled while they work: resident memory, open descriptors, threads."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from time import monotonic

from loadtest.proc import MEBIBYTE, resident_bytes, status
from loadtest.slopes import Slope, Verdict, slope_of

# What may come over a run, at most: of MiB, descriptors and threads.
BARS = {"memory, MiB": 10.0, "descriptors": 2.0, "threads": 1.0}


@dataclass(slots=True)
class Held:
    """The samples of one process, a row each time."""

    at: list[float] = field(default_factory=list)
    columns: dict[str, list[float]] = field(default_factory=lambda: {name: [] for name in BARS})

    def sample(self, process: int) -> None:
        """Look at a process now."""
        figures = (
            resident_bytes(process) / MEBIBYTE,
            len(os.listdir(f"/proc/{process}/fd")),
            int(status(process)["Threads"]),
        )
        self.at.append(monotonic())
        for column, figure in zip(self.columns.values(), figures, strict=True):
            column.append(float(figure))

    def judged(self) -> dict[str, tuple[Slope, Verdict]]:
        """Return the slope of each figure, and what is to be said of it."""
        slopes = {name: slope_of(self.at, values) for name, values in self.columns.items()}
        return {name: (slope, slope.verdict(BARS[name])) for name, slope in slopes.items()}


@contextmanager
def sampling(processes: Mapping[str, int], interval_seconds: float) -> Iterator[Mapping[str, Held]]:
    """
    Look at the processes meanwhile, by name.

    Raises:
        RuntimeError: one of them ended.
    """
    held = {name: Held() for name in processes}
    ended, errors = threading.Event(), list[OSError]()

    def sample() -> None:
        try:
            while not ended.wait(interval_seconds):
                for name, process in processes.items():
                    held[name].sample(process)
        except (OSError, KeyError) as error:
            errors.append(OSError(f"{name}: {error}"))

    thread = threading.Thread(target=sample)
    thread.start()
    try:
        yield held
    finally:
        ended.set()
        thread.join()
    if errors:
        raise RuntimeError("a process ended while it was watched") from errors[0]
