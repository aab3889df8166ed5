"""A person stops learning, looks, resumes, promotes and rolls back: the commands, against real processes."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from stream_ml.runtime import lifecycle
from tests.servers.kafka import KafkaServer
from tests.system.lives import Lives
from tests.system.test_challengers import BETTER, ORDER, Promotion
from tests.system.test_evolution import served


@pytest.fixture
def lives(own_kafka: KafkaServer, tmp_path: Path) -> Iterator[Lives]:
    lives = Lives(own_kafka, tmp_path, partitions=1)
    yield lives
    lives.close()


def said(lives: Lives, command: str, *arguments: str, code: int = 0) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "stream_ml", command, str(lives.settings), *arguments],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == code, done.stderr
    return done.stdout if code == 0 else done.stderr


@pytest.mark.timeout(300)
def test_the_commands_say_what_they_did_and_the_history_tells_it(
    lives: Lives, own_kafka: KafkaServer
) -> None:
    lives.produce(1_000)
    learner = lives.start()
    lives.produce_until(lambda: lives.steps() > 5, 30)
    with closing(Promotion(lives)) as promotion, served(lives, own_kafka) as asked:
        assert said(lives, "stop", "--why", "a look") == "v1 stops learning\n"
        assert "v1 does not learn already" in said(lives, "stop", code=lifecycle.CONFIG)
        assert "one of --learn-backlog" in said(lives, "resume", code=lifecycle.CONFIG)
        stopped_at = promotion.state.variants["v1"].events[0]
        lives.produce(100)
        told = said(lives, "resume", "--skip-to", f"0:{stopped_at + 50}")
        assert "50 offsets are given up" in told
        assert told.endswith("v1 learns again\n")
        promotion.children.order(ORDER.model_copy(update={"proof": ""}), BETTER)
        promotion.until(lambda: promotion.writer_of("v2") is not None)
        lives.flush()
        promotion.until(lambda: bool(promotion.state.variants["v2"].snapshots))
        assert "--force" in said(lives, "promote", "v2", code=lifecycle.CONFIG)
        assert said(lives, "promote", "v2", "--force", "--why", "I dare") == "v2 serves\n"
        promotion.until(lambda: asked.variants[-1] == "v2")
        assert said(lives, "rollback") == "v2 stops learning\nv1 serves\n"
        promotion.until(lambda: promotion.pids() == [] and asked.variants[-1] == "v1")
        step = promotion.state.variants["v1"].step
        said(lives, "stop")
        assert "serves" in said(lives, "resume", "--restore-step", str(step - 3))
        promotion.until(lambda: promotion.writer_of("v3") is not None and asked.variants[-1] == "v3")
    history = [json.loads(line) for line in said(lives, "history", "--json").splitlines()]
    assert [(each["variant"], each["what"].split()[0]) for each in history] == [
        ("v1", "begins"),
        ("v1", "serves"),
        ("v1", "stops"),
        ("v1", "skips"),
        ("v1", "learns"),
        ("v2", "begins"),
        ("v2", "serves"),
        ("v2", "stops"),
        ("v1", "serves"),
        ("v1", "stops"),
        ("v3", "begins"),
        ("v3", "serves"),
    ]
    assert "I dare" in said(lives, "history")
    assert asked.failed == []
    assert learner.terminate() == 0, learner.tail()
