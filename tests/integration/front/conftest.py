"""Fronts and connections that are closed at the end of a test."""

import socket
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from stream_ml import _native
from stream_ml.serving.client import PredictorClient
from tests.integration.front.wire import Connect, OpenFront, client_of, replica


@pytest.fixture
def open_front() -> Iterator[OpenFront]:
    fronts: list[_native.Front] = []

    def open_front(*, serving: bool = True, threads: int = 1, **limits: float) -> _native.Front:
        front = _native.Front("127.0.0.1", 0, threads=threads, limits=limits)
        fronts.append(front)
        if serving:
            front.serve("clicks", "v1", replica())
        return front

    yield open_front
    for front in fronts:
        front.drain(1.0)


@pytest.fixture
def front(open_front: OpenFront) -> _native.Front:
    return open_front()


@pytest.fixture
def client(front: _native.Front) -> Iterator[PredictorClient]:
    with client_of(front) as client:
        yield client


@pytest.fixture
def connect() -> Iterator[Connect]:
    with ExitStack() as connections:

        def connect(front: _native.Front) -> socket.socket:
            made = socket.create_connection(("127.0.0.1", front.port), timeout=10)
            return connections.enter_context(made)

        yield connect
