"""What a Service of Kubernetes is to its clients: one address, behind it whoever is ready now."""

from __future__ import annotations

import random
import socket
import threading
from collections.abc import Sequence
from contextlib import suppress

from tests.servers.processes import free_port


class Endpoints:
    """
    Gives each new connection to one of the endpoints, by chance; there it stays, whoever goes meanwhile.

    So does kube-proxy. What it gives an endpoint that is gone finds nobody there.
    """

    def __init__(self, randomness: random.Random) -> None:
        self._random = randomness
        self._endpoints: Sequence[tuple[str, int]] = ()
        self.port = free_port()
        self.address = f"127.0.0.1:{self.port}"
        self._listener = socket.create_server(("127.0.0.1", self.port), backlog=128)
        threading.Thread(target=self._accept, daemon=True).start()

    def become(self, endpoints: Sequence[tuple[str, int]]) -> None:
        """From now on give connections to these."""
        self._endpoints = tuple(endpoints)

    def close(self) -> None:
        # Closing alone does not wake the thread that waits on it.
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                try:
                    server = socket.create_connection(self._random.choice(self._endpoints), 5.0)
                except (OSError, IndexError):
                    client.close()
                    continue
                server.settimeout(None)
                for each in (client, server):
                    each.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                for source, target in ((client, server), (server, client)):
                    threading.Thread(target=_pass_on, args=(source, target), daemon=True).start()


def _pass_on(source: socket.socket, target: socket.socket) -> None:
    """Pass bytes on until *source* has said its last, and say so."""
    with suppress(OSError):
        while piece := source.recv(1 << 16):
            target.sendall(piece)
    # Both ends, or the other direction would wait for ever for a side that is gone.
    for each in (target, source):
        with suppress(OSError):
            each.shutdown(socket.SHUT_RDWR)
        each.close()
