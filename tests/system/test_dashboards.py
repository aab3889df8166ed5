"""Every query of every dashboard, asked of a Prometheus that scrapes running services: with data in it."""

from __future__ import annotations

import math
import re
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from pathlib import Path

import orjson
import pytest

from stream_ml.local.stack import Stack
from stream_ml.serving.client import PredictorClient
from tests.alerts import FILES as RULES
from tests.dashboards import Asked, boards, filled, queries
from tests.servers.kafka import KafkaServer
from tests.servers.processes import free_port, wait_until
from tests.servers.prometheus import PrometheusServer
from tests.servers.redis import RedisServer, require_redis

MODEL = """
name = "{name}"
event_id = "id"
timestamp = "at"
label = "label"
unlabelled = "skip"
served = "served"

[features]
user = "user"
page = "page"
both = "cross(user, page)"

[learner]
evaluate_every = 100
duplicate_window = 100
"""
# Silence is told quickly, so that an alert rings and the table of what rings has a row.
LEARNER = {"silence_after_seconds": 1.0, "snapshot_interval_seconds": 1.0}
ROUNDS, EVENTS_A_ROUND = 4, 200
# What only a model with its weights in Redis has, and only one with them in memory.
ONLY_SHARED = {"Shards away", "A batch, by stage", "Where the time goes", "Events that wait"}
ONLY_PLAIN = {
    # One process learns and writes: steps, and what is done between two of them.
    *("Steps", "Busy", "A batch", "Between two batches", "A line of the journal"),
    *("Batches fetched", "Steps ahead of the journal", "Steps since the newest snapshot"),
    *("Steps behind the learner", "Retention left"),
    # The table is Redis's own.
    *("AUC", "Memory of the table", "Features without a row", "Rows expired"),
}


def event(number: int) -> bytes:
    """Return event *number*: some are broken, come twice, or have no label."""
    if number % 50 == 49:
        return b'{"id": "e%d", "label": ' % number
    told = number - 10 if number % 40 == 39 else number
    fields = {
        "id": f"e{told}",
        "at": time.time(),
        "label": int(told * 7919 % 11 < 3),
        "user": f"u{told % 13}",
        "page": f"p{told % 7}",
        "served": 0.3,
    }
    if number % 45 == 44:
        del fields["label"]
    return orjson.dumps(fields)


class Observed:
    """
    Two models on one broker, and a Prometheus with our rules that scrapes all their processes.

    The weights of "plain" are in memory; it has a drift monitor and a retrainer. Those of "shared" are in
    Redis.
    """

    def __init__(self, kafka: KafkaServer, redis: RedisServer, directory: Path) -> None:
        self._kafka, self._directory, self._sent = kafka, directory, 0
        self._monitor, self._retrainer = free_port(), free_port()
        keepers = {
            "monitor": {"http_port": self._monitor},
            "retrainer": {"http_port": self._retrainer, "device": "cpu"},
        }
        self.plain = self._stack("plain", {}, **keepers)
        self.shared = self._stack("shared", {"weights": redis.url, "redis_shards": 2})
        self._stacks = (self.plain, self.shared)

    def _stack(self, name: str, learner: dict[str, object], **keepers: dict[str, object]) -> Stack:
        model = self._directory / f"{name}.toml"
        model.write_text(MODEL.format(name=name))
        settings = {**LEARNER, **learner}
        topic = f"dashboards-{name}"
        return Stack(
            model, self._directory / name, self._kafka.bootstrap, topic, 2, learner=settings, **keepers
        )

    def start(self, resources: ExitStack) -> None:
        """Start everything; *resources* end it."""
        # Processes end with the thread that started them, so these threads stay.
        threads = resources.enter_context(ThreadPoolExecutor(len(self._stacks)))
        for stack in threads.map(lambda stack: stack.__enter__(), self._stacks):
            resources.callback(stack.stop)
        self.prometheus = PrometheusServer(self._directory / "prometheus", self._targets(), RULES)
        resources.callback(self.prometheus.stop)
        self.prometheus.start().wait_until_scraped()

    def _targets(self) -> dict[str, list[str]]:
        running = [stack.running for stack in self._stacks]
        return {
            "learner": [each.learner_http for each in running],
            "predictor": [each.predictor_http for each in running],
            "drift_monitor": [f"127.0.0.1:{self._monitor}"],
            "retrainer": [f"127.0.0.1:{self._retrainer}"],
        }

    def use(self) -> None:
        """Push events of every kind and ask for scores, for a few scrapes; then be silent."""
        for _ in range(ROUNDS):
            for stack in self._stacks:
                self._push(stack)
                with PredictorClient([stack.running.predictor], timeout_seconds=30) as client:
                    client.score([event(1), b"{"])
            self._sent += EVENTS_A_ROUND
            time.sleep(0.6)  # longer than a scrape: a rate needs two that differ

    def _push(self, stack: Stack) -> None:
        with closing(stack.log()) as log, log.writer() as writer:
            for number in range(self._sent, self._sent + EVENTS_A_ROUND):
                writer.send(stack.topic, event(number), partition=number % 2)
            writer.send(stack.topic, b"", partition=0)

    def has(self, asked: Asked, model: str = ".*") -> bool:
        """Whether a query returns a figure, of *model*."""
        found = self.prometheus.query(filled(asked.expression, model=model))
        return any(math.isfinite(value) for _, value in found)

    def without(self, wanted: Sequence[Asked], model: str = ".*") -> list[Asked]:
        """Return those that return none."""
        return [each for each in wanted if not self.has(each, model)]


