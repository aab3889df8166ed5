"""The retrainer's real work and effect, killed on the way: one challenger begins, the report is the same."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from stream_ml.retraining.jobs import Job, Setting, Window
from stream_ml.retraining.promoting import give_up
from stream_ml.retraining.queue import Queue
from stream_ml.retraining.queue_lines import JobState
from stream_ml.retraining.working import Moment
from stream_ml.runtime.clock import SystemClock
from stream_ml.weights.journal import JournalReader
from stream_ml.weights.lines import Variant
from tests.servers.kafka import KafkaServer
from tests.servers.processes import Process, wait_until
from tests.system.lives import Lives
from tests.system.test_challengers import Promotion
from tests.system.test_retraining import SLOW, Loop
from tests.unit.retraining.queues import ask

COUNT = 12_000
# In the work, before the effect and after that; then the others.
FIRST = (Moment.WORK_HALF_DONE, Moment.LEASE_CHECKED, Moment.EFFECT_MADE)
POINTS = (*FIRST, *(moment for moment in Moment if moment not in FIRST))


class Killed:
    """A learner that has learned all there is, and retrainers, each of which may be killed at a point."""

    def __init__(self, lives: Lives, kafka: KafkaServer) -> None:
        self.lives, self.loop = lives, Loop(lives, kafka)
        settings = self.loop.settings.read_text().replace("lease_seconds = 5", "lease_seconds = 1.5")
        self.loop.settings.write_text(f'promotion = "ask"\n{settings}')
        self.loop.send(COUNT)
        self.learner = lives.start()
        self.learner.wait_until(lives._all_learned, 60)
        self.queue = Queue(lives.log, "the test", SystemClock())
        self._processes: list[Process] = []

    def start(self, doom: str = "none") -> Process:
        log = self.lives.directory / f"retrainer-{len(self._processes)}.log"
        command = ["-m", "tests.system.doomed_real_retrainer", doom, "--settings", str(self.loop.settings)]
        self._processes.append(Process.python(command, log).start())
        return self._processes[-1]

    def ask(self, name: str, end: int = COUNT, base: str | None = None) -> str:
        window = Window(events={0: (0, end)})
        grid = (Setting(name="fast", alpha=0.1), Setting(name="same"))
        reason = {"asked": "by a test"}
        ask(
            self.lives.log,
            Job(
                job=name, model="clicks", reason=reason, base=base, window=window, grid=grid, asked_by="test"
            ),
        )
        return name

    def state(self, name: str) -> JobState:
        self.queue.read()
        return self.queue.state(name)

    def begun(self, name: str) -> list[str]:
        """Return the variants that the journal says were begun by the job of that name."""
        with JournalReader(self.lives.log, "clicks.journal") as journal:
            lines = [entry.line for entry in journal.read_to_end()]
        variants = [line for line in lines if isinstance(line, Variant) and line.challenge is not None]
        return [line.variant for line in variants if line.challenge and line.challenge.job == name]

    def report(self, name: str) -> dict[str, bytes]:
        """Return the report's files, without the name of the job."""
        folder = self.lives.directory / "reports" / name
        return {path.name: path.read_bytes().replace(name.encode(), b"job") for path in folder.iterdir()}

    def check(self, name: str) -> None:
        """The job is done, its report is that of the calm one, its challenger was begun once and has rows."""
        wait_until(lambda: self.state(name).end is not None, 90, self.tails)
        end = self.state(name).end
        assert end is not None
        assert (end.ended, end.why) == ("done", "")
        assert end.outcome is not None
        assert (end.outcome["winner"], end.outcome["promoted"]) == ("fast", True)
        assert self.report(name) == self.report("calm")
        (variant,) = self.begun(name)
        known = self.loop.state.variants[variant]
        assert known.challenge is not None
        assert (known.challenge.champion, bool(known.challenge.proof)) == ("v1", True)
        assert known.snapshots
        self.end_challenger(variant)

    def end_challenger(self, variant: str) -> None:
        """Or as many learn as there were jobs."""
        with closing(Promotion(self.lives)) as operator:
            give_up(operator.parties, variant, "it was looked at")

    def tails(self) -> str:
        return "\n".join(process.tail(15) for process in self._processes[-2:])

    def close(self) -> None:
        for process in self._processes:
            process.kill()
        self.queue.close()
        if self.loop.journal is not None:
            self.loop.journal.close()
        self.lives.close()


@pytest.fixture
def killed(own_kafka: KafkaServer, tmp_path: Path) -> Iterator[Killed]:
    lives = Lives(own_kafka, tmp_path, partitions=1)
    (tmp_path / "model.toml").write_text(SLOW)
    killed = Killed(lives, own_kafka)
    yield killed
    killed.close()


@pytest.mark.timeout(900)
def test_killed_at_ten_points_of_a_real_job_it_begins_one_challenger_and_writes_the_same_report(
    killed: Killed, rounds: Callable[[int, int], int]
) -> None:
    calm = killed.start()
    killed.check(killed.ask("calm"))
    assert calm.terminate() == 0, calm.tail()
    assert len(POINTS) == 10
    for moment in POINTS[: rounds(len(FIRST), len(POINTS))]:
        name = killed.ask(f"killed-{moment.name.lower()}")
        assert killed.start(f"{moment.name}:SIGKILL").wait(60) == -9
        survivor = killed.start().wait_for_output('"settings"')
        killed.check(name)
        assert killed.state(name).failures == (moment not in (Moment.END_SENT, Moment.ENDED))
        assert survivor.terminate() == 0, survivor.tail()
    kill_amid_the_effect(killed)
    assert killed.learner.terminate() == 0


def kill_amid_the_effect(killed: Killed) -> None:
    """The line of the challenger is in the journal; nobody has seen that it has a snapshot."""
    name, first = killed.ask("killed-amid"), killed.start()
    first.wait_until(lambda: killed.begun(name) != [], 60)
    first.kill()
    survivor = killed.start().wait_for_output('"settings"')
    killed.check(name)
    assert survivor.terminate() == 0, survivor.tail()


@pytest.mark.timeout(300)
def test_jobs_that_wait_or_can_never_be_done_hold_up_no_other(killed: Killed) -> None:
    newest = killed.loop.state.variants["v1"].snapshots[-1].name
    waits, never = killed.ask("waits", COUNT + 2_000), killed.ask("never", 10**17)
    wrong = killed.ask("wrong", 2_000, base=newest)
    retrainer = killed.start()
    killed.check(killed.ask("calm"))
    ends = [killed.state(name).end for name in (never, wrong)]
    assert [end.ended for end in ends if end is not None] == ["failed", "failed"]
    assert (killed.state(waits).claim, killed.state(waits).failures) == (None, 0)
    assert retrainer.terminate() == 0, retrainer.tail()
    killed.queue.forget(-1)
    with closing(Queue(killed.lives.log, "another", SystemClock())) as other:
        other.read()
        assert [job.job for job, _ in other.jobs()] == [waits]
    killed.loop.send(2_000)
    retrainer = killed.start()
    wait_until(lambda: killed.state(waits).end is not None, 90, killed.tails)
    assert retrainer.terminate() == 0, retrainer.tail()
