"""Retrainers on a real broker, killed and frozen at named points: each job is done once, with one result."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from pathlib import Path

import orjson
import pytest

from stream_ml.retraining.jobs import Job, Setting, Window
from stream_ml.retraining.queue import Queue
from stream_ml.retraining.queue_lines import End, JobState
from stream_ml.retraining.working import Moment
from stream_ml.runtime.clock import SystemClock
from stream_ml.streams.kafka import KafkaLog
from tests.contested import World
from tests.servers.kafka import KafkaServer
from tests.servers.processes import Process, wait_until
from tests.system.doomed_retrainer import EVENTS, effects
from tests.unit.retraining.queues import ask

COUNT = 24_000
LEASE_SECONDS = 1.5


class Shop:
    """A broker with events, and the retrainers of a test: each process has a name."""

    def __init__(self, kafka: KafkaServer, directory: Path) -> None:
        self.directory, self.log = directory, KafkaLog({"bootstrap.servers": kafka.bootstrap})
        self.log.ensure_topic(EVENTS, 1)
        with self.log.writer() as writer:
            for record in World(5, pair=0.6).records(COUNT):
                writer.send(EVENTS, record, partition=0)
        self.settings = directory / "retrainer.toml"
        self.settings.write_text(
            f'reports = "{directory}/reports"\nscratch = "{directory}/scratch"\n'
            f"lease_seconds = {LEASE_SECONDS}\nlook_interval_seconds = 0.05\nmin_compared_events = 2000\n"
            f'learner_settings = ["learner.toml"]\n[kafka]\n"bootstrap.servers" = "{kafka.bootstrap}"\n'
        )
        self.queue = Queue(self.log, "the test", SystemClock())
        self._processes: list[Process] = []

    def start(self, doom: str = "none") -> Process:
        number = len(self._processes)
        arguments = ["-m", "tests.system.doomed_retrainer", doom, str(self.settings)]
        self._processes.append(Process.python(arguments, self.directory / f"retrainer{number}.log").start())
        return self._processes[-1]

    def ask(self, name: str) -> str:
        grid = (Setting(name="pair"), Setting(name="slow", alpha=0.01), Setting(name="alike"))
        window = Window(events={0: (0, COUNT)})
        reason = {"asked": "by a test"}
        ask(
            self.log,
            Job(
                job=name,
                model="contested",
                reason=reason,
                base=None,
                window=window,
                grid=grid,
                asked_by="test",
            ),
        )
        return name

    def state(self, name: str) -> JobState:
        self.queue.read()
        return self.queue.state(name)

    def end(self, name: str) -> End:
        wait_until(lambda: self.state(name).end is not None, 60, self.tails)
        end = self.state(name).end
        assert end is not None
        return end

    def report(self, name: str) -> dict[str, bytes]:
        """Return the report's files, without the name of the job."""
        folder = self.directory / "reports" / name
        return {path.name: path.read_bytes().replace(name.encode(), b"job") for path in folder.iterdir()}

    def check(self, name: str, reference: str) -> None:
        """The job is done, with the report of another one like it, one effect, and one outcome."""
        end = self.end(name)
        assert end.ended == "done", end.why
        assert self.report(name) == self.report(reference)
        assert list(effects(self.log)).count(name.encode()) == 1
        assert end.outcome is not None
        assert end.outcome["winner"] == orjson.loads(self.report(name)["report.json"])["winner"] == "pair"

    def tails(self) -> str:
        return "\n".join(process.tail(15) for process in self._processes)

    def close(self) -> None:
        for process in self._processes:
            process.thaw()
            process.kill()
        self.queue.close()
        self.log.close()


@pytest.fixture
def shop(own_kafka: KafkaServer, tmp_path: Path) -> Iterator[Shop]:
    shop = Shop(own_kafka, tmp_path)
    yield shop
    shop.close()


@pytest.mark.timeout(600)
def test_killed_at_ten_points_a_job_finishes_once_with_the_same_result(
    shop: Shop, rounds: Callable[[int, int], int]
) -> None:
    """With a small work and effect; those of the service are in test_retrainer_killed."""
    assert len(Moment) == 10
    calm = shop.start()
    shop.end(shop.ask("calm"))
    assert calm.terminate() == 0
    for moment in list(Moment)[:: rounds(3, 1)]:
        name = shop.ask(f"killed-{moment.name.lower()}")
        assert shop.start(f"{moment.name}:SIGKILL").wait(60) == -9
        survivor = shop.start().wait_for_output('"settings"')
        shop.check(name, "calm")
        assert shop.state(name).failures == (moment not in (Moment.END_SENT, Moment.ENDED))
        assert survivor.terminate() == 0


@pytest.mark.timeout(600)
def test_frozen_and_taken_over_it_changes_nothing_when_it_wakes(
    shop: Shop, rounds: Callable[[int, int], int]
) -> None:
    moments = (Moment.WORK_HALF_DONE, Moment.LEASE_CHECKED, Moment.CLAIMED, Moment.EFFECT_MADE)
    for moment in moments[: rounds(2, 4)]:
        frozen = shop.start(f"{moment.name}:SIGSTOP")
        name = shop.ask(f"frozen-{moment.name.lower()}")
        wait_until(lambda name=name: shop.state(name).claim is not None, 60, shop.tails)
        first = shop.state(name).claim
        other = shop.start()
        end = shop.end(name)
        assert first is not None
        assert end.who != first.who
        done = shop.report(name)
        frozen.thaw()
        frozen.wait_for_output("a job is lost")
        assert shop.end(name) == end
        assert shop.report(name) == done
        assert list(effects(shop.log)).count(name.encode()) == 1
        # It works on: the other one is gone, and the next job is its.
        assert other.terminate() == 0
        shop.check(shop.ask(f"after-{moment.name.lower()}"), name)
        assert frozen.terminate() == 0


@pytest.mark.timeout(300)
def test_stopped_cleanly_it_lets_go_of_its_job_at_once(shop: Shop) -> None:
    """Nobody waits for the lease: the other one has it long before that would be over."""
    first = shop.start(f"{Moment.WORK_HALF_DONE.name}:SIGTERM")
    name = shop.ask("released")
    assert first.wait(60) == 0
    state = shop.state(name)
    assert (state.free, state.failures) == (True, 0)
    shop.start()
    assert shop.end(name).ended == "done"


@pytest.mark.timeout(300)
def test_two_retrainers_share_the_jobs_and_do_each_once(shop: Shop) -> None:
    for _ in range(2):
        shop.start()
    names = [shop.ask(f"job{number}") for number in range(12)]
    ends = [shop.end(name) for name in names]
    assert {end.ended for end in ends} == {"done"}
    assert sorted(effects(shop.log)) == sorted(name.encode() for name in names)
    workers = [shop.state(name).claim for name in names]
    assert len({claim.who for claim in workers if claim is not None}) == 2
    for one, other in itertools.pairwise(names):
        assert shop.report(one) == shop.report(other)