@pytest.fixture(scope="module")
def observed(kafka: KafkaServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Observed]:
    require_redis()
    with ExitStack() as resources:
        directory = tmp_path_factory.mktemp("observed")
        redis = RedisServer(directory / "redis").start()
        resources.callback(redis.stop)
        made = Observed(kafka, redis, directory)
        made.start(resources)
        made.use()
        yield made


def asked_of(board: str) -> list[Asked]:
    return [each for each in queries() if each.board == board]


@pytest.mark.parametrize("board", boards())
def test_every_query_returns_data(observed: Observed, board: str) -> None:
    left = asked_of(board)
    assert len(left) > 10

    def none_is_left() -> bool:
        left[:] = observed.without(left)
        return not left

    wait_until(none_is_left, 60, lambda: "\n".join(map(str, left)))


@pytest.mark.parametrize("board", boards())
def test_curves_have_the_labels_that_they_are_named_by(observed: Observed, board: str) -> None:
    for asked in asked_of(board):
        named = set(re.findall(r"\{\{(\w+)\}\}", asked.legend))
        for labels, _ in observed.prometheus.query(filled(asked.expression)):
            assert named <= labels.keys(), asked
            others = labels.keys() - named - {"__name__", "namespace", "instance", "job", "model"}
            # What tells two curves apart is in their names.
            assert not others or not asked.legend, (asked, others)


def panels_without(observed: Observed, model: str, *of: str) -> set[str]:
    """Return the panels of boards that have no figure at all of *model*."""
    wanted = [each for board in of for each in asked_of(board) if "$model" in each.expression]
    empty = observed.without(wanted, model)
    with_some = {each.panel for each in wanted if each not in empty}
    return {each.panel for each in empty} - with_some


def test_a_model_in_memory_has_nothing_of_shards_and_all_of_the_rest(observed: Observed) -> None:
    assert panels_without(observed, "plain", *boards()) == ONLY_SHARED


def test_what_a_model_in_redis_has_nothing_of_is_known(observed: Observed) -> None:
    found = panels_without(observed, "shared", "Is it healthy", "Learning", "Serving", "Kafka and Redis")
    assert found == ONLY_PLAIN


def value(observed: Observed, panel: str) -> list[tuple[dict[str, str], float]]:
    """Return what a panel of *Is it healthy* asks, now."""
    (asked,) = [each for each in asked_of("Is it healthy") if each.panel == panel]
    return observed.prometheus.query(filled(asked.expression))


def test_what_rings_is_listed_and_counted_and_who_is_away_is_missing(observed: Observed) -> None:
    wait_until(lambda: len(value(observed, "What rings")) == 2, 60)
    for labels, _ in value(observed, "What rings"):
        assert (labels["alertname"], labels["severity"]) == ("LearnerSilence", "warning")
        assert labels["model"] in {"plain", "shared"}
    assert [count for _, count in value(observed, "In the morning")] == [2]
    assert [count for _, count in value(observed, "Get up")] == [0]
    assert [count for _, count in value(observed, "Missing")] == [0]
    there = {labels["component"]: count for labels, count in value(observed, "Who is there")}
    assert there == {"learner": 2, "predictor": 2, "drift_monitor": 1, "retrainer": 1}
    # The retrainer is of "plain" alone: its one target is down, and no other process is a retrainer.
    observed.plain.stop()
    wait_until(lambda: [count for _, count in value(observed, "Missing")] == [2 + 4], 60)
    there = {labels["component"]: count for labels, count in value(observed, "Who is there")}
    assert there == {"learner": 1, "predictor": 1, "drift_monitor": 0, "retrainer": 0}
