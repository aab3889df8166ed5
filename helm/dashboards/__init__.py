"""Grafana's dashboards from code: `python -m helm.dashboards` writes them where the chart has them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from helm.dashboards import drift_and_retraining, healthy, kafka_and_redis, learning, serving

FOLDER = Path(__file__).parents[1] / "stream-ml" / "dashboards"
_BOARDS = (healthy, learning, serving, drift_and_retraining, kafka_and_redis)


def texts() -> Mapping[str, str]:
    """Return every dashboard as its file has it, by the file's name."""
    return {f"{each.__name__.rpartition('.')[2]}.json": each.text() for each in _BOARDS}
