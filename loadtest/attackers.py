"""
Clients that are slow or mean harm, many in one process that costs little: what `loadtest attack` sends.

None of them waits for another, and one that is cut off comes back.
"""

from __future__ import annotations

import heapq
import socket
import struct
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import count, cycle
from random import Random
from time import perf_counter, process_time, sleep

READ_BYTES = 64 << 10
# Of one that never reads: its answers are soon nobody's but the server's.
SMALL_WINDOW_BYTES = 4 << 10
LENGTH = struct.Struct("!i")
HUGE = LENGTH.pack(2**31 - 1)


@dataclass(frozen=True, slots=True)
class Habit:
    """
    How some of the clients behave.

    Attributes:
        streams: what a connection sends; each connection the next one of them.
        piece_bytes: how much of it at a time.
        interval_seconds: between two pieces.
        rest_seconds: after the last piece.
        returns: then hangs up and connects anew; else it goes on with the stream from its beginning.
        reads: takes what it is answered.
    """

    name: str
    clients: int
    streams: Sequence[bytes]
    piece_bytes: int
    interval_seconds: float
    rest_seconds: float
    returns: bool = False
    reads: bool = True


@dataclass(frozen=True, slots=True)
class Attack:
    """
    What the attackers did.

    Attributes:
        cut_off: connections that the server ended.
        busy: share of one core that they took.
    """

    connections: int
    cut_off: int
    pieces: int
    busy: float


def habits(call: bytes) -> list[Habit]:
    """Return the habits of 200 clients that know one good call."""
    half_a_frame = LENGTH.pack(8 << 20) + bytes(100_000)
    return [
        Habit("trickles", 100, [call], 1, interval_seconds=0.02, rest_seconds=0.02),
        Habit("half a frame", 40, [half_a_frame], 1 << 20, 0.05, rest_seconds=11.0, returns=True),
        Habit("never reads", 40, [call * 64], 4096, 0.1, rest_seconds=0.1, reads=False),
        Habit("bombs", 20, bombs(), READ_BYTES, 0.05, rest_seconds=2.0, returns=True),
    ]


def bombs() -> list[bytes]:
    """Return frames that claim, nest or hold more than anybody should have to take."""
    score = b"\x80\x01\x00\x01" + _sized(b"score") + bytes(4)
    broken = b"\x0f\x00\x01\x0b" + LENGTH.pack(1000) + _sized(b'{"broken') * 1000 + b"\x00"
    nested = b"\x0f\x00\x01\x0b" + LENGTH.pack(1) + _sized(b"[" * 200_000) + b"\x00"
    return [
        HUGE + score,
        _sized(score + b"\x0f\x00\x01\x0b" + HUGE + b"\x00"),
        _sized(score + b"\x0c\x00\x09" * 60_000),
        _sized(score + broken),
        _sized(score + nested),
        _sized(b"\x80\x01\x00\x01" + _sized(b"n" * 200_000) + bytes(5)),
        b"GET / HTTP/1.1\r\n\r\n",
    ]


def attack(port: int, behaviours: Sequence[Habit], seconds: float, seed: int) -> Attack:
    """Let all of them have their ways with the server for so long."""
    random, number = Random(seed), count()
    attackers = [_Attacker(port, habit, at) for habit in behaviours for at in range(habit.clients)]
    began, cpu = perf_counter(), process_time()
    turns = [(began + random.random() * 0.5, next(number), attacker) for attacker in attackers]
    heapq.heapify(turns)
    while turns[0][0] < began + seconds:
        due, _, attacker = heapq.heappop(turns)
        sleep(max(0.0, due - perf_counter()))
        pause = attacker.act()
        heapq.heappush(turns, (perf_counter() + pause, next(number), attacker))
    busy = (process_time() - cpu) / (perf_counter() - began)
    for attacker in attackers:
        attacker.socket.close()
    return Attack(
        connections=sum(attacker.connections for attacker in attackers),
        cut_off=sum(attacker.cut_off for attacker in attackers),
        pieces=sum(attacker.pieces for attacker in attackers),
        busy=busy,
    )


class _Attacker:
    """One client; it never waits for the server."""

    def __init__(self, port: int, habit: Habit, number: int) -> None:
        self.connections, self.cut_off, self.pieces = 0, 0, 0
        self._port, self._habit, self._at = port, habit, 0
        first = number % len(habit.streams)
        self._streams = cycle([*habit.streams[first:], *habit.streams[:first]])
        self._connect()

    def act(self) -> float:
        """Do what comes next; return the seconds until the time after."""
        habit = self._habit
        try:
            if habit.reads:
                self._read()
            if self._at < len(self._stream):
                return self._send()
            if habit.returns:
                self._return()
            self._at = 0
            return self._send()
        except ConnectionError:
            self.cut_off += 1
            self._return()
            return habit.rest_seconds

    def _return(self) -> None:
        self.socket.close()
        self._connect()

    def _connect(self) -> None:
        self.socket = socket.create_connection(("127.0.0.1", self._port))
        if not self._habit.reads:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, SMALL_WINDOW_BYTES)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket.setblocking(False)
        self.connections += 1
        self._stream, self._at = memoryview(next(self._streams)), 0

    def _send(self) -> float:
        habit = self._habit
        with suppress(BlockingIOError):
            self._at += self.socket.send(self._stream[self._at : self._at + habit.piece_bytes])
            self.pieces += 1
        return habit.interval_seconds if self._at < len(self._stream) else habit.rest_seconds

    def _read(self) -> None:
        with suppress(BlockingIOError):
            while self.socket.recv(READ_BYTES):
                pass
            raise ConnectionResetError("the server hung up")


def _sized(content: bytes) -> bytes:
    return LENGTH.pack(len(content)) + content
