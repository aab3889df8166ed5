"""The console on a port of this process, from a thread of its own."""

from __future__ import annotations

import ipaddress
import socket
import threading
from types import TracebackType
from typing import Self

import uvicorn

from stream_ml.console.app import Console
from stream_ml.console.wiring import DEFAULT_PORT
from stream_ml.errors import ConfigError

_STOP_SECONDS = 2
_CONNECTIONS = 200


class ConsoleServer:
    """
    Answers while it is entered.

    Attributes:
        url: where a browser finds it.
    """

    def __init__(self, console: Console, host: str, port: int | None) -> None:
        """
        Bind the port, or without one the usual, or another where somebody has that; nothing is answered yet.

        Raises:
            ConfigError: it cannot be bound.
        """
        try:
            self._socket = _bound(host, DEFAULT_PORT if port is None else port)
        except ConfigError:
            if port is not None:
                raise
            self._socket = _bound(host, 0)
        self.port = int(self._socket.getsockname()[1])
        self.url = f"http://{f'[{host}]' if ':' in host else host}:{self.port}"
        self._server = uvicorn.Server(
            uvicorn.Config(
                console.app(_names(host)),
                log_config=None,
                access_log=False,
                lifespan="off",
                server_header=False,
                limit_concurrency=_CONNECTIONS,
                timeout_graceful_shutdown=_STOP_SECONDS,
            )
        )
        self._thread = threading.Thread(
            target=self._server.run, kwargs={"sockets": [self._socket]}, name="console-http", daemon=True
        )

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.should_exit = True
        self._thread.join()
        self._socket.close()


def _bound(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family)
    except OSError as error:
        raise ConfigError(
            f"the console's port, {host}:{port}, cannot be bound: {error}\n  hint: 0 picks a free port"
        ) from error


def _names(host: str) -> list[str]:
    """Return the names by which the page may be called: on this machine alone only those that lead to it."""
    try:
        alone = ipaddress.ip_address(host).is_loopback
    except ValueError:
        alone = host == "localhost"
    return ["localhost", "127.0.0.1", "[::1]", host] if alone else ["*"]
