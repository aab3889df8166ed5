"""The Thrift front under attack: mutated frames, bombs made by hand, and clients that take their time."""

from __future__ import annotations

import gc
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from random import Random

import pytest

from loadtest.proc import resident_bytes
from stream_ml import _native
from tests.integration.front.wire import (
    GOOD,
    Connect,
    OpenFront,
    client_of,
    framed,
    read_frame,
    score_message,
    wait_until,
)

Record = Callable[[str, object], None]
FRAMES_A_CONNECTION = 50
MAX_GROWTH_BYTES = 64 << 20
HEADER = b"\x80\x01\x00\x01" + framed(b"score") + bytes(4)
HEADER_BYTES = len(HEADER)
HUGE, NEGATIVE = struct.pack(">i", 2**31 - 1), struct.pack(">i", -1)
# Options with every field, and one that only a later release knows.
OPTIONS = (
    b"\x0c\x00\x02"
    + (b"\x0b\x00\x01" + framed(b"clicks") + b"\x02\x00\x02\x01\x02\x00\x03\x01")
    + (b"\x04\x00\x04" + struct.pack(">d", 1e9) + b"\x0b\x00\x05" + framed(b"trace"))
    + (b"\x0f\x00\x09\x0c" + struct.pack(">i", 2) + b"\x08\x00\x01\x00\x00\x00\x07\x00\x00")
    + b"\x00\x00"
)
CORPUS = [
    score_message(GOOD),
    score_message(*[GOOD] * 3)[:-1] + OPTIONS,
    score_message(b'{"user": "\\u00e9", "page": [1, {"a": null}], "price": -1.5e-3}', b"{}", b""),
    score_message(name=b"status")[:17] + b"\x00",
    struct.pack(">i", 5) + b"score\x01" + score_message(GOOD)[13:],
]
BOMBS = {
    "a list of 2^31 - 1 events": HEADER + b"\x0f\x00\x01\x0b" + HUGE + b"\x00",
    "a list of -1 events": HEADER + b"\x0f\x00\x01\x0b" + NEGATIVE + b"\x00",
    "an event of 2^31 - 1 bytes": HEADER + b"\x0f\x00\x01\x0b\x00\x00\x00\x01" + HUGE + b"x",
    "an event of -1 bytes": HEADER + b"\x0f\x00\x01\x0b\x00\x00\x00\x01" + NEGATIVE + b"x",
    "a correlation id of 2^31 - 1 bytes": HEADER + b"\x0c\x00\x02\x0b\x00\x05" + HUGE + b"\x00\x00",
    "a function's name of 2^31 - 1 bytes": b"\x80\x01\x00\x01" + HUGE + b"score",
    "an unstrict name of 2^31 - 1 bytes": HUGE + b"score",
    "a map of 2^31 - 1 nothings": HEADER + b"\x0d\x00\x09\x02\x02" + HUGE + b"\x00",
    "a set of 2^31 - 1 structs": HEADER + b"\x0e\x00\x09\x0c" + HUGE + b"\x00" * 1000,
    "structs in structs": HEADER + b"\x0c\x00\x09" * 100_000,
    "lists in lists": HEADER + b"\x0f\x00\x09" + b"\x0f\x00\x00\x00\x01" * 100_000,
    "maps in maps": HEADER + b"\x0d\x00\x09" + b"\x03\x0d\x00\x00\x00\x01\x00" * 50_000,
    "a million fields": HEADER + b"\x02\x00\x09\x01" * 1_000_000 + b"\x00",
    "a type that is none": HEADER + b"\x63\x00\x01",
}
# What a scanner of JSON must get through; each is an event of its own.
EVENT_BOMBS = [
    b"[" * 500_000,
    b'{"a":' * 100_000,
    b'{"price": ' + b"9" * 500_000 + b"}",
    b'{"price": 1e' + b"9" * 100_000 + b"}",
    b'{"' + b"k" * 500_000 + b'": 1}',
    b'{"user": "' + b"\\u0041" * 100_000 + b'"}',
    b'{"user": "' + b"\\ud800" * 1000 + b'"}',
    b'{"user": "\xff\xfe"}',
    b"{" + b'"user": "u1",' * 50_000 + b'"page": "p"}',
    b'{"user": "u1"' + b" " * 500_000,
]


@pytest.fixture
def attacked(front: _native.Front) -> Iterator[_native.Front]:
    """A front that must answer and must not have grown when the test is over."""
    with client_of(front) as client:
        before = client.score([GOOD]).scores[0].prediction
        gc.collect()
        held = resident_bytes()
        yield front
        assert client.score([GOOD]).scores[0].prediction == before
    wait_until(lambda: front.stats()["connections_open"] == 0)
    gc.collect()
    assert resident_bytes() - held <= MAX_GROWTH_BYTES


