"""`loadtest sparing`: what admission and expiry save in rows, and what they cost in loss and in speed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from loadtest.isolation import Watch, isolated
from loadtest.model import model_file
from loadtest.ours import BATCH_RECORDS, blocks
from loadtest.report import Report
from loadtest.stream import EVENTS_PER_SECOND, Stream
from stream_ml._native import Learner, Plan
from stream_ml.features.plan import compile_model

FULL_EVENTS, FULL_ROUNDS = 1_000_000, 5
QUICK_EVENTS, QUICK_ROUNDS = 200_000, 3
ONE_CORE = (1,)
UNKNOWN_TIME = -1
# Of the stream, between two sweeps.
PERIODS = 5
METHOD = (
    "The generated Criteo-like stream with event times is learned on one core, by a model file without and "
    "with settings that keep features out or let them go, in turn, several times, each in a fresh process; a "
    "period of expiry is a fifth of the stream. Log loss is progressive; of each speed the best, times that "
    "without the settings."
)
BARS: dict[str, str] = {}


def run(quick: bool, seed: int) -> Report:
    """Learn the stream with each of the settings."""
    stream = Stream(QUICK_EVENTS if quick else FULL_EVENTS, identified=True, seed=seed)
    path = stream.path()
    expire = f"expire_after_seconds = {stream.events / EVENTS_PER_SECOND / PERIODS}"
    all_settings = ["", "admission = 0.5", "admission = 0.2", expire, f"admission = 0.5\n{expire}"]
    rounds = QUICK_ROUNDS if quick else FULL_ROUNDS
    turns = [[isolated(ONE_CORE, learn, path, each) for each in all_settings] for _ in range(rounds)]
    cases = [max(case, key=lambda one: int(one["events/s"])) for case in zip(*turns, strict=True)]
    for case in cases:
        case["× without"] = round(case["events/s"] / cases[0]["events/s"], 3)
    best = min(cases[1:], key=lambda case: case["rows"])
    figures = {
        "fewest_rows_ratio": round(best["rows"] / cases[0]["rows"], 3),
        "its_loss_more": round(best["log loss"] - cases[0]["log loss"], 5),
        "slowest_speed_ratio": min(case["× without"] for case in cases[1:]),
    }
    return Report("sparing", METHOD, seed, quick, figures, BARS, cases)


def learn(path: Path, settings: str) -> dict[str, Any]:
    """Return the line of the table for a model file with these settings."""
    learner = Learner(Plan(compile_model(f"{model_file(identified=True)}{settings}\n").plan_bytes))
    watch = Watch()
    for batch in blocks(path, BATCH_RECORDS):
        learner.learn([(0, batch, [UNKNOWN_TIME] * len(batch))])
    seconds, cpu_seconds = watch.read()
    metrics = learner.metrics()
    return {
        "settings": ", ".join(settings.splitlines()) or "none",
        "rows": int(metrics["rows"]),
        "table MB": round(metrics["table_bytes"] / 1e6, 1),
        "expired": int(metrics["rows_expired"]),
        "log loss": round(metrics["log_loss"], 5),
        "events/s": round(metrics["learned"] / seconds),
        "CPU ns/event": round(cpu_seconds / metrics["learned"] * 1e9),
    }
