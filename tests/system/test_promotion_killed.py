"""A promotion and a rollback, every process killed at every phase: no failed score, exact counts."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from stream_ml._native import Plan
from stream_ml.errors import StreamMlError
from stream_ml.features import compile_model
from stream_ml.retraining.promoting import caught_up
from stream_ml.runtime.settings import LearnerSettings, load
from stream_ml.serving.client import PredictorClient
from stream_ml.sharing.standing import standing
from stream_ml.sharing.variant import SharedVariant, redis_shards
from stream_ml.weights.journal import JournalReader
from tests.clicks import event
from tests.servers.kafka import KafkaServer
from tests.servers.processes import Process, free_port, wait_until
from tests.servers.redis import RedisServer
from tests.system.lives import Lives
from tests.system.shared_lives import quick_groups
from tests.system.test_challengers import replayed
from tests.system.test_deciding import said
from tests.system.test_retraining import Loop
from tests.unit.retraining.test_watching import MODEL

# Of both something is left to learn, so that who wins is not decided in a moment.
SLOW = MODEL.replace("alpha = 0.1", "alpha = 0.0005")


class Service:
    """Learner, retrainer and two predictors; an application asks both predictors all the while."""

    def __init__(self, kafka: KafkaServer, directory: Path, redis: RedisServer | None) -> None:
        self.lives, self.redis = Lives(kafka, directory, partitions=1), redis
        if redis is not None:
            settings = self.lives.settings.read_text()
            self.lives.settings.write_text(
                f'weights = "redis://127.0.0.1:{redis.port}"\nredis_shards = 3\n{settings}'
                '"session.timeout.ms" = "1500"\n"heartbeat.interval.ms" = "300"\n'
            )
        (directory / "model.toml").write_text(SLOW)
        self.loop = Loop(self.lives, kafka)
        self.loop.settings.write_text(
            self.loop.settings.read_text().replace("watch_events = 3000", "watch_events = 6000")
        )
        self.ports = [free_port(), free_port()]
        self.processes: dict[str, Process] = {"learner": self.lives.start()}
        for number, port in enumerate(self.ports):
            settings = directory / f"predictor-{number}.toml"
            settings.write_text(
                f'models = ["clicks"]\nsnapshot_store = "{directory}/snapshots"\nthrift_port = {port}\n'
                f'kafka."bootstrap.servers" = "{kafka.bootstrap}"\n'
            )
            command = ["-m", "services.predictor", "--settings", str(settings)]
            log = directory / f"predictor-{number}.log"
            self.processes[f"predictor-{number}"] = Process.python(command, log).start()
        self.processes["retrainer"] = self.loop.start()
        self.asked: list[str] = []
        self.scores, self.failed, self.ended = 0, list[str](), threading.Event()
        self.asking = threading.Thread(target=self._ask)

    def _ask(self) -> None:
        addresses = [f"127.0.0.1:{port}" for port in self.ports]
        with PredictorClient(addresses, timeout_seconds=20) as client:
            while not self.ended.is_set():
                try:
                    answer = client.score([event(3), event(4)])
                except StreamMlError as error:
                    self.failed.append(repr(error))
                    continue
                self.scores += 1
                if self.asked[-1:] != [answer.variant]:
                    self.asked.append(answer.variant)

    def kill_each(self) -> None:
        """Kill every process and start it again, one after the other; one predictor is always there."""
        for name, process in self.processes.items():
            process.kill()
            process.start()
            if name.startswith("predictor"):
                self._wait_answers(int(name[-1]))
            else:
                self.loop.send(100)

    def _wait_answers(self, number: int) -> None:
        end = time.monotonic() + 60
        with PredictorClient([f"127.0.0.1:{self.ports[number]}"], timeout_seconds=1) as client:
            while time.monotonic() < end:
                try:
                    client.score([event(3)])
                    return
                except StreamMlError:
                    time.sleep(0.05)
        raise AssertionError(f"predictor {number} is not back")

    def until(self, done: Callable[[], bool], seconds: float = 90) -> None:
        end = time.monotonic() + seconds
        while not done():
            assert time.monotonic() < end, self.processes["retrainer"].tail()
            self.loop.send(100)
            time.sleep(0.05)

    def close(self) -> None:
        self.ended.set()
        if self.asking.is_alive():
            self.asking.join()
        for process in self.processes.values():
            process.kill()
        if self.loop.journal is not None:
            self.loop.journal.close()
        self.lives.close()


@pytest.fixture(params=["memory", "redis"])
def service(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Service]:
    (tmp_path / "kafka").mkdir()
    kafka = quick_groups(tmp_path / "kafka").start()
    (tmp_path / "run").mkdir()
    redis = request.getfixturevalue("redis_redis") if request.param == "redis" else None
    service = Service(kafka, tmp_path / "run", redis)
    yield service
    service.close()
    kafka.stop()


@pytest.mark.timeout(600)
def test_promoted_and_rolled_back_while_everything_is_killed(
    service: Service, record_property: Callable[[str, object], None]
) -> None:
    loop, lives = service.loop, service.lives
    loop.send(20_000)
    for number in (0, 1):
        service._wait_answers(number)
    service.asking.start()
    said(lives, "jobs", "--ask", "20000")
    service.until(lambda: "v2" in loop.state.variants)
    service.kill_each()  # the challenger is begun, and catches up
    service.until(lambda: caught_up(loop.state, "v2") or loop.state.serving == "v2")
    service.kill_each()  # it has caught up, and is promoted
    service.until(lambda: loop.state.serving == "v2" and service.asked[-1] == "v2")
    service.kill_each()  # both learn, the watch goes on
    assert loop.state.serving == "v2", "it is better: the watch keeps it"
    # By its name: on a slow machine the watch may be over by now.
    said(lives, "rollback", "v1", "--why", "a person wants it back")
    service.kill_each()  # the champion serves again
    service.until(lambda: service.asked[-1] == "v1")
    loop.send(100)
    lives.flush()
    service.ended.set()
    service.asking.join()
    service.processes["retrainer"].terminate()
    record_property("scores", service.scores)
    assert service.failed == []
    # Each of the two predictors changes over at its own moment; no answer names any other variant, or two.
    assert (service.asked[0], set(service.asked), service.asked[-1]) == ("v1", {"v1", "v2"}, "v1")
    (of_challenger,) = (lives.directory / "scratch" / "challengers" / "clicks").iterdir()
    models = {"v1": SLOW, "v2": (of_challenger / "model.toml").read_text()}
    (check_memory if service.redis is None else check_shards)(service, models)


def check_memory(service: Service, models: dict[str, str]) -> None:
    """Replays of both variants have learned each event once, the one that serves all of them, to the bit."""
    last = service.lives.ended(service.processes["learner"])
    found = {variant: replayed(service.lives, variant) for variant in models}
    assert found["v1"]["rows_hash"] == last["rows_hash"]
    assert found["v1"]["learned"] == service.loop.sent
    first, next = found["v2"]["events"]["0"]  # type: ignore[index]
    assert found["v2"]["learned"] == next - first


def check_shards(service: Service, models: dict[str, str]) -> None:
    """The shards of both variants have learned each event once, those of the one that serves all of them."""
    settings = load(LearnerSettings, service.lives.settings, {})
    sent = service.loop.sent
    with JournalReader(service.lives.log, "clicks.journal") as journal:
        journal.read_to_end()
        state = journal.state
    for variant, model in models.items():
        shards = redis_shards(SharedVariant.of(variant, state), "clicks", settings.weights, settings)
        plan, line = Plan(compile_model(model).plan_bytes), state.variants[variant].line
        assert line is not None
        if variant == "v1":
            wait_until(lambda: standing(shards, plan).next(0) == sent, 60)  # noqa: B023
        stands = standing(shards, plan)
        assert stands.totals["learned"] == stands.next(0) - line.events.get(0, 0)
    assert service.processes["learner"].terminate() == 0
