"""A real S3-compatible object store for tests: moto's server, a process of its own, and ways to spoil it."""

from __future__ import annotations

import socket
import threading
import time
import uuid
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import fsspec

from tests.servers.processes import Process, answers, free_port

_CHUNK_BYTES = 1 << 14


class ObjectServer:
    """One server that keeps its objects in memory; they are gone with its process."""

    def __init__(self, directory: Path) -> None:
        self.port = free_port()
        command = ["-m", "moto.server", "-H", "127.0.0.1", "-p", str(self.port)]
        self.process = Process.python(command, directory / "objects.log")

    def start(self) -> ObjectServer:
        self.process.start().wait_until(lambda: answers(self.port), 60)
        return self

    def stop(self) -> None:
        self.process.kill()

    def bucket(self) -> str:
        """Make a bucket that no other test uses; return its URL."""
        url = f"s3://snapshots-{uuid.uuid4().hex[:12]}"
        fsspec.filesystem("s3", **client_settings(self.port)).mkdir(url)
        return url


def client_settings(port: int) -> dict[str, Any]:
    """Return what fsspec's S3 client needs to find the server; no profile of this machine is asked."""
    retries = {"connect_timeout": 1, "read_timeout": 5, "retries": {"max_attempts": 1}}
    return {
        "endpoint_url": f"http://127.0.0.1:{port}",
        "key": "test",
        "secret": "test",
        "client_kwargs": {"region_name": "eu-west-1"},
        "config_kwargs": retries,
    }


class Proxy:
    """
    A way to a server that is slow or breaks off.

    Attributes:
        delay_seconds: before each piece of an answer.
        cut_after_bytes: of a connection's way to the server; then both are hung up. None: never.
    """

    def __init__(self, port: int) -> None:
        self._target = port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        self.delay_seconds = 0.0
        self.cut_after_bytes: int | None = None
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        # Closing alone does not wake a thread that accepts.
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                server = socket.create_connection(("127.0.0.1", self._target))
                for source, sink, spoil in ((client, server, self._cut), (server, client, self._delay)):
                    threading.Thread(target=_pump, args=(source, sink, spoil), daemon=True).start()

    def _cut(self, passed: int) -> bool:
        return self.cut_after_bytes is not None and passed > self.cut_after_bytes

    def _delay(self, passed: int) -> bool:
        time.sleep(self.delay_seconds)
        return False


def _pump(source: socket.socket, sink: socket.socket, cut_now: Callable[[int], bool]) -> None:
    passed = 0
    with suppress(OSError):
        while data := source.recv(_CHUNK_BYTES):
            passed += len(data)
            if cut_now(passed):
                break
            sink.sendall(data)
    for end in (source, sink):
        with suppress(OSError):
            end.shutdown(socket.SHUT_RDWR)
    source.close()
