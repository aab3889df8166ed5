"""What tests share: how many rounds they run, and the servers they run against."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator

import pytest
from hypothesis import settings

from stream_ml.streams.embedded import EmbeddedBroker
from tests.servers.kafka import KafkaServer, require_kafka


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--full-counts", action="store_true", help="as many rounds as a release needs (hours)")


def pytest_configure(config: pytest.Config) -> None:
    settings.register_profile("reduced", max_examples=50, deadline=None, database=None)
    settings.register_profile("full", max_examples=2000, deadline=None, database=None)
    settings.load_profile("full" if config.getoption("--full-counts") else "reduced")


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


@pytest.fixture
def embedded_broker() -> Iterator[EmbeddedBroker]:
    with EmbeddedBroker() as broker:
        yield broker


@pytest.fixture
def topic_name() -> str:
    """A name that no other test uses."""
    return f"events-{uuid.uuid4().hex[:12]}"
