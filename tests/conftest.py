"""What tests share: how many rounds they run, and the servers they run against."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random, SystemRandom
from typing import Any

import orjson
import pytest
from hypothesis import settings

from loadtest.report import commit, machine, save
from stream_ml.streams.embedded import EmbeddedBroker
from tests.servers.kafka import KafkaServer, Lender, require_kafka
from tests.servers.objects import ObjectServer
from tests.servers.redis import RedisCluster, RedisServer, require_redis

# What a run with reduced counts draws from: the same each time.
SEED = 20261123
# Only where it is named: `make cluster` builds what it needs, for minutes.
collect_ignore = ["cluster"]
SOAK = Path(__file__).parents[1] / "docs" / "results" / "soak.json"


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--full-counts", action="store_true", help="as many rounds as a release needs (hours)")
    parser.addoption("--seed", type=int, help="of the random schedules, as a run printed it, to repeat them")


def pytest_configure(config: pytest.Config) -> None:
    settings.register_profile("reduced", max_examples=50, deadline=None, database=None)
    settings.register_profile("full", max_examples=2000, deadline=None, database=None)
    settings.load_profile("full" if config.getoption("--full-counts") else "reduced")
    if config.getoption("--seed") is None:
        config.option.seed = SystemRandom().randrange(10**9) if config.getoption("--full-counts") else SEED


def pytest_report_header(config: pytest.Config) -> str:
    return f"seed of the random schedules: --seed {config.getoption('--seed')}"


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """
    Keep what a run with full counts showed: `make soak` is run by hand, its result is committed.

    A run of a part (``-k``, or files) renews that part of the file.
    """
    if config.getoption("--full-counts") and not config.getoption("collectonly"):
        stats = terminalreporter.stats
        counted = {kind: len(stats.get(kind, ())) for kind in ("passed", "failed", "error", "skipped")}
        failed = [report.nodeid for kind in ("failed", "error") for report in stats.get(kind, ())]
        part = {**counted, "failures": failed, "seed": config.getoption("--seed"), "commit": commit()}
        before = orjson.loads(SOAK.read_bytes()) if SOAK.exists() else {}
        parts = {**before.get("parts", {}), config.getoption("keyword") or " ".join(config.args): part}
        figures = {**before.get("figures", {}), **_figures(stats)}
        save({"name": "soak", "parts": parts, "figures": figures, "machine": machine()}, SOAK)


def _figures(stats: dict[str, list[Any]]) -> dict[str, dict[str, Any]]:
    """Return what the tests that passed say that they saw, by test."""
    passed = {report.nodeid.rpartition("::")[2]: report for report in stats.get("passed", ())}
    return {name: dict(report.user_properties) for name, report in passed.items() if report.user_properties}


@pytest.fixture
def random(request: pytest.FixtureRequest) -> Random:
    """Dice of the run's seed and the test's name: alone or among others, a test draws the same."""
    return Random(f"{request.config.getoption('--seed')} {request.node.name}")


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


@pytest.fixture(scope="session")
def kafka_lender(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lender]:
    lender = Lender(lambda: tmp_path_factory.mktemp("kafka") / "own")
    try:
        yield lender
    finally:
        lender.close()


@pytest.fixture
def own_kafka(kafka_lender: Lender) -> Iterator[KafkaServer]:
    """A broker of this test's own, to kill and restart; nothing is in it."""
    require_kafka()
    server = kafka_lender.lend()
    try:
        yield server
    finally:
        kafka_lender.take_back(server)


@pytest.fixture(scope="session")
def objects(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ObjectServer]:
    """The S3-compatible server that all tests share; buckets have names of their own."""
    server = ObjectServer(tmp_path_factory.mktemp("objects"))
    try:
        yield server.start()
    finally:
        server.stop()


@pytest.fixture(scope="session")
def redis_redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    """One Redis that all tests share; its data survive that it is killed."""
    require_redis()
    kept = ["--appendonly", "yes", "--appendfsync", "always"]
    server = RedisServer(tmp_path_factory.mktemp("redis") / "one", kept)
    try:
        yield server.start()
    finally:
        server.stop()


@pytest.fixture(scope="session")
def redis_cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisCluster]:
    """Three masters with a replica each, that all tests share."""
    require_redis()
    cluster = RedisCluster(tmp_path_factory.mktemp("redis") / "cluster")
    try:
        yield cluster.start()
    finally:
        cluster.stop()


@pytest.fixture
def embedded_broker() -> Iterator[EmbeddedBroker]:
    with EmbeddedBroker() as broker:
        yield broker


@pytest.fixture
def topic_name() -> str:
    """A name that no other test uses."""
    return f"events-{uuid.uuid4().hex[:12]}"
