"""The learner as a process: what ends it, with which exit code, and what it survives."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from confluent_kafka.admin import AdminClient

from stream_ml.learning.points import Point
from stream_ml.runtime import lifecycle
from tests.servers.kafka import KafkaServer
from tests.servers.processes import wait_until
from tests.system.lives import Lives


@pytest.fixture
def lives(own_kafka: KafkaServer, tmp_path: Path) -> Iterator[Lives]:
    lives = Lives(own_kafka, tmp_path, partitions=1)
    yield lives
    lives.close()


def test_wrong_settings_end_it_before_anything_is_started(lives: Lives) -> None:
    lives.settings.write_text("snapshot_intervall_seconds = 1\n" + lives.settings.read_text())
    life = lives.start()
    assert life.wait() == lifecycle.CONFIG
    assert "did you mean 'snapshot_interval_seconds'" in life.output()


def test_a_topic_that_is_not_there_is_named(lives: Lives) -> None:
    lives.settings.write_text(lives.settings.read_text().replace('"events"', '"evnets"'))
    life = lives.start()
    assert life.wait() == lifecycle.CONFIG
    assert "there is no topic evnets" in life.output()


def test_a_standby_that_was_frozen_or_read_junk_leaves_a_living_writer_alone(lives: Lives) -> None:
    lives.settings.write_text(lives.settings.read_text().replace("after_seconds = 0.2", "after_seconds = 2"))
    first = lives.start()
    lives.produce_until(lambda: lives.steps() > 0, 30)
    standby = lives.start().wait_for_output("standing by")
    standby.freeze()
    lives.produce_until(lambda: False, 3)  # longer than a writer may be silent
    standby.thaw()
    with lives.log.writer() as stranger:
        stranger.send("clicks.weights", b"no chunk of ours", partition=0)
    lives.produce_until(lambda: not (first.running and standby.running), 1)
    assert lives.writers() == 1
    assert first.terminate() == 0, first.tail()
    last = lives.ended(standby)
    assert lives.replayed()["rows_hash"] == last["rows_hash"]


def test_a_topic_made_anew_is_a_stop_and_the_loss_may_be_accepted(
    lives: Lives, own_kafka: KafkaServer
) -> None:
    # Read back, so that the journal holds steps of the topic that is about to go.
    lives.killed_at(Point.LINE_READ_BACK, 3)
    lives.flush()
    admin = AdminClient({"bootstrap.servers": own_kafka.bootstrap})
    admin.delete_topics(["events"])["events"].result()
    wait_until(lambda: lives.log.topic("events") is None)
    lives.log.ensure_topic("events", 1)
    stopped = lives.start()
    assert stopped.wait() == lifecycle.CANNOT_CONTINUE
    assert "--accept-loss" in stopped.output()
    accepting = lives.start("services.learner", "--accept-loss")
    lives.produce(100)
    lives.ended(accepting)
    assert lives.replayed()["variant"] == "v2"
