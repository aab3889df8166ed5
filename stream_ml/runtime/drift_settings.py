"""The settings of the drift monitor."""

from __future__ import annotations

from pydantic import Field

from stream_ml.runtime.bounds import number
from stream_ml.runtime.service_settings import MODEL_NAME, ServiceSettings


class DriftMonitorSettings(ServiceSettings):
    """Settings of the drift monitor."""

    model: str = Field(
        pattern=f"^{MODEL_NAME.pattern}$", description="Name of the model whose evaluations are watched."
    )
    false_alarm_every: float = number(
        10_000.0,
        (10, 1e9),
        "Evaluations in which at most one false drift is told, of all statistics and segments together.",
        "a rarer one takes longer to be sure of a true one",
    )
    warnings_per_drift: float = number(
        10.0, (1, 1000), "How many warnings may come where one drift may.", "more are noise"
    )
    warm_up_evaluations: int = number(
        8,
        (0, 100_000),
        "Evaluations at a variant's beginning that are not looked at.",
        "nothing is told then",
    )
    cooldown_evaluations: int = number(
        40, (1, 100_000), "Evaluations after a drift in which no other is told.", "nothing is told then"
    )
    events_topic: str = Field(
        default="events", description="The topic that the model learns; a retrain job names offsets of it."
    )
    retrain_events: int = number(
        100_000,
        (0, 10**12),
        "Events before a drift was told that its retraining replays; 0 asks for none.",
        "beyond any log",
    )
    retrain_after_events: int = number(
        100_000,
        (0, 10**12),
        "Events after it that the retraining waits for: who is better since can only be seen in them.",
        "beyond any log",
    )
    retrain_cooldown_events: int = number(
        200_000,
        (0, 10**12),
        "Events that the serving variant learns after a drift asked for a retraining until the next may.",
        "beyond any log",
    )
    ignore: list[str] = Field(default=[], description="Statistics that are not watched, as event_rate.")
