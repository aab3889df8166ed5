"""
Several generators of calls, each a process of its own: an open loop that also watches itself.

Each makes calls at times drawn beforehand (together a Poisson process), whatever the answers do, and never
waits for a socket. A latency counts from the intended time. How late a call left is the generator's own
doing: where that was much, a run says more of the generator than of the server, and is void.
"""

from __future__ import annotations

import math
import multiprocessing
import os
import select
import socket
from collections import deque
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from multiprocessing.connection import Connection
from multiprocessing.sharedctypes import Synchronized
from time import perf_counter, process_time
from types import TracebackType
from typing import Self

import numpy as np
from numpy.typing import NDArray

from loadtest import latencies
from loadtest.calls import LONGEST_SECONDS, CallConnection, prefer_this_process

Seconds = NDArray[np.float64]

# From the order to its beginning: all of them have their times and connections by then.
HEAD_START_SECONDS = 0.25
LONGEST_SILENCE_SECONDS = 10.0
# A tenth of the p99 that the knee is found by.
LATE_MS = 1.0
LATE_PERCENTILE = 99.0
# Of the server's core, in other processes' hands.
MOST_OF_NEIGHBOURS = 0.1


@dataclass(frozen=True, slots=True)
class Phase:
    """So many calls a second on average, for so long."""

    calls_per_second: float
    seconds: float


@dataclass(frozen=True, slots=True)
class Calls:
    """
    Calls in no order; seconds throughout.

    Attributes:
        intended: when each should have left, by `perf_counter`, which all processes of a machine share.
        waited: from then to its answer; LONGEST_SECONDS where there was none ("overloaded").
        late: from then to when it left.
        busy: share of a core that one generator took, on average.
        neighbours: share of the server's core that others took.
    """

    intended: Seconds
    waited: Seconds
    late: Seconds
    busy: float = 0.0
    neighbours: float = 0.0

    @classmethod
    def joined(cls, parts: Sequence[Calls]) -> Calls:
        """Return the calls of all generators."""
        intended, waited, late = (
            np.concatenate([getattr(part, name) for part in parts]) for name in ("intended", "waited", "late")
        )
        return cls(intended, waited, late, sum(part.busy for part in parts) / len(parts))

    def between(self, begin: float, end: float) -> Calls:
        """Return those that should have left in ``[begin, end)``."""
        chosen = (self.intended >= begin) & (self.intended < end)
        return replace(
            self, intended=self.intended[chosen], waited=self.waited[chosen], late=self.late[chosen]
        )

    @property
    def shed(self) -> int:
        """How many were answered with "overloaded"."""
        return int(np.count_nonzero(self.waited >= LONGEST_SECONDS))

    @property
    def void(self) -> str:
        """Why nothing follows of the server; "" if something does."""
        if self.late_ms(LATE_PERCENTILE) > LATE_MS:
            return "generators late"
        return "core shared" if self.neighbours > MOST_OF_NEIGHBOURS else ""

    def waited_ms(self, *percentiles: float) -> list[float]:
        """Return percentiles of the latency; calls that were shed count as the slowest."""
        encoded = latencies.encode(self.waited)
        return [latencies.percentile_ms(encoded, percentile) for percentile in percentiles]

    def late_ms(self, percentile: float) -> float:
        """Return a percentile of the generators' own lateness."""
        return latencies.percentile_ms(latencies.encode(self.late), percentile)


class Generators:
    """Processes that wait for orders; a context manager that ends them."""

    def __init__(
        self, cores: Iterable[int], processes: int, frames: Sequence[bytes], connections_each: int, seed: int
    ) -> None:
        """Start them on *cores*; each makes the calls of *frames* in turn, over connections of its own."""
        spawning = multiprocessing.get_context("spawn")
        self._seeds = np.random.SeedSequence(seed)
        self._end: Synchronized[float] = spawning.Value("d", math.inf)
        self._begins_at = math.inf
        self._pipes: list[Connection] = []
        self._processes = []
        for _ in range(processes):
            ours, theirs = spawning.Pipe()
            arguments = (theirs, self._end, frozenset(cores), frames, connections_each)
            process = spawning.Process(target=_take_orders, args=arguments, daemon=True)
            process.start()
            theirs.close()
            self._pipes.append(ours)
            self._processes.append(process)

    def run(self, port: int, phases: Sequence[Phase]) -> Calls:
        """
        Make the calls of all *phases*, one after the other, and wait for all answers.

        Raises:
            RuntimeError: a generator failed; its traceback is on stderr.
        """
        self._end.value = math.inf
        for pipe in self._pipes:
            pipe.send("ready?")
        for pipe in self._pipes:
            pipe.recv()
        begin = self._begins_at = perf_counter() + HEAD_START_SECONDS
        share = [Phase(phase.calls_per_second / len(self._pipes), phase.seconds) for phase in phases]
        seeds = self._seeds.spawn(len(self._pipes))
        for pipe, seed in zip(self._pipes, seeds, strict=True):
            pipe.send((port, share, begin, seed))
        try:
            return Calls.joined([pipe.recv() for pipe in self._pipes])
        except EOFError as error:
            raise RuntimeError("a generator ended without a result") from error

    @property
    def processes(self) -> list[int]:
        """Their process ids."""
        return [process.pid or 0 for process in self._processes]

    def seconds(self) -> float:
        """Return for how long calls are being made; negative before their first run."""
        return perf_counter() - self._begins_at

    def stop(self) -> None:
        """Let the calls be over that are made now; those on their way are waited for."""
        self._end.value = perf_counter()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for process in self._processes:
            process.kill()
            process.join()


