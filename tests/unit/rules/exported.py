"""
What processes export, whatever happened to them: every metric with every label.

It runs as a process of its own, so that the registry of the tests stays as they left it.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping
from functools import cache
from typing import Any

from prometheus_client.exposition import generate_latest
from prometheus_client.metrics import MetricWrapperBase
from prometheus_client.parser import text_string_to_metric_families

from stream_ml.runtime import metrics
from stream_ml.runtime.metric_kinds import KeptTotal
from tests.alerts import ROOT

MODEL = "exported"
FRONT: dict[str, Any] = {
    "calls": {"answered": 3},
    "closed": {"idle": 2},
    "events_scored": 30,
    "events_refused": 4,
    "connections_open": 5,
    "connections_accepted": 7,
    "latency_bounds_seconds": [0.001, 0.01],
    "latency_buckets": [2, 1, 1],
    "latency_sum_seconds": 0.5,
}


@cache
def exported_text() -> str:
    """Return it as Prometheus scrapes it."""
    command = [sys.executable, "-m", __name__]
    return subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout


@cache
def exported() -> Mapping[str, set[str]]:
    """Return the labels of every sample, by its name."""
    labels: dict[str, set[str]] = {}
    for family in text_string_to_metric_families(exported_text()):
        for sample in family.samples:
            labels.setdefault(sample.name, set()).update(sample.labels)
    return {name: found for name, found in labels.items() if not name.endswith("_created")}


def _export() -> None:
    for service in ("learner", "predictor", "drift_monitor", "retrainer"):
        metrics.begin(service, [MODEL])
    for made in vars(metrics).values():
        if isinstance(made, KeptTotal):
            made.set(1, MODEL)
        elif isinstance(made, MetricWrapperBase) and "model" in made._labelnames:
            _touch(made)
    metrics.PREDICTOR_FRONT.follow(lambda: FRONT)
    sys.stdout.write(generate_latest(metrics.REGISTRY).decode())


def _touch(made: MetricWrapperBase) -> None:
    bounds = metrics.KINDS.bounds.get(f"{made._name}_total", {})
    made.labels(MODEL, *(bounds.get(label, ("any",))[0] for label in made._labelnames[1:]))


if __name__ == "__main__":
    _export()
