"""The model of the load tests, compiled."""

from __future__ import annotations

from pathlib import Path

from stream_ml._native import Plan
from stream_ml.features.plan import compile_model

MODEL_FILE = Path(__file__).with_name("criteo.toml")
# What the services need beside it: a duplicate window and event time (``Stream(identified=True)``).
IDENTIFIED = 'event_id = "id"\ntimestamp = "time"\n'


def model_file(identified: bool = False) -> str:
    """Return the model file's text."""
    return (IDENTIFIED if identified else "") + MODEL_FILE.read_text()


def plan(identified: bool = False) -> Plan:
    """Return the model, compiled as the services do."""
    return Plan(compile_model(model_file(identified)).plan_bytes)
