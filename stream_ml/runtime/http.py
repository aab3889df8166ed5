"""The operator's port: /metrics, /healthz, /livez, /readyz."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from prometheus_client import CollectorRegistry
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest

from stream_ml.errors import ConfigError
from stream_ml.runtime.metrics import REGISTRY

# Returns None if all is well, or one line that says what is not.
Check = Callable[[], str | None]


def all_is_well() -> str | None:
    """Return None: the check of a service that has nothing to say."""
    return None


class _Handler(BaseHTTPRequestHandler):
    def __init__(self, registry: CollectorRegistry, checks: Mapping[str, Check], *of_server: Any) -> None:
        self._registry, self._checks = registry, checks
        super().__init__(*of_server)  # answers the request

    def do_GET(self) -> None:
        if self.path == "/metrics":
            self._answer(200, generate_latest(self._registry), CONTENT_TYPE_LATEST)
        elif check := self._checks.get(self.path):
            problem = check()
            self._answer(503 if problem else 200, f"{problem or 'ok'}\n".encode())
        else:
            self._answer(404, b"/metrics /livez /readyz\n")

    def _answer(self, status: int, body: bytes, content: str = "text/plain; charset=utf-8") -> None:
        self.send_response(status)
        self.send_header("Content-Type", content)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_args: object) -> None:
        """Say nothing: a probe every second is no news."""


class OperatorServer:
    """
    Serves metrics and health on one port, from a thread of its own.

    ``/livez`` (and ``/healthz``, its older name) answers whether the process should be left alone,
    ``/readyz`` whether it does its work now; 200 with "ok", or 503 with what is wrong.

    Raises:
        ConfigError: the port cannot be bound.
    """

    def __init__(
        self,
        host: str,
        port: int,
        *,
        ready: Check = all_is_well,
        live: Check = all_is_well,
        registry: CollectorRegistry = REGISTRY,
    ) -> None:
        checks = {"/livez": live, "/healthz": live, "/readyz": ready}
        try:
            self._server = ThreadingHTTPServer((host, port), partial(_Handler, registry, checks))
        except OSError as error:
            raise ConfigError(
                f"the port of /metrics, {host}:{port}, cannot be bound: {error}\n"
                "  hint: set http_host and http_port; 0 picks a free port"
            ) from error
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, name="operator-http", daemon=True)
        self._thread.start()

    @property
    def port(self) -> int:
        """The port that is bound; what port 0 became."""
        return int(self._server.server_address[1])

    def close(self) -> None:
        """Stop answering; idempotent."""
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()
