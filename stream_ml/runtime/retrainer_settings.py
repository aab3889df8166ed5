"""Settings of the retrainer."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, Self

from pydantic import Field, model_validator

from stream_ml.runtime.bounds import CENTURY, DAY, HOUR, TICK, number
from stream_ml.runtime.service_settings import ServiceSettings


class RetrainerSettings(ServiceSettings):
    """Settings of the retrainer."""

    learner_settings: list[Path] = Field(
        min_length=1, description="Settings files of the learners whose models are retrained."
    )
    reports: Path = Field(default=Path("reports"), description="Folder of the reports, one in it a job.")
    scratch: Path = Field(
        default=Path("retraining"),
        description="Folder where jobs keep what they can go on from; its files may be deleted.",
    )
    takes_jobs: bool = Field(
        default=True, description="Whether jobs are worked at; else only their challengers are looked after."
    )
    lease_seconds: float = number(
        30.0,
        (1, DAY),
        "Silence of a retrainer after which another takes its job.",
        "so long a job waits when its retrainer died",
    )
    look_interval_seconds: float = number(
        2.0, (TICK, HOUR), "Time between two looks for a job.", "jobs wait that long"
    )
    max_failures: int = number(
        5, (1, 1000), "How often a job is tried that goes wrong.", "each time takes as long as the job does"
    )
    max_job_age_seconds: float = number(
        30 * DAY,
        (1, CENTURY),
        "Time after a job was asked for in which it must be done; afterwards it fails, and is forgotten.",
        "jobs may have to wait for events",
    )
    max_awaited_events: int = number(
        10_000_000,
        (0, 10**12),
        "Events that may have yet to come of a partition of a job's window; a job that wants more fails.",
        "beyond any log",
    )
    min_gain: float = number(
        0.005,
        (0, 0.9),
        "Share of the champion's log loss that a challenger must be known to save.",
        "nobody saves all of it",
    )
    miss: float = number(
        0.01,
        (0.0001, 0.2),
        "Probability that a comparison ever promotes who does not save that much.",
        "less is never proved, more is a guess",
    )
    min_compared_events: int = number(
        5_000, (0, 10**12), "Events before a challenger is promoted.", "beyond any log"
    )
    max_compared_events: int = number(
        2_000_000, (1, 10**12), "Events after which the champion stays.", "beyond any log"
    )
    calibration: float = number(
        0.1,
        (0.001, 10),
        "How far a challenger's calibration ratio may be from 1.",
        "a ratio is hardly nearer, and further says nothing",
    )
    slice_loss: float = number(
        0.05,
        (0, 10),
        "Share by which a challenger's log loss may be larger for a value of the model file's `segment`.",
        "more than that is no bound",
    )
    slice_events: int = number(
        1_000, (1, 10**12), "Events below which such a value is not judged.", "beyond any log"
    )

    train_share: float = number(
        0.5,
        (0.05, 0.95),
        "Share of a job's events that challengers are trained on; over the rest they are compared.",
        "else nothing is left for one of the two",
    )
    threads: int = number(
        2, (1, 256), "Threads that challengers learn with; any number gives the same bits.", "few have more"
    )
    device: Literal["auto", "cpu", "cuda"] = Field(
        default="auto", description="Where challengers learn; auto takes a GPU that is there and can."
    )
    promotion: Literal["auto", "ask"] = Field(
        default="auto", description="Whether who is proved serves by itself, or a person promotes."
    )
    watch_events: int = number(
        200_000, (1, 10**12), "Events compared after a promotion, until the champion ends.", "beyond any log"
    )

    schedule_seconds: float = number(
        0.0, (0, CENTURY), "A retraining is asked for every so often; 0 is never.", "a hundred years"
    )
    schedule_events: int = number(
        200_000, (1, 10**12), "Last events that a job of the schedule replays.", "beyond any log"
    )

    @property
    def jobs_folder(self) -> Path:
        """Of what jobs keep: beside that of the challengers, whatever a job is called."""
        return self.scratch / "jobs"

    @property
    def challengers_folder(self) -> Path:
        """Of what the learners of challengers are told, and say."""
        return self.scratch / "challengers"

    @model_validator(mode="after")
    def _begins_before_it_ends(self) -> Self:
        if self.max_compared_events < self.min_compared_events:
            raise ValueError(
                f"max_compared_events is {self.max_compared_events}, below min_compared_events "
                f"({self.min_compared_events}): nobody could be promoted"
            )
        return self
