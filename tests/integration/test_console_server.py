"""The console's port, and how it looks at a service's: real sockets on this machine."""

from __future__ import annotations

import http.client
import socket
import time
from collections.abc import Iterator
from contextlib import closing

import pytest

from stream_ml.console.app import Console
from stream_ml.console.scrape import scrape
from stream_ml.console.server import ConsoleServer
from stream_ml.console.watch import Watch, Watched
from stream_ml.errors import ConfigError
from stream_ml.runtime import metrics
from stream_ml.runtime.http import OperatorServer
from stream_ml.streams.memory import MemoryLog


def console() -> Console:
    log = MemoryLog()
    return Console(Watch(Watched(("m",), ()), log), None, log, "")


def get(port: int, path: str, host: str, address: str = "127.0.0.1") -> int:
    with closing(http.client.HTTPConnection(address, port, timeout=10)) as connection:
        connection.request("GET", path, headers={"Host": host})
        return connection.getresponse().status


def test_on_this_machine_alone_it_answers_to_its_own_names_only() -> None:
    with ConsoleServer(console(), "127.0.0.1", 0) as server:
        assert server.url == f"http://127.0.0.1:{server.port}"
        names = ("127.0.0.1", f"localhost:{server.port}", f"127.0.0.1:{server.port}")
        assert [get(server.port, "/api/state", name) for name in names] == [200, 200, 200]
        assert [get(server.port, "/", name) for name in ("evil.example", "10.1.2.3")] == [400, 400]


def test_on_every_address_it_answers_to_any_name() -> None:
    with ConsoleServer(console(), "0.0.0.0", 0) as server:
        assert get(server.port, "/", "console.example") == 200


@pytest.mark.skipif(not socket.has_ipv6, reason="no IPv6 here")
def test_it_listens_on_the_other_kind_of_address_too() -> None:
    with ConsoleServer(console(), "::1", 0) as server:
        assert server.url == f"http://[::1]:{server.port}"
        assert get(server.port, "/", f"[::1]:{server.port}", "::1") == 200


def test_a_port_that_is_taken_is_a_wrong_argument() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(ConfigError, match=rf"127\.0\.0\.1:{port}, cannot be bound.*\n.*hint"):
            ConsoleServer(console(), "127.0.0.1", port)


def test_after_its_end_the_port_is_free() -> None:
    with ConsoleServer(console(), "127.0.0.1", 0) as server:
        port = server.port
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port), timeout=10)


@pytest.fixture
def service() -> Iterator[str]:
    metrics.begin("learner", ["scraped"])
    metrics.LEARNER_STEP.labels("scraped").set(7)
    server = OperatorServer("127.0.0.1", 0, ready=lambda: "replays the journal")
    yield f"127.0.0.1:{server.port}"
    server.close()


def test_a_service_is_seen_with_its_figures_and_why_it_is_not_ready(service: str) -> None:
    seen = scrape(service, lambda: 5.0)
    assert (seen.component, seen.at) == ("learner", 5.0)
    assert seen.problem == "is not ready: replays the journal"
    assert list(seen.values("stream_ml_learner_step", model="scraped")) == [7.0]


def test_what_is_not_there_or_not_ours_is_told() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
    gone = scrape(f"127.0.0.1:{port}", time.time)
    assert not gone.answers
    assert gone.problem is not None
    assert gone.problem.startswith("does not answer: ")
    with ConsoleServer(console(), "127.0.0.1", 0) as server:
        assert scrape(f"127.0.0.1:{server.port}", time.time).problem == "answers 404 instead of its metrics"
    assert (scrape("no port", time.time).problem or "").startswith("does not answer: ")
