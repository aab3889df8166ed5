"""A challenger learns in a process of its own, is promoted and ends, whatever is killed; counts are exact."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from services.learner.parts import kafka_log, parties_of
from stream_ml.learning.orders import Order
from stream_ml.learning.parties import Parties
from stream_ml.retraining.children import Children
from stream_ml.retraining.promoting import caught_up, end_watch, promote
from stream_ml.runtime.clock import SystemClock
from stream_ml.runtime.settings import LearnerSettings, load
from stream_ml.weights.journal import JournalReader
from stream_ml.weights.state import JournalState
from tests.clicks import MODEL
from tests.servers.kafka import KafkaServer
from tests.system.lives import Lives, digest
from tests.system.test_evolution import served

BETTER = MODEL.replace("alpha = 0.3", "alpha = 0.1")
ORDER = Order(job="job-1", why="test", warm=True, proof="saves 2 %")


class Promotion:
    """What a retrainer does, step by step, beside the learners of the champion."""

    def __init__(self, lives: Lives) -> None:
        self.lives = lives
        settings = load(LearnerSettings, lives.settings, {})
        self.log = kafka_log(settings)
        self.parties: Parties = parties_of(settings, self.log)
        self.journal = JournalReader.open(self.log, "clicks.journal")
        self.journal.read_to_end()
        self.children = self.new_children()

    def new_children(self) -> Children:
        return Children(
            self.parties, self.lives.settings, self.lives.directory / "challengers", SystemClock()
        )

    @property
    def state(self) -> JournalState:
        while self.journal.poll(0):
            pass
        return self.journal.state

    def until(self, done: Callable[[], bool], seconds: float = 60) -> None:
        """Let events come, and children run, until *done*."""
        end = time.monotonic() + seconds
        while not done():
            assert time.monotonic() < end, self.tail()
            self.lives.produce(20)
            self.children.turn(self.state)
            time.sleep(0.02)

    def pids(self) -> list[int]:
        return [process.pid for process in self.children._running.values()]

    def kill_children(self) -> None:
        for pid in self.pids():
            os.kill(pid, signal.SIGKILL)

    def tail(self) -> str:
        log = self.lives.directory / "challengers" / "job-1" / "learner.log"
        return log.read_text()[-3000:] if log.exists() else "no child was started"

    def writer_of(self, variant: str) -> str | None:
        known = self.state.variants.get(variant)
        return known.writer if known is not None else None

    def close(self) -> None:
        self.children.close()
        self.journal.close()
        self.log.close()


@pytest.fixture
def lives(own_kafka: KafkaServer, tmp_path: Path) -> Iterator[Lives]:
    lives = Lives(own_kafka, tmp_path, partitions=1)
    yield lives
    lives.close()


def replayed(lives: Lives, variant: str) -> dict[str, object]:
    """What `stream-ml replay` makes of *variant*; a challenger's model file it finds in its snapshots."""
    return lives.replayed("--variant", variant)


@pytest.mark.timeout(300)
def test_whatever_is_killed_no_score_fails_and_the_counts_of_both_are_exact(
    lives: Lives, own_kafka: KafkaServer
) -> None:
    lives.produce(1_000)
    learner = lives.start()
    lives.produce_until(lambda: lives.steps() > 5, 30)
    with closing(Promotion(lives)) as promotion, served(lives, own_kafka) as asked:
        promotion.children.order(ORDER, BETTER)
        promotion.until(lambda: promotion.writer_of("v2") is not None)
        promotion.kill_children()
        promotion.until(lambda: caught_up(promotion.state, "v2"))
        promote(promotion.parties, "v2", "saves 2 %")
        promotion.until(lambda: asked.variants[-1] == "v2")
        promotion.kill_children()
        learner.kill()
        learner = lives.start()
        claims = lives.writers()
        promotion.until(lambda: lives.writers() > claims + 1)  # both are back
        end_watch(promotion.parties, "test")
        promotion.until(lambda: promotion.pids() == [] and asked.variants[-1] == "v2")
        promotion.until(lambda: promotion.writer_of("v2") is not None)
        last = lives.ended(learner)
    assert asked.failed == []
    assert asked.variants == ["v1", "v2"]
    for variant in ("v1", "v2"):
        found = replayed(lives, variant)
        counted = sum(int(str(found[name])) for name in ("learned", "duplicates", "refused"))
        ranges = found["events"]
        assert isinstance(ranges, dict)
        assert counted == sum(next - first for first, next in ranges.values())
        if variant == "v2":
            assert digest(found) == digest(last)
            assert ranges["0"][1] == lives.produced


@pytest.mark.timeout(120)
def test_a_child_ends_with_the_retrainer(lives: Lives) -> None:
    lives.produce(500)
    learner = lives.start()
    lives.produce_until(lambda: lives.steps() > 5, 30)
    with closing(Promotion(lives)) as promotion:
        promotion.children.order(ORDER, BETTER)
        promotion.until(lambda: promotion.writer_of("v2") is not None)
        (process,) = promotion.children._running.values()
        assert process.stdin is not None
        process.stdin.close()  # as the kernel does where the retrainer is killed
        assert process.wait(30) == 0
        assert promotion.writer_of("v2") is None, "released"
        promotion.children = promotion.new_children()
        promotion.until(lambda: promotion.writer_of("v2") is not None)
    learner.terminate()
