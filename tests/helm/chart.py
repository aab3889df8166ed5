"""The chart as Helm renders it from the values that it comes with, and from variations of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import helm_python
import yaml

ROOT = Path(__file__).parents[2]
CHART = ROOT / "helm" / "stream-ml"
SERVICES = ("learner", "predictor", "drift_monitor", "retrainer")
SECRETS = {
    "kafka": {"existingSecret": "of-kafka"},
    "redis": {"existingSecret": "of-redis"},
    "snapshots": {"existingSecret": "of-snapshots"},
}


def merged(*parts: Mapping[str, Any]) -> dict[str, Any]:
    """Return *parts*, the later ones winning, as Helm does with several files."""
    whole: dict[str, Any] = {}
    for part in parts:
        for key, value in part.items():
            before = whole.get(key)
            whole[key] = (
                merged(before, value) if isinstance(before, dict) and isinstance(value, dict) else value
            )
    return whole


def values_of(*names: str) -> dict[str, Any]:
    return merged(*(helm_python.values_from_yaml((CHART / name).read_text()) for name in names))


DEV = values_of("values-dev.yaml")
PROD = values_of("values-prod.yaml")
GPU = values_of("values-prod.yaml", "values-gpu.yaml")
# What the tests render: the files that the chart comes with, and what they leave out.
RENDERED = {
    "dev": DEV,
    "prod": PROD,
    "gpu": GPU,
    "secrets": merged(DEV, SECRETS, {"learner": {"settings": {"weights": "redis://redis:6379"}}}),
    "existing files": merged(PROD, {name: {"existingSecret": f"of-{name}"} for name in SERVICES}),
    "keda": merged(
        PROD,
        {
            "predictor": {
                "autoscaling": {"kind": "keda", "triggers": [{"type": "cpu", "metadata": {"value": "60"}}]},
                "service": {"type": "None"},
            },
            "retrainer": {"gpu": {"enabled": True}, "storage": {"claim": {"create": False}}},
        },
    ),
    "placed": merged(
        DEV,
        {
            "image": {"digest": "sha256:" + "a" * 64, "pullSecrets": [{"name": "registry"}]},
            "snapshots": {"claim": {"create": False, "existing": "theirs"}},
            **{
                name: {
                    "nodeSelector": {"pool": "ml"},
                    "tolerations": [{"key": "ml", "operator": "Exists"}],
                    "affinity": {"podAntiAffinity": {}},
                    "priorityClassName": "high",
                    "podAnnotations": {"a/b": "c"},
                    "env": [{"name": "STREAM_ML_LOG_LEVEL", "value": "warning"}],
                }
                for name in SERVICES
            },
        },
    ),
    "scores only": merged(
        PROD,
        {name: {"enabled": False} for name in ("learner", "drift_monitor", "retrainer")},
        {"topics": {"create": False}, "networkPolicy": {"enabled": False}},
    ),
}


def render(values: Mapping[str, Any], path: Path = CHART) -> list[dict[str, Any]]:
    """Return the objects that *values* give, with the chart at *path*."""
    with helm_python.Chart.load(path) as chart:
        texts = chart.render(dict(values), name="shop", namespace="ml")
    found = [yaml.safe_load_all(text) for path, text in texts.items() if not path.endswith("NOTES.txt")]
    return [document for documents in found for document in documents if document]


@cache
def objects(name: str) -> tuple[dict[str, Any], ...]:
    """Return the objects of one of RENDERED."""
    return tuple(render(RENDERED[name]))


def one(of: tuple[dict[str, Any], ...] | list[dict[str, Any]], kind: str, name: str) -> dict[str, Any]:
    (found,) = [each for each in of if (each["kind"], each["metadata"]["name"]) == (kind, name)]
    return found


def pods(of: tuple[dict[str, Any], ...] | list[dict[str, Any]]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield kind and name of whoever makes a pod, and what it is to be."""
    for each in of:
        spec = each.get("spec", {})
        template = spec.get("jobTemplate", {}).get("spec", spec).get("template")
        if each["kind"] == "Pod" or template:
            pod = each if each["kind"] == "Pod" else template
            yield f"{each['kind']} {each['metadata']['name']}", pod


def files(of: tuple[dict[str, Any], ...] | list[dict[str, Any]]) -> dict[str, str]:
    """Return the settings files, by service."""
    found = {}
    for each in of:
        text = each.get("data", each.get("stringData", {})).get("settings.toml")
        if text is not None:
            found[each["metadata"]["labels"]["app.kubernetes.io/component"]] = text
    return found
