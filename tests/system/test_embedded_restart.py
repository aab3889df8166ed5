"""The embedded broker forgets with its process; the model does not."""

from __future__ import annotations

from pathlib import Path
from urllib.request import urlopen

from stream_ml.local.stack import Stack
from stream_ml.streams.kafka import KafkaLog
from tests.clicks import MODEL, events
from tests.servers.processes import wait_until

LEARNER = {"snapshot_interval_seconds": 0.5, "log_format": "json"}


def records_seen(stack: Stack) -> float:
    with urlopen(f"http://{stack.running.learner_http}/metrics", timeout=10) as answer:
        lines = answer.read().decode().splitlines()
    counted = ("learned_total", "duplicates_total", "dead_letters_total")
    return sum(float(line.split()[-1]) for line in lines if line.split("{")[0].endswith(counted))


def run_and_learn(model_file: Path, directory: Path, first: int, count: int) -> str:
    """Start all services, send events, wait until they are learned; return the learner's log."""
    with Stack(model_file, directory, learner=LEARNER) as stack:
        log = KafkaLog({"bootstrap.servers": stack.running.bootstrap})
        with log.writer() as writer:
            for event in events(count, first):
                writer.send("events", event, partition=0)
        wait_until(lambda: records_seen(stack) == count, 60)  # a new variant counts from zero
        log.close()
    return (directory / "learner.log").read_text()


def test_after_a_restart_a_new_variant_goes_on_with_what_was_learned(tmp_path: Path) -> None:
    model_file = tmp_path / "clicks.toml"
    model_file.write_text(MODEL)
    assert '"variant":"v1"' in run_and_learn(model_file, tmp_path / "up", 0, 2000)
    said = run_and_learn(model_file, tmp_path / "up", 2000, 2000)
    assert "a new variant begins" in said
    assert "the journal was lost; goes on from clicks/v1/" in said
