"""A TCP proxy that passes bytes on, and can hold what a client sends from some bytes on."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from tests.servers.processes import free_port


class Proxy:
    """
    Between clients and one server of this machine.

    Attributes:
        held: set once something is held back.
        heard: what the server has said since then.
    """

    def __init__(self, server_port: int, port: int | None = None) -> None:
        self.port, self._server_port = port or free_port(), server_port
        self.held, self.heard = threading.Event(), bytearray()
        self._hold_at: bytes | None = None
        self._flows = threading.Event()
        self._flows.set()
        self._listener = socket.create_server(("127.0.0.1", self.port))
        threading.Thread(target=self._accept, daemon=True).start()

    def hold_at(self, words: bytes) -> None:
        """Hold the next piece that has *words* in it, and all that comes later."""
        self._hold_at = words

    def release(self) -> None:
        """Send what is held."""
        self._hold_at = None
        self._flows.set()

    def close(self) -> None:
        self.release()
        self._listener.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                try:
                    server = socket.create_connection(("127.0.0.1", self._server_port))
                except OSError:  # it is down, and may come back
                    client.close()
                    continue
                for pump, source, target in ((self._ask, client, server), (self._answer, server, client)):
                    threading.Thread(target=pump, args=(source, target), daemon=True).start()

    def _ask(self, client: socket.socket, server: socket.socket) -> None:
        with suppress(OSError), _both_end(client, server):
            while piece := client.recv(1 << 20):
                if self._hold_at is not None and self._hold_at in piece:
                    self._flows.clear()
                    self.held.set()
                self._flows.wait()
                server.sendall(piece)

    def _answer(self, server: socket.socket, client: socket.socket) -> None:
        with suppress(OSError), _both_end(client, server):
            while piece := server.recv(1 << 20):
                if self.held.is_set():
                    self.heard += piece
                client.sendall(piece)


@contextmanager
def _both_end(client: socket.socket, server: socket.socket) -> Iterator[None]:
    """End both with the block: to close alone would not end one that the other thread waits on."""
    try:
        yield
    finally:
        for each in (client, server):
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()
