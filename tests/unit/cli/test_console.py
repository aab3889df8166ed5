"""`stream-ml console`: what it looks at, and where `stream-ml up` serves the page."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from click.testing import CliRunner

from stream_ml.cli import console as module
from stream_ml.cli import up
from stream_ml.console import server, wiring
from stream_ml.console.app import Console
from stream_ml.console.wiring import Places, missing
from stream_ml.errors import ConfigError
from stream_ml.local.stack import Stack
from tests.unit.cli.test_broker import HERE


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Places, str, int | None]]:
    """What was to be served; it ends as by Ctrl-C."""
    found: list[tuple[Places, str, int | None]] = []

    @contextmanager
    def served(places: Places, host: str, port: int | None) -> Iterator[str]:
        found.append((places, host, port))
        raise KeyboardInterrupt
        yield ""

    monkeypatch.setattr(module, "served", served)
    monkeypatch.setattr(module, "interrupt_on_signals", lambda: None)
    return found


def run(*arguments: str) -> Any:
    return CliRunner().invoke(module.console, arguments)


def test_without_addresses_it_is_what_up_runs(asked: list[Any], tmp_path: Path) -> None:
    HERE.save(tmp_path)
    assert run("--directory", str(tmp_path)).exit_code == 0
    [(places, host, port)] = asked
    assert (host, port) == ("127.0.0.1", None)
    assert places == Places(
        ("m",),
        {"bootstrap.servers": "127.0.0.1:1"},
        ("127.0.0.1:3", "127.0.0.1:4"),
        ("127.0.0.1:2",),
        "events",
    )


def test_what_is_named_is_seen_beside_what_up_runs(asked: list[Any], tmp_path: Path) -> None:
    HERE.save(tmp_path)
    run("--directory", str(tmp_path), "--metrics", "monitor:1", "--model", "n", "--topic", "t")
    [(places, _, _)] = asked
    assert places.models == ("m", "n")
    assert places.services[-1] == "monitor:1"
    assert places.events_topic == "t"


def test_of_services_elsewhere_all_is_named(asked: list[Any]) -> None:
    named = "--bootstrap k:9092 --model m --metrics l:1 --metrics p:1 --predictor p:2 --host ::1 --port 0"
    run(*named.split())
    assert asked == [(Places(("m",), {"bootstrap.servers": "k:9092"}, ("l:1", "p:1"), ("p:2",)), "::1", 0)]


def test_without_a_model_there_is_nothing_to_show(asked: list[Any]) -> None:
    with pytest.raises(ConfigError, match=r"no model is named\n  hint: --model"):
        CliRunner().invoke(module.console, ["--bootstrap", "k:9092"], catch_exceptions=False)
    assert asked == []


@pytest.fixture
def ports(monkeypatch: pytest.MonkeyPatch) -> list[int | None]:
    """The ports that `up` serves the page at."""
    found: list[int | None] = []

    @contextmanager
    def served(_places: Places, host: str, port: int | None) -> Iterator[str]:
        found.append(port)
        yield f"http://{host}:{port}"

    monkeypatch.setattr(up, "served", served)
    return found


STACK = cast(Stack, SimpleNamespace(running=HERE))


def page(port: int | None) -> str:
    with ExitStack() as resources:
        return up._console(STACK, resources, port)


def test_up_serves_it_at_the_port_that_was_asked_for_if_any(ports: list[int | None]) -> None:
    assert page(8001) == "http://127.0.0.1:8001"
    page(None)
    assert ports == [8001, None]


@pytest.fixture
def taken(monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    """The usual port, which somebody else has."""
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        monkeypatch.setattr(server, "DEFAULT_PORT", port)
        yield port


def test_another_port_does_where_somebody_has_the_usual_one(taken: int) -> None:
    console = cast(Console, SimpleNamespace(app=lambda _names: None))
    found = server.ConsoleServer(console, "127.0.0.1", None)
    found._socket.close()
    assert found.port not in (0, taken)
    with pytest.raises(ConfigError, match="cannot be bound"):
        server.ConsoleServer(console, "127.0.0.1", taken)


def test_without_its_packages_up_goes_on_and_says_so(
    ports: list[int | None], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert missing() is None
    monkeypatch.setattr(wiring, "find_spec", lambda name: None if name == "uvicorn" else object())
    assert page(None) == "uvicorn not installed: pip install 'stream-ml[console]'"
    assert ports == []
    with pytest.raises(ConfigError, match=r"uvicorn not installed"):
        wiring.served(Places(("m",), {}, (), ()), "127.0.0.1", 0).__enter__()
