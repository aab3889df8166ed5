"""Faults whose alerts look at long windows: hours go faster where these are produced."""

from __future__ import annotations

import orjson

from tests.system.alerts.faults import Fault
from tests.system.alerts.plant import Plant

# Hours that are half a minute: what looks back for six is silent after three minutes.
FACTOR = 120
# Of calls that are judged, before as well as after the fault.
PAUSE_SECONDS = 0.05
# An event that takes a predictor milliseconds to read.
_LARGE = orjson.dumps({"user": "u1", "page": "p3", "seen": [[] for _ in range(300_000)]})


def want_fresher_weights(plant: Plant) -> None:
    """An application takes no weights that are older than they can be."""
    plant.caller.pause_seconds = PAUSE_SECONDS
    plant.caller.max_age_seconds = 1e-6


def ask_much(plant: Plant) -> None:
    """Calls have events of a megabyte."""
    plant.caller.pause_seconds = PAUSE_SECONDS
    plant.caller.events = [_LARGE] * 6


def usual_calls(plant: Plant) -> None:
    """As many as before, that ask for what is usual."""
    plant.caller.mend()


def take_no_jobs(plant: Plant) -> None:
    plant.replace("retrainer", takes_jobs=False)
    plant.command("jobs", "--ask", "2000", "--why", "somebody wants it")


def take_jobs(plant: Plant) -> None:
    plant.replace("retrainer", takes_jobs=True)


SLOW = [
    Fault(
        "calls want fresher weights than there are",
        "PredictorErrorBudgetBurns",
        want_fresher_weights,
        usual_calls,
    ),
    Fault("calls have events of a megabyte", "PredictorLatencyBudgetBurns", ask_much, usual_calls),
    Fault("a job waits and no retrainer takes any", "RetrainStuck", take_no_jobs, take_jobs, 3),
]
