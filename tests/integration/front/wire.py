"""What the tests of the front share: a replica to serve, and messages byte by byte."""

import socket
import struct
import time
from collections.abc import Callable

from stream_ml import _native
from stream_ml.features import compile_model
from stream_ml.serving.client import PredictorClient
from tests.clicks import MODEL, events

PLAN = _native.Plan(compile_model(MODEL).plan_bytes)
Connect = Callable[[_native.Front], socket.socket]
OpenFront = Callable[..., _native.Front]
GOOD = b'{"user": "u1", "page": "p31", "price": 1.5}'


def replica(learned: int = 300, learned_at: float | None = None, step: int = 7) -> _native.Replica:
    learner = _native.Learner(PLAN)
    learner.learn([(0, events(learned), [-1] * learned)])
    cut = learner.cut()
    made = _native.Replica(PLAN)
    made.apply(
        cut.rows, cut.removed, cut.score_state, step, time.time() if learned_at is None else learned_at
    )
    return made


def client_of(front: _native.Front, timeout_seconds: float = 10.0) -> PredictorClient:
    return PredictorClient([f"127.0.0.1:{front.port}"], timeout_seconds=timeout_seconds)


def framed(message: bytes) -> bytes:
    return struct.pack(">I", len(message)) + message


def score_message(*events: bytes, name: bytes = b"score", sequence: int = 0) -> bytes:
    listed = b"".join(framed(event) for event in events)
    header = b"\x80\x01\x00\x01" + framed(name) + struct.pack(">i", sequence)
    return header + b"\x0f\x00\x01\x0b" + struct.pack(">i", len(events)) + listed + b"\x00"


def read_exactly(connection: socket.socket, count: int) -> bytes:
    data = b""
    while len(data) < count:
        part = connection.recv(count - len(data))
        if not part:
            raise EOFError
        data += part
    return data


def read_frame(connection: socket.socket) -> bytes:
    return read_exactly(connection, struct.unpack(">I", read_exactly(connection, 4))[0])


def is_closed(connection: socket.socket) -> bool:
    try:
        return connection.recv(1) == b""
    except ConnectionResetError:
        return True


def wait_until(condition: Callable[[], bool]) -> None:
    give_up_at = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < give_up_at, "it never came to be"
        time.sleep(0.005)
