"""When a learner is ready: a supervisor that replaces learners one by one goes on then."""

from __future__ import annotations

import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from stream_ml.streams.embedded import EmbeddedBroker
from tests.clicks import MODEL
from tests.servers.processes import Process, free_port, wait_until


class Learner:
    """One learner process; how soon it would take over is a minute away."""

    def __init__(self, folder: Path, bootstrap: str) -> None:
        self.port = free_port()
        (folder / "model.toml").write_text(MODEL)
        path = folder / f"learner-{self.port}.toml"
        path.write_text(
            f'model_file = "{folder / "model.toml"}"\n'
            f'snapshot_store = "{folder / "snapshots"}"\n'
            f"http_port = {self.port}\n"
            "takeover_after_seconds = 60\n"
            f'kafka."bootstrap.servers" = "{bootstrap}"\n'
        )
        arguments = ["-m", "services.learner", "--settings", str(path)]
        self.process = Process.python(arguments, path.with_suffix(".log")).start()

    def get(self, path: str) -> str:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=10) as answer:
                return str(answer.read().decode())
        except OSError:
            return ""

    def wait_until_ready(self) -> None:
        wait_until(lambda: self.get("/readyz") == "ok\n")

    def writers(self) -> float | None:
        """What it says of itself; None if it does not."""
        lines = self.get("/metrics").splitlines()
        found = [line for line in lines if line.startswith("stream_ml_learner_writer{")]
        return float(found[0].split()[-1]) if found else None


@pytest.fixture
def learners(tmp_path: Path, embedded_broker: EmbeddedBroker) -> Iterator[tuple[Learner, Learner]]:
    with closing(embedded_broker.log()) as log:
        log.ensure_topic("events", 1)
    first = Learner(tmp_path, embedded_broker.bootstrap)
    first.wait_until_ready()
    wait_until(lambda: first.writers() == 1)
    second = Learner(tmp_path, embedded_broker.bootstrap)
    yield first, second
    for each in (first, second):
        each.process.kill()


def test_a_standby_is_ready_once_it_has_caught_up(learners: tuple[Learner, Learner]) -> None:
    writer, standby = learners
    standby.wait_until_ready()
    assert (writer.writers(), standby.writers()) == (1, 0)
    writer.process.kill()
    assert standby.writers() == 0, "the alert on writers has something to count though the writer is gone"
