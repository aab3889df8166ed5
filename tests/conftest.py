"""What tests share: how many rounds they run, and the servers they run against."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from loadtest.report import commit, machine, save
from stream_ml.streams.embedded import EmbeddedBroker
from tests.servers.kafka import KafkaServer, require_kafka
from tests.servers.objects import ObjectServer

SOAK = Path(__file__).parents[1] / "docs" / "results" / "soak.json"


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--full-counts", action="store_true", help="as many rounds as a release needs (hours)")


def pytest_configure(config: pytest.Config) -> None:
    settings.register_profile("reduced", max_examples=50, deadline=None, database=None)
    settings.register_profile("full", max_examples=2000, deadline=None, database=None)
    settings.load_profile("full" if config.getoption("--full-counts") else "reduced")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Keep what a run with full counts showed: `make soak` is run by hand, its result is committed."""
    if config.getoption("--full-counts"):
        counted = {
            kind: len(terminalreporter.stats.get(kind, ()))
            for kind in ("passed", "failed", "error", "skipped")
        }
        failed = [report.nodeid for report in terminalreporter.stats.get("failed", ())]
        save({"name": "soak", **counted, "failures": failed, "machine": machine(), "commit": commit()}, SOAK)


@pytest.fixture(scope="session")
def rounds(request: pytest.FixtureRequest) -> Callable[[int, int], int]:
    """Give how many rounds to run: ``rounds(reduced, full)``."""
    full_counts = request.config.getoption("--full-counts")
    return lambda reduced, full: full if full_counts else reduced


@pytest.fixture(scope="session")
def kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KafkaServer]:
    """The broker that all tests share; nobody may kill it, topics have names of their own."""
    require_kafka()
    server = KafkaServer(tmp_path_factory.mktemp("kafka") / "shared")
    try:
        yield server.start()
    finally:
        server.stop()


@pytest.fixture
def own_kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KafkaServer]:
    """A broker of this test's own, to kill and restart."""
    require_kafka()
    server = KafkaServer(tmp_path_factory.mktemp("kafka") / "own")
    try:
        yield server.start()
    finally:
        server.stop()


@pytest.fixture(scope="session")
def objects(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ObjectServer]:
    """The S3-compatible server that all tests share; buckets have names of their own."""
    server = ObjectServer(tmp_path_factory.mktemp("objects"))
    try:
        yield server.start()
    finally:
        server.stop()


@pytest.fixture
def embedded_broker() -> Iterator[EmbeddedBroker]:
    with EmbeddedBroker() as broker:
        yield broker


@pytest.fixture
def topic_name() -> str:
    """A name that no other test uses."""
    return f"events-{uuid.uuid4().hex[:12]}"
