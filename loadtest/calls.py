"""
Load on a Thrift port: prebuilt frames over plain sockets, so that the generator costs less than the server.

*Closed loop*: each connection sends its next calls when the last ones are answered; shows the most calls a
second. *Open loop*: calls leave at times drawn beforehand, whatever the answers do, and a latency counts from
the intended time, so that a stall is felt by every call that should have been made meanwhile (no coordinated
omission).
"""

from __future__ import annotations

import gc
import os
import select
import socket
import struct
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from time import perf_counter, process_time
from typing import Any

import numpy as np
from thriftpy2.protocol.cybin import TCyBinaryProtocol  # type: ignore[attr-defined]
from thriftpy2.thrift import TMessageType
from thriftpy2.transport import TCyMemoryBuffer

from loadtest import latencies
from stream_ml.serving.idl import predictor

READ_BYTES = 256 * 1024
LENGTH = struct.Struct("!i")
LONGEST_WAIT_SECONDS = 5.0
LONGEST_SECONDS = 60.0
WARM_UP_SHARE = 0.2


@dataclass(frozen=True, slots=True)
class Load:
    """
    What one process of the generator saw.

    Attributes:
        busy: share of one core that the generator itself took; near 1 it was the bottleneck, not the server.
        histogram: of the open loop, encoded; microseconds from the intended time of sending.
        shed: calls of the open loop that were not answered with a score, as the server was too busy.
    """

    calls: int
    seconds: float
    busy: float
    histogram: bytes = b""
    shed: int = 0

    @property
    def calls_per_second(self) -> float:
        """Answers over the measured time."""
        return self.calls / self.seconds

    def percentile_ms(self, percentile: float) -> float:
        """Return a percentile of the latency in milliseconds."""
        return latencies.percentile_ms(self.histogram, percentile)


def score_frames(events: Sequence[bytes], events_a_call: int = 1, model: str | None = None) -> list[bytes]:
    """Return ``score`` calls for all the events, framed and ready for the wire."""
    options = predictor.ScoreOptions(model=model)
    return [
        _frame(predictor.Predictor.score_args(events=events[at : at + events_a_call], options=options))
        for at in range(0, len(events), events_a_call)
    ]


def closed_loop(port: int, frames: Sequence[bytes], connections: int, pipelined: int, seconds: float) -> Load:
    """Keep *pipelined* calls in flight on each connection; count the answers after a warm-up."""
    gc.disable()
    clients = [CallConnection(port) for _ in range(connections)]
    bursts = _bursts(frames, pipelined)
    poll = select.epoll()
    by_number = {client.socket.fileno(): client for client in clients}
    for client in clients:
        poll.register(client.socket, select.EPOLLIN)
        client.send(next(bursts))
    calls, waiting = 0, dict.fromkeys(by_number, pipelined)
    measured_from = perf_counter() + WARM_UP_SHARE * seconds
    end = measured_from + seconds
    started, cpu = 0.0, 0.0
    while (now := perf_counter()) < end:
        if not started and now >= measured_from:
            started, cpu, calls = now, process_time(), 0
        for number, _ in poll.poll(LONGEST_WAIT_SECONDS):
            client = by_number[number]
            answered, shed = client.answers()
            calls += answered - shed
            waiting[number] -= answered
            if not waiting[number]:
                waiting[number] = pipelined
                client.send(next(bursts))
    elapsed = perf_counter() - started
    busy = (process_time() - cpu) / elapsed
    for client in clients:
        client.socket.close()
    return Load(calls, elapsed, busy)


def open_loop(
    port: int, frames: Sequence[bytes], connections: int, rate: float, seconds: float, seed: int
) -> Load:
    """Send calls at times of a Poisson process of *rate* a second; record latencies from those times."""
    prefer_this_process()
    gaps = np.random.default_rng(seed).exponential(1 / rate, int(rate * seconds * (1 + WARM_UP_SHARE)))
    clients = [CallConnection(port) for _ in range(connections)]
    started, cpu = perf_counter(), process_time()
    intended = (started + 0.01 + np.cumsum(gaps)).tolist()
    waited = _exchange(clients, frames, intended)
    elapsed = perf_counter() - started
    for client in clients:
        client.socket.close()
    measured = waited[int(len(waited) * WARM_UP_SHARE / (1 + WARM_UP_SHARE)) :]
    busy = (process_time() - cpu) / elapsed
    shed = sum(seconds >= LONGEST_SECONDS for seconds in waited)
    return Load(len(waited), elapsed, busy, latencies.encode(measured), shed)


