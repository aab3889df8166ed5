"""The whole loop with real services: a job, challengers, gate, a variant, its promotion and its watch."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from stream_ml.learning.orders import Order
from stream_ml.weights.journal import JournalReader
from stream_ml.weights.state import JournalState
from tests.servers.kafka import KafkaServer
from tests.servers.processes import Process
from tests.system.lives import Lives
from tests.system.test_challengers import Promotion
from tests.system.test_deciding import said
from tests.system.test_evolution import served
from tests.unit.retraining.test_watching import BAD, MODEL, stream

# Steps this small take for ever.
SLOW = MODEL.replace("alpha = 0.1", "alpha = 0.0005")
SETTINGS = """
learner_settings = ["{directory}/learner.toml"]
reports = "{directory}/reports"
scratch = "{directory}/scratch"
lease_seconds = 5
look_interval_seconds = 0.1
min_compared_events = 2000
watch_events = 3000
kafka."bootstrap.servers" = "{bootstrap}"
"""


class Loop:
    """Learner, predictor, retrainer, and a producer."""

    def __init__(self, lives: Lives, kafka: KafkaServer) -> None:
        self.lives, self.sent = lives, 0
        self.settings = lives.directory / "retrainer.toml"
        self.settings.write_text(SETTINGS.format(directory=lives.directory, bootstrap=kafka.bootstrap))
        self.journal: JournalReader | None = None

    def start(self) -> Process:
        command = ["-m", "services.retrainer", "--settings", str(self.settings)]
        return Process.python(command, self.lives.directory / "retrainer.log").start()

    def send(self, count: int) -> None:
        for event in stream(count, first=self.sent):
            self.lives._writer.send("events", event, partition=0)
        self.sent += count
        self.lives.flush()

    @property
    def state(self) -> JournalState:
        if self.journal is None:
            self.journal = JournalReader.open(self.lives.log, "clicks.journal")
            self.journal.read_to_end()
        while self.journal.poll(0):
            pass
        return self.journal.state


@pytest.fixture
def loop(own_kafka: KafkaServer, tmp_path: Path) -> Iterator[Loop]:
    lives = Lives(own_kafka, tmp_path, partitions=1)
    (tmp_path / "model.toml").write_text(SLOW)
    loop = Loop(lives, own_kafka)
    yield loop
    if loop.journal is not None:
        loop.journal.close()
    lives.close()


@pytest.mark.timeout(300)
def test_a_better_challenger_is_found_promoted_and_stays(loop: Loop, own_kafka: KafkaServer) -> None:
    loop.send(20_000)
    learner, retrainer = loop.lives.start(), loop.start()
    learner.wait_until(lambda: loop.lives.steps() > 0 and loop.state.serving == "v1", 60)
    with served(loop.lives, own_kafka) as asked:
        assert "20,000 events" in said(loop.lives, "jobs", "--ask", "20000", "--why", "a look")
        retrainer.wait_until(lambda: loop.state.serving == "v2", 90)
        line = loop.state.variants["v2"]
        assert line.challenge is not None
        assert "alpha" in line.challenge.proof
        retrainer.wait_until(lambda: asked.variants[-1] == "v2", 60)

        def over() -> bool:
            loop.send(200)
            return loop.state.is_over("v1")

        retrainer.wait_until(over, 60)
        retrainer.wait_until(lambda: loop.state.variants["v2"].writer is not None, 60)
    assert asked.failed == []
    assert (asked.variants[0], asked.variants[-1]) == ("v1", "v2")
    jobs = said(loop.lives, "jobs")
    assert "done" in jobs
    (report,) = (loop.lives.directory / "reports").iterdir()
    assert {"report.md", "report.json"} <= {path.name for path in report.iterdir()}
    assert retrainer.terminate() == 0, retrainer.tail()
    assert learner.terminate() == 0, learner.tail()


@pytest.mark.timeout(300)
def test_a_bad_challenger_that_is_forced_is_rolled_back_by_itself(loop: Loop, own_kafka: KafkaServer) -> None:
    (loop.lives.directory / "model.toml").write_text(MODEL)
    loop.send(4_000)
    learner = loop.lives.start()
    learner.wait_until(lambda: loop.lives.steps() > 0 and loop.state.serving == "v1", 60)
    with served(loop.lives, own_kafka) as asked:
        with closing(Promotion(loop.lives)) as begun:
            begun.children.order(Order(job="bad", why="a bad idea", warm=True), BAD)

            def is_there() -> bool:
                begun.children.turn(begun.state)
                known = begun.state.variants.get("v2")
                return known is not None and bool(known.snapshots)

            learner.wait_until(is_there, 60)
        retrainer = loop.start()
        said(loop.lives, "promote", "v2", "--force", "--why", "I dare")
        learner.wait_until(lambda: asked.variants[-1] == "v2", 60)

        def back() -> bool:
            loop.send(200)
            return loop.state.serving == "v1"

        retrainer.wait_until(back, 120)
        retrainer.wait_until(lambda: asked.variants[-1] == "v1", 60)
    assert asked.failed == []
    assert loop.state.is_over("v2")
    assert "watch: v1 is better than v2" in said(loop.lives, "history", "--json")
    assert retrainer.terminate() == 0, retrainer.tail()
    assert learner.terminate() == 0, learner.tail()