def mutated(dice: Random) -> bytes:
    """Return a frame with one to three things wrong, one of them perhaps its length."""
    message = bytearray(dice.choice(CORPUS))
    # A broken header ends the connection with all that was sent behind it: mostly it is left alone.
    first = 0 if dice.random() < 0.02 else HEADER_BYTES
    for _ in range(dice.randint(1, 3)):
        at = dice.randint(min(first, len(message)), len(message))
        match dice.randrange(6):
            case 0:
                del message[at:]
            case 1 if at < len(message):
                message[at] ^= 1 << dice.randrange(8)
            case 2:
                message[at : at + 4] = dice.choice([HUGE, NEGATIVE, b"\x00\x00\x00\x00", b"\x00\x0f\xff\xff"])
            case 3:
                message[at:at] = dice.randbytes(dice.randrange(1, 9))
            case 4:
                other = dice.choice(CORPUS)
                message[at:] = other[dice.randrange(len(other)) :]
            case _:
                message[at : at + 1] = bytes([dice.choice((0, 2, 8, 11, 12, 13, 14, 15, 255))])
    lie = dice.choice((-1, 1, 1 << 16, 1 << 31)) if dice.random() < 0.01 else 0
    return struct.pack(">I", max(0, len(message) + lie)) + bytes(message)


def throw(front: _native.Front, stream: bytes) -> None:
    """Send *stream* on a connection of its own, hang up, and read until the front does."""
    # What is still coming when the front closes a connection is answered by a reset.
    with (
        suppress(ConnectionError),
        socket.create_connection(("127.0.0.1", front.port), timeout=10) as connection,
    ):
        connection.sendall(stream)
        connection.shutdown(socket.SHUT_WR)
        while connection.recv(1 << 16):
            pass


def test_mutated_frames_are_answered_or_refused(
    attacked: _native.Front, rounds: Callable[[int, int], int], random: Random, record_property: Record
) -> None:
    wanted, decoded = rounds(5_000, 1_000_000), 0
    while decoded < wanted:
        throw(attacked, b"".join(mutated(random) for _ in range(FRAMES_A_CONNECTION)))
        calls = attacked.stats()["calls"]
        decoded = sum(calls.values())
    record_property("frames", decoded)
    fates = ("answered", "malformed", "bad_request", "unknown_model")
    assert min(calls[fate] for fate in fates) > 0, "mutants of every fate"


@pytest.mark.parametrize("bomb", BOMBS)
def test_a_bomb_is_an_application_error_or_the_end_of_its_connection_alone(
    attacked: _native.Front, connect: Connect, bomb: str
) -> None:
    with connect(attacked) as connection:
        connection.sendall(framed(BOMBS[bomb]))
        # An exception of the protocol, or a reply that is one of the IDL's (a field other than 0).
        reply = read_frame(connection)
        refused = reply[:4] == b"\x80\x01\x00\x03" or reply[17:20] != b"\x0c\x00\x00"
        assert refused == (bomb != "a million fields") or b"no list of events" in reply


@pytest.mark.parametrize("number", range(len(EVENT_BOMBS)))
def test_an_event_that_is_a_bomb_fails_alone(attacked: _native.Front, number: int) -> None:
    with client_of(attacked) as client:
        first, bomb, last = client.score([GOOD, EVENT_BOMBS[number], GOOD]).scores
    assert first.prediction == last.prediction is not None
    assert (bomb.error is None) != (bomb.prediction is None)


SLOW_CLIENTS = 200


def test_two_hundred_clients_that_trickle_or_never_read_keep_nobody_waiting(
    open_front: OpenFront,
    connect: Connect,
    rounds: Callable[[int, int], int],
    record_property: Callable[..., None],
) -> None:
    front = open_front()
    calls = rounds(200, 20_000)
    gc.collect()
    held = resident_bytes()
    alone = call_seconds(front, calls)
    slow = [connect(front) for _ in range(SLOW_CLIENTS)]
    ended = threading.Event()
    trickler = threading.Thread(target=trickle, args=(slow, ended))
    trickler.start()
    try:
        beside = call_seconds(front, calls)
    finally:
        ended.set()
        trickler.join()
    assert front.stats()["connections_open"] >= SLOW_CLIENTS, "all of them are still there"
    gc.collect()
    assert resident_bytes() - held <= MAX_GROWTH_BYTES
    record_property("p99_alone_ms", round(1e3 * percentile_99(alone), 3))
    record_property("p99_beside_200_slow_clients_ms", round(1e3 * percentile_99(beside), 3))


def trickle(connections: list[socket.socket], ended: threading.Event) -> None:
    """Send a call byte by byte on each; every other one never reads what it is answered."""
    message = framed(score_message(GOOD))
    for at in range(10**9):
        for connection in connections:
            connection.sendall(message[at % len(message)].to_bytes())
        if ended.wait(0.01):
            return


def call_seconds(front: _native.Front, calls: int) -> list[float]:
    took = []
    with client_of(front) as client:
        for _ in range(calls):
            began = time.perf_counter()
            assert client.score([GOOD]).scores[0].error is None
            took.append(time.perf_counter() - began)
    return took


def percentile_99(seconds: list[float]) -> float:
    return sorted(seconds)[len(seconds) * 99 // 100]
