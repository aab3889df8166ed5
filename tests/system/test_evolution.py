"""A changed model file under a running predictor: SIGKILL at each phase, and no failed call."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from stream_ml.errors import StreamMlError
from stream_ml.learning.points import Point
from stream_ml.serving.client import PredictorClient
from tests.clicks import MODEL, event
from tests.servers.kafka import KafkaServer
from tests.servers.processes import Process, free_port, wait_until
from tests.system.lives import Lives

CHANGED = MODEL.replace('page = "page"\n', 'word = "prefix(page, 2)"\n').replace("l1 = 0.05", "l1 = 0.02")
PHASES = [
    Point.CHANGED_VARIANT_BEGUN,
    Point.CLAIMED,
    Point.IMAGE_SEALED,
    Point.SNAPSHOT_ANNOUNCED,
    Point.SERVING_DECIDED,
]


@pytest.mark.timeout(300)
def test_a_running_predictor_switches_to_a_changed_model_without_a_failed_call(
    own_kafka: KafkaServer, tmp_path: Path
) -> None:
    lives = Lives(own_kafka, tmp_path, partitions=1)
    lives.produce(2_000)
    lives.last()
    with served(lives, own_kafka) as asked:
        (lives.directory / "model.toml").write_text(CHANGED)
        for phase in PHASES:
            lives.killed_at(phase, 1)
        last = lives.last()
        wait_until(lambda: asked.variants[-1] == "v2")
    assert asked.failed == []
    assert asked.variants == ["v1", "v2"], "never back, never a third"
    replayed = lives.replayed()
    assert replayed["variant"] == "v2"
    assert [replayed[name] for name in ("rows_hash", "state_hash")] == [last["rows_hash"], last["state_hash"]]
    lives.close()


class Asked:
    """What an application that never stops asking was told."""

    def __init__(self) -> None:
        self.variants: list[str] = []
        self.failed: list[Exception] = []
        self.ended = threading.Event()

    def ask(self, address: str) -> None:
        with PredictorClient([address], timeout_seconds=20) as client:
            while not self.ended.is_set():
                try:
                    variant = client.score([event(3)]).variant
                except StreamMlError as error:
                    self.failed.append(error)
                    continue
                if self.variants[-1:] != [variant]:
                    self.variants.append(variant)


@contextmanager
def served(lives: Lives, kafka: KafkaServer) -> Iterator[Asked]:
    """Run a predictor, and ask it all the time."""
    port, asked = free_port(), Asked()
    settings = lives.directory / "predictor.toml"
    settings.write_text(
        f'models = ["clicks"]\nsnapshot_store = "{lives.directory}/snapshots"\nthrift_port = {port}\n'
        f'kafka."bootstrap.servers" = "{kafka.bootstrap}"\n'
    )
    command = ["-m", "services.predictor", "--settings", str(settings)]
    predictor = Process.python(command, lives.directory / "predictor.log").start()
    asking = threading.Thread(target=asked.ask, args=(f"127.0.0.1:{port}",))
    asking.start()
    try:
        predictor.wait_until(lambda: bool(asked.variants), 60)
        yield asked
    finally:
        asked.ended.set()
        asking.join()
        predictor.kill()