def _exchange(
    clients: Sequence[CallConnection], frames: Sequence[bytes], intended: Sequence[float]
) -> list[float]:
    """Send frame after frame at the intended times, over the connections in turn; return the latencies."""
    waited: list[float] = []
    by_socket = {client.socket: client for client in clients}
    sockets = list(by_socket)
    in_flight: dict[socket.socket, deque[float]] = {each: deque() for each in sockets}
    sent, total = 0, len(intended)
    while len(waited) < total:
        now = perf_counter()
        while sent < total and intended[sent] <= now:
            client = clients[sent % len(clients)]
            client.send(frames[sent % len(frames)])
            in_flight[client.socket].append(intended[sent])
            sent += 1
        wait = max(0.0, intended[sent] - perf_counter()) if sent < total else LONGEST_WAIT_SECONDS
        # Unlike epoll's, its timeout is not rounded to milliseconds.
        readable, _, _ = select.select(sockets, (), (), min(wait, LONGEST_WAIT_SECONDS))
        if not readable and sent == total:
            raise TimeoutError(f"{total - len(waited)} of {total} calls were not answered")
        for each in readable:
            answered, shed = by_socket[each].answers()
            arrived = perf_counter()
            times = in_flight[each]
            waited.extend(arrived - times.popleft() for _ in range(answered))
            # A call that was shed has no answer: it counts as the slowest there is.
            waited[len(waited) - shed :] = [LONGEST_SECONDS] * shed
    return waited


class CallConnection:
    """One connection; cuts what comes back into frames and looks whether each brings a score."""

    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._buffer = bytearray(READ_BYTES)
        self._view = memoryview(self._buffer)
        self._filled = 0
        # Answers of one length are alike, so one of each is looked into.
        self._sheds: dict[int, bool] = {}
        # Bytes of one whole answer that came alone: most do, and look like the last.
        self._alone = 0

    def send(self, data: bytes) -> None:
        """Send, and wait while the socket has no room."""
        self.socket.sendall(data)

    def answers(self) -> tuple[int, int]:
        """Read what is there; return how many answers it completed, and how many of them say "overloaded"."""
        received = self.socket.recv_into(self._view[self._filled :])
        if not self._filled and received == self._alone:
            return 1, 0
        if not received:
            raise ConnectionError("the server closed the connection")
        end, start, count, shed = self._filled + received, 0, 0, 0
        while end - start >= LENGTH.size:
            (length,) = LENGTH.unpack_from(self._buffer, start)
            if end - start < LENGTH.size + length:
                break
            start += LENGTH.size
            if length not in self._sheds:
                self._sheds[length] = _is_shed(bytes(self._buffer[start : start + length]))
            start += length
            count += 1
            shed += self._sheds[length]
        if start and start < end:
            self._buffer[: end - start] = self._buffer[start:end]
        self._filled = end - start
        if count == 1 and not shed and not self._filled:
            self._alone = received
        return count, shed


def _is_shed(payload: bytes) -> bool:
    """Return whether the server was too busy; raise if the answer is neither that nor a score."""
    protocol = TCyBinaryProtocol(TCyMemoryBuffer(payload))
    _, kind, _ = protocol.read_message_begin()
    result = predictor.Predictor.score_result()
    protocol.read_struct(result)
    if kind == TMessageType.REPLY and result.overloaded is not None:
        return True
    if kind != TMessageType.REPLY or result.success is None or result.success.scores[0].prediction is None:
        raise RuntimeError(f"the server answered a call without a score: {result}")
    return False


def _frame(arguments: Any) -> bytes:
    transport = TCyMemoryBuffer()
    protocol = TCyBinaryProtocol(transport)
    protocol.write_message_begin("score", TMessageType.CALL, 0)
    protocol.write_struct(arguments)
    protocol.write_message_end()
    payload = bytes(transport.getvalue())
    return LENGTH.pack(len(payload)) + payload


def _bursts(frames: Sequence[bytes], size: int) -> Iterator[bytes]:
    """Yield *size* frames at a time, joined beforehand, for ever."""
    joined = [b"".join(frames[at : at + size]) for at in range(0, len(frames) - size + 1, size)]
    while True:
        yield from joined


def prefer_this_process() -> None:
    """Let the generator run when it must: a late generator would look like a slow server."""
    gc.disable()
    with suppress(PermissionError):
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))
