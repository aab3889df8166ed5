"""Predictors are replaced under load, old and new side by side; applications do not notice."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random

import pytest

from stream_ml.serving.client import PredictorClient
from tests.servers.kafka import KafkaServer
from tests.servers.processes import wait_until
from tests.system.lives import Lives
from tests.system.rolling import Deployment, calling, has_called

Record = Callable[[str, object], None]
Rounds = Callable[[int, int], int]
TIMEOUT_SECONDS = 10.0
THREADS_EACH = 2
CALLS_BETWEEN = 50


@pytest.fixture
def lives(own_kafka: KafkaServer, tmp_path: Path) -> Iterator[Lives]:
    lives = Lives(own_kafka, tmp_path, partitions=1)
    yield lives
    lives.close()


@pytest.fixture
def deployment(own_kafka: KafkaServer, tmp_path: Path, random: Random) -> Iterator[Deployment]:
    deployment = Deployment(tmp_path, own_kafka.bootstrap, random)
    yield deployment
    deployment.close()


@contextmanager
def learning(lives: Lives) -> Iterator[None]:
    """Let a learner learn what comes all the while."""
    learner, ended = lives.start(), threading.Event()
    producing = threading.Thread(target=lives.produce_until, args=(ended.is_set, 7200))
    producing.start()
    try:
        learner.wait_until(lambda: lives.steps() > 0)
        yield
        assert learner.running, learner.tail()
    finally:
        ended.set()
        producing.join()


@pytest.mark.timeout(3600)
def test_predictors_are_replaced_one_by_one_under_load_and_no_call_fails(
    lives: Lives, deployment: Deployment, rounds: Rounds, record_property: Record
) -> None:
    restarts = rounds(4, 20)
    with learning(lives):
        deployment.start()
        by_service = PredictorClient([deployment.service.address], timeout_seconds=TIMEOUT_SECONDS)
        by_name = PredictorClient(
            [deployment.address], timeout_seconds=TIMEOUT_SECONDS, resolve=deployment.resolve
        )
        with calling([by_service, by_name], THREADS_EACH) as seen:
            for _ in range(restarts):
                wait_until(has_called(seen, CALLS_BETWEEN))
                deployment.replace()
            wait_until(has_called(seen, CALLS_BETWEEN))
    assert [calls.failures for calls in seen] == [[], []]
    record_property("restarts", restarts)
    record_property("calls_answered", sum(calls.answered for calls in seen))
    record_property("slowest_call_ms", round(1e3 * max(calls.slowest_seconds for calls in seen), 1))