def _take_orders(
    orders: Connection,
    end: Synchronized[float],
    cores: frozenset[int],
    frames: Sequence[bytes],
    connections: int,
) -> None:
    os.sched_setaffinity(0, cores)
    prefer_this_process()
    while True:
        order = orders.recv()
        orders.send("ready" if order == "ready?" else _generate(end, frames, connections, *order))


def _generate(
    end: Synchronized[float],
    frames: Sequence[bytes],
    connections: int,
    port: int,
    phases: Sequence[Phase],
    begin: float,
    seed: np.random.SeedSequence,
) -> Calls:
    intended = _times(phases, begin, np.random.default_rng(seed))
    callers = [_Caller(port) for _ in range(connections)]
    cpu, started = process_time(), perf_counter()
    waited, late = _exchange(callers, frames, intended.tolist(), end)
    busy = (process_time() - cpu) / (perf_counter() - started)
    for caller in callers:
        caller.socket.close()
    return Calls(intended[: len(waited)], np.array(waited), np.array(late), busy)


def _times(phases: Sequence[Phase], begin: float, dice: np.random.Generator) -> Seconds:
    """Return the times of a Poisson process whose rate changes from phase to phase."""
    times = []
    for phase in phases:
        count = dice.poisson(phase.calls_per_second * phase.seconds)
        times.append(begin + np.sort(dice.uniform(0.0, phase.seconds, count)))
        begin += phase.seconds
    return np.concatenate(times)


def _exchange(
    callers: Sequence[_Caller],
    frames: Sequence[bytes],
    intended: Sequence[float],
    end: Synchronized[float],
) -> tuple[list[float], list[float]]:
    """Make call after call at its time, over the connections in turn; return latencies and lateness."""
    total = len(intended)
    waited, late = [LONGEST_SECONDS] * total, [0.0] * total
    by_socket = {caller.socket: caller for caller in callers}
    sockets = list(by_socket)
    in_flight: dict[socket.socket, deque[int]] = {each: deque() for each in sockets}
    sent = answered = 0
    while answered < total:
        if sent < total and intended[sent] > end.value:
            total = sent
            continue
        while sent < total and intended[sent] <= (now := perf_counter()):
            caller = callers[sent % len(callers)]
            late[sent] = now - intended[sent]
            caller.offer(frames[sent % len(frames)])
            in_flight[caller.socket].append(sent)
            sent += 1
        wait = max(0.0, intended[sent] - perf_counter()) if sent < total else LONGEST_SILENCE_SECONDS
        full = [caller.socket for caller in callers if caller.unsent]
        # Unlike epoll's, its timeout is not rounded to milliseconds.
        readable, writable, _ = select.select(sockets, full, (), min(wait, LONGEST_SILENCE_SECONDS))
        if not readable and not writable and sent == total:
            raise TimeoutError(f"{total - answered} of {total} calls were not answered")
        for each in writable:
            by_socket[each].flush()
        for each in readable:
            count, shed = by_socket[each].answers()
            arrived = perf_counter()
            numbers = in_flight[each]
            for at in range(count):
                number = numbers.popleft()
                # Which of several that came at once were shed is not told apart: the last count.
                if at < count - shed:
                    waited[number] = arrived - intended[number]
            answered += count
    return waited[:total], late[:total]


class _Caller(CallConnection):
    """A connection that takes every call at once; what the socket has no room for waits here."""

    def __init__(self, port: int) -> None:
        super().__init__(port)
        self.socket.setblocking(False)
        # Of the frames that all calls share, not copies: memory never had before is slow to come by.
        self.unsent: deque[memoryview] = deque()

    def offer(self, data: bytes) -> None:
        """Send now, or as soon as there is room."""
        self.unsent.append(memoryview(data))
        if len(self.unsent) == 1:
            self.flush()

    def flush(self) -> None:
        """Send what there is room for."""
        with suppress(BlockingIOError):
            while self.unsent:
                first = self.unsent[0]
                sent = self.socket.send(first)
                if sent < len(first):
                    self.unsent[0] = first[sent:]
                    return
                self.unsent.popleft()
