"""Brokers that are away: when the learner starts, and when it is asked to stop."""

from __future__ import annotations

from pathlib import Path
from urllib.request import urlopen

from stream_ml.runtime import lifecycle
from tests.clicks import MODEL
from tests.servers.kafka import KafkaServer
from tests.servers.processes import Process, free_port
from tests.system.lives import GROUP, SETTINGS, Lives

# So long a learner waits for brokers here; a request alone is waited for 10 s.
AWAY_SECONDS = 3


def test_without_a_broker_it_waits_until_asked_to_stop_or_until_it_was_long(tmp_path: Path) -> None:
    (tmp_path / "model.toml").write_text(MODEL)
    settings = tmp_path / "learner.toml"
    nowhere = f"127.0.0.1:{free_port()}"
    settings.write_text(SETTINGS.format(directory=tmp_path, bootstrap=nowhere, group=GROUP))
    command = ["-m", "services.learner", "--settings", str(settings)]
    port = free_port()
    environment = {"STREAM_ML_HTTP_PORT": f"{port}"}
    asked = Process.python(command, tmp_path / "asked.log", environment).start()
    asked.wait_for_output("waiting for brokers")
    # Or an alert would say that there is no learner, where there are no brokers.
    told = urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10).read().decode()
    assert 'stream_ml_build_info{component="learner"' in told
    assert 'stream_ml_learner_evaluations_total{model="clicks"} 0.0' in told
    assert asked.terminate() == lifecycle.STOPPED, asked.tail()
    tired = Process.python(
        command, tmp_path / "tired.log", {"STREAM_ML_BROKER_TIMEOUT_SECONDS": f"{AWAY_SECONDS}"}
    ).start()
    assert tired.wait() == lifecycle.UNAVAILABLE, tired.tail()
    assert "waiting for brokers" in tired.output(), "it was patient"


def test_stopped_and_started_while_the_broker_is_away_a_learner_loses_and_doubles_nothing(
    own_kafka: KafkaServer, tmp_path: Path
) -> None:
    lives = Lives(own_kafka, tmp_path, partitions=1)
    stopping = lives.start(environment={"STREAM_ML_BROKER_TIMEOUT_SECONDS": f"{AWAY_SECONDS}"})
    lives.produce_until(lambda: lives.steps() > 5, 30)
    own_kafka.kill()
    assert stopping.terminate(60) == lifecycle.UNAVAILABLE, stopping.tail()
    assert "the next start replays" in stopping.output()
    starting = lives.start().wait_for_output("waiting for brokers")
    own_kafka.start()
    lives.produce(100)
    lives.check(lives.ended(starting))
    lives.close()
