"""`loadtest sparing`: what admission and expiry save in rows, and what they cost in loss."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from loadtest.isolation import isolated
from loadtest.model import model_file
from loadtest.ours import BATCH_RECORDS, blocks
from loadtest.report import Report
from loadtest.stream import EVENTS_PER_SECOND, Stream
from stream_ml._native import Learner, Plan
from stream_ml.features.plan import compile_model

FULL_EVENTS = 1_000_000
QUICK_EVENTS = 200_000
ONE_CORE = (1,)
UNKNOWN_TIME = -1
# Of the stream, between two sweeps.
PERIODS = 5
METHOD = (
    "The generated Criteo-like stream with event times is learned once on one core, by a model file without "
    "and with settings that keep features out or let them go; a period of expiry is a fifth of the stream. "
    "Log loss is progressive."
)
BARS: dict[str, str] = {}


def run(quick: bool, seed: int) -> Report:
    """Learn the stream with each of the settings."""
    stream = Stream(QUICK_EVENTS if quick else FULL_EVENTS, identified=True, seed=seed)
    path = stream.path()
    expire = f"expire_after_seconds = {stream.events / EVENTS_PER_SECOND / PERIODS}"
    all_settings = ["", "admission = 0.5", "admission = 0.2", expire, f"admission = 0.5\n{expire}"]
    cases = [isolated(ONE_CORE, learn, path, settings) for settings in all_settings]
    best = min(cases[1:], key=lambda case: case["rows"])
    figures = {
        "fewest_rows_ratio": round(best["rows"] / cases[0]["rows"], 3),
        "its_loss_more": round(best["log loss"] - cases[0]["log loss"], 5),
    }
    return Report("sparing", METHOD, seed, quick, figures, BARS, cases)


def learn(path: Path, settings: str) -> dict[str, Any]:
    """Return the line of the table for a model file with these settings."""
    learner = Learner(Plan(compile_model(f"{model_file(identified=True)}{settings}\n").plan_bytes))
    for batch in blocks(path, BATCH_RECORDS):
        learner.learn([(0, batch, [UNKNOWN_TIME] * len(batch))])
    metrics = learner.metrics()
    return {
        "settings": ", ".join(settings.splitlines()) or "none",
        "rows": int(metrics["rows"]),
        "table MB": round(metrics["table_bytes"] / 1e6, 1),
        "expired": int(metrics["rows_expired"]),
        "log loss": round(metrics["log_loss"], 5),
    }
