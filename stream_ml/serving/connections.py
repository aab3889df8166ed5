"""Connections to one predictor: opened when needed, kept for the next call, thrown away when in doubt."""

from __future__ import annotations

import socket
import threading
from typing import Any

from thriftpy2.protocol import TCyBinaryProtocolFactory
from thriftpy2.thrift import TApplicationException, TClient, TException
from thriftpy2.transport import TCyFramedTransportFactory, TSocket, TTransportException

from stream_ml.serving.idl import predictor
from stream_ml.serving.results import error_of


class ConnectionLost(Exception):
    """The connection is gone, or gave no answer in time; scoring changes nothing, so it may be repeated."""


class Connection:
    """One open connection; belongs to one thread at a time."""

    def __init__(self, host: str, port: int, timeout_seconds: float) -> None:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self._socket = TSocket(host, port, socket_family=family, connect_timeout=timeout_seconds * 1e3)
        self._transport = TCyFramedTransportFactory().get_transport(self._socket)
        protocol = TCyBinaryProtocolFactory().get_protocol(self._transport)
        self._client = TClient(predictor.Predictor, protocol)
        try:
            self._transport.open()
        except (TTransportException, OSError) as error:
            raise ConnectionLost(f"nobody answers there ({_said(error)}); is a predictor running?") from error

    def call(self, function: str, arguments: tuple[Any, ...], timeout_seconds: float) -> Any:
        """
        Return what the predictor answers.

        Raises:
            ConnectionLost: the connection must not be used again: an answer may still be on its way.
            PredictorError, PredictorUnavailable: the predictor's own; the connection is good.
        """
        self._socket.set_timeout(timeout_seconds * 1e3)
        try:
            return getattr(self._client, function)(*arguments)
        except (TTransportException, OSError, EOFError) as error:
            raise ConnectionLost(_said(error)) from error
        except TApplicationException as error:
            raise error_of(error) from error
        except TException as error:
            raise error_of(error) from error

    def close(self) -> None:
        """Hang up; idempotent."""
        self._transport.close()


class Pool:
    """Idle connections to one predictor, at most *size*. Thread-safe."""

    def __init__(self, host: str, port: int, size: int) -> None:
        self.host, self.port = host, port
        self._size = size
        self._idle: list[Connection] = []
        self._lock = threading.Lock()

    def take(self) -> Connection | None:
        """Return an idle connection, the one used last, or None."""
        with self._lock:
            return self._idle.pop() if self._idle else None

    def open(self, timeout_seconds: float) -> Connection:
        """Return a new connection; raises ConnectionLost."""
        return Connection(self.host, self.port, timeout_seconds)

    def give_back(self, connection: Connection) -> None:
        """Keep *connection* for the next call, or hang up where there are enough."""
        with self._lock:
            if len(self._idle) < self._size:
                self._idle.append(connection)
                return
        connection.close()

    def retire(self) -> None:
        """Hang up all idle connections, and keep no other from now on."""
        with self._lock:
            self._size = 0
        self.close()

    def close(self) -> None:
        """Hang up all idle connections."""
        with self._lock:
            idle, self._idle = self._idle, []
        for connection in idle:
            connection.close()


def _said(error: Exception) -> str:
    return str(getattr(error, "message", None) or error or type(error).__name__)
