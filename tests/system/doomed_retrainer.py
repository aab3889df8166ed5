"""
The retrainer service over work that is small and real, ended or frozen when it reaches a named point.

``MOMENT:SIGNAL SETTINGS`` (``none`` lives on). Its work lets native learners score and learn the job's
events; what one of them has said is kept, so that a later try goes on. Its effect is a record of the topic
``effects``.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import orjson

from services.retrainer.parts import RetrainerService, rule_of
from stream_ml._native import Learner, Plan
from stream_ml.features import compile_model
from stream_ml.retraining.blocks import Blocks, Sums
from stream_ml.retraining.gate import judge
from stream_ml.retraining.jobs import Job
from stream_ml.retraining.report import Report
from stream_ml.retraining.working import Moment, Reached, Tell
from stream_ml.runtime import lifecycle, logging
from stream_ml.runtime.retrainer_settings import RetrainerSettings
from stream_ml.runtime.settings import load
from stream_ml.streams.kafka import KafkaLog
from stream_ml.streams.log import Log

EVENTS, EFFECTS = "events", "effects"
CUT = 20  # evaluations before the comparison
MODEL = """
name = "{name}"
label = "y"
[features]
a = "a"
b = "b"
{features}
[learner]
evaluate_every = 200
alpha = {alpha}
"""


class SmallWork:
    """Champion and challengers over the window, one after the other."""

    def __init__(self, log: Log, settings: RetrainerSettings) -> None:
        self._log, self._rule = log, rule_of(settings)

    def __call__(self, job: Job, folder: Path, tell: Tell) -> Report:
        assert job.window.events is not None, "these jobs have a window of events"
        records = self._records(*job.window.events[0])
        names = ["champion", *(setting.name for setting in job.grid)]
        said: dict[str, dict[str, np.ndarray]] = {}
        for number, name in enumerate(names):
            tell(number / len(names), f"trains {name}")
            alpha = next((s.alpha for s in job.grid if s.name == name), None) or 0.1
            features = 'both = "cross(a, b)"' if "pair" in name else ""
            model = MODEL.format(name=job.model, features=features, alpha=alpha)
            said[name] = columns(self._evaluations(model, records, folder / f"{name}.json"))
        blocks = Blocks(
            said["champion"]["examples"],
            said["champion"]["importance_sum"],
            said["champion"]["label_sum"],
            sums(said["champion"]),
            {name: sums(said[name]) for name in names[1:]},
        )
        return Report(
            job=job.job,
            model=job.model,
            reason=job.reason,
            champion="v1",
            rule=self._rule,
            blocks=blocks,
            verdict=judge(blocks, self._rule),
            settings={setting.name: setting.described() for setting in job.grid},
        )

    def _records(self, first: int, after: int) -> list[bytes | None]:
        reader, found = self._log.reader(EVENTS, {0: first}), list[bytes | None]()
        while len(found) < after - first:
            for fetch in reader.poll(after - first - len(found), 10):
                found += fetch.values
        reader.close()
        return found

    def _evaluations(self, model: str, records: list[bytes | None], kept: Path) -> list[dict[str, Any]]:
        if not kept.exists():
            learner = Learner(Plan(compile_model(model).plan_bytes))
            learned = learner.learn([(0, records, [-1] * len(records))])
            part = kept.with_suffix(f".{os.getpid()}")
            part.write_bytes(b"\n".join(learned.evaluations))
            part.rename(kept)
        return [orjson.loads(line) for line in kept.read_bytes().splitlines()]


def columns(evaluations: list[dict[str, Any]]) -> dict[str, np.ndarray]:
    names = ("examples", "importance_sum", "label_sum", "prediction_sum", "loss_sum")
    return {name: np.array([float(each[name]) for each in evaluations[CUT:]]) for name in names}


def sums(of: dict[str, np.ndarray]) -> Sums:
    return Sums(of["loss_sum"], of["prediction_sum"])


class OneRecord:
    """An effect: a record of the job's id, unless there is one."""

    def __init__(self, log: Log) -> None:
        self._log = log

    def __call__(self, job: Job, report: Report, tell: Tell) -> None:
        if job.job.encode() not in set(effects(self._log)):
            with self._log.writer() as writer:
                writer.send(EFFECTS, job.job.encode(), partition=0)


def effects(log: Log) -> Iterator[bytes]:
    """Yield the ids of the jobs whose effect is there."""
    log.ensure_topic(EFFECTS, 1)
    end = log.bounds(EFFECTS, 0).next
    reader, at = log.reader(EFFECTS, {0: 0}), 0
    while at < end:
        for fetch in reader.poll(1000, 10):
            at = fetch.next
            yield from (value for value in fetch.values if value is not None)
    reader.close()


def struck_at(moment: Moment | None, number: signal.Signals) -> Reached:
    left = [moment]

    def reached(at: Moment) -> None:
        if at in left:
            left.clear()
            os.kill(os.getpid(), number)

    return reached


def struck(doom: str) -> Reached:
    """Return what ends the process as *doom* says, ``MOMENT:SIGNAL`` or ``none``."""
    name, _, number = doom.partition(":")
    return struck_at(None if name == "none" else Moment[name], signal.Signals[number or "SIGKILL"])


def main(doom: str, settings_file: Path) -> int:
    reached = struck(doom)
    logging.configure("retrainer")

    def service(stop: lifecycle.Stop) -> None:
        settings = load(RetrainerSettings, settings_file, {})
        log = KafkaLog({name: str(value) for name, value in settings.kafka.items()})
        work, effect = SmallWork(log, settings), OneRecord(log)
        RetrainerService(settings, ("contested",), work, effect, reached).run(stop)

    return lifecycle.run(service)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], Path(sys.argv[2])))
