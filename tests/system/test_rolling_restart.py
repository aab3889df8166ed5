"""Predictors are replaced under load, old and new side by side; applications do not notice."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from random import Random

import pytest

from stream_ml.serving.client import PredictorClient
from tests.servers.kafka import KafkaServer
from tests.servers.processes import wait_until
from tests.servers.release import release_before
from tests.system.lives import Lives
from tests.system.rolling import REPLICAS, Calls, Deployment, calling, has_called

Record = Callable[[str, object], None]
Rounds = Callable[[int, int], int]
TIMEOUT_SECONDS = 10.0
THREADS_EACH = 2
CALLS_BETWEEN = 50


@pytest.fixture
def only_with_full_counts(request: pytest.FixtureRequest) -> None:
    if not request.config.getoption("--full-counts"):
        pytest.skip("with --full-counts only: it builds the release before")


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
def learning(lives: Lives, environment: Mapping[str, str] | None = None) -> Iterator[None]:
    """Let a learner learn what comes all the while."""
    learner, ended = lives.start(environment=environment), threading.Event()
    producing = threading.Thread(target=lives.produce_until, args=(ended.is_set, 7200))
    producing.start()
    try:
        before = lives.steps()
        learner.wait_until(lambda: lives.steps() > before)
        yield
        assert learner.running, learner.tail()
    finally:
        ended.set()
        producing.join()
    assert learner.terminate() == 0, learner.tail()


@contextmanager
def applications(deployment: Deployment) -> Iterator[Sequence[Calls]]:
    """Call by the address of a Service, and by a name that has all addresses."""
    by_service = PredictorClient([deployment.service.address], timeout_seconds=TIMEOUT_SECONDS)
    by_name = PredictorClient(
        [deployment.address], timeout_seconds=TIMEOUT_SECONDS, resolve=deployment.resolve
    )
    with calling([by_service, by_name], THREADS_EACH) as seen:
        wait_until(has_called(seen, CALLS_BETWEEN))
        yield seen
        wait_until(has_called(seen, CALLS_BETWEEN))


@pytest.mark.timeout(3600)
def test_predictors_are_replaced_one_by_one_under_load_and_no_call_fails(
    lives: Lives, deployment: Deployment, rounds: Rounds, record_property: Record
) -> None:
    restarts = rounds(2, 20)
    with learning(lives):
        deployment.start()
        with applications(deployment) as seen:
            for _ in range(restarts):
                deployment.replace()
                wait_until(has_called(seen, CALLS_BETWEEN))
    assert [calls.failures for calls in seen] == [[], []]
    record_property("restarts", restarts)
    record_property("calls_answered", sum(calls.answered for calls in seen))
    record_property("slowest_call_ms", round(1e3 * max(calls.slowest_seconds for calls in seen), 1))


@pytest.mark.timeout(3600)
def test_the_release_before_and_this_one_replace_each_other_under_load_and_no_call_fails(
    only_with_full_counts: None, lives: Lives, deployment: Deployment, tmp_path: Path, record_property: Record
) -> None:
    # Predictors of releases up to 0.1 got ready only where the journal paused for 50 ms.
    settings = lives.settings.read_text().replace(
        "step_interval_seconds = 0.0", "step_interval_seconds = 0.3"
    )
    lives.settings.write_text(
        settings.replace("snapshot_interval_seconds = 0.2", "snapshot_interval_seconds = 2")
    )
    with release_before(tmp_path) as (commit, old):
        with learning(lives, old):
            deployment.start(old)
            with applications(deployment) as seen:
                _upgrade(deployment, None)
        # The learner is renewed too, then the predictors are rolled back: each reads what the other wrote.
        with learning(lives), applications(deployment) as seen_later:
            _upgrade(deployment, old)
            _upgrade(deployment, None)
    assert [calls.failures for calls in (*seen, *seen_later)] == [[]] * 4
    record_property("release_before", commit)


def _upgrade(deployment: Deployment, environment: Mapping[str, str] | None) -> None:
    for _ in range(REPLICAS):
        deployment.replace(environment)
