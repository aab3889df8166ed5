"""What of the kinds that other projects define the chart uses; their own schemas are not in Kubernetes'."""

from __future__ import annotations

from typing import Any


def _object(required: dict[str, Any], **optional: Any) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": {**required, **optional},
        "required": list(required),
        "additionalProperties": False,
    }


_TEXT, _TEXTS = {"type": "string"}, {"type": "object", "additionalProperties": {"type": "string"}}
_DURATION = {"type": "string", "pattern": "^([0-9]+(ms|s|m|h|d|w|y))+$"}
_METADATA = _object({"name": _TEXT, "labels": _TEXTS})
_RULE = _object(
    {"expr": _TEXT},
    **{"alert": _TEXT, "record": _TEXT, "for": _DURATION, "keep_firing_for": _DURATION},
    labels=_TEXTS,
    annotations=_TEXTS,
)
_GROUP = _object(
    {"name": _TEXT, "rules": {"type": "array", "items": _RULE, "minItems": 1}},
    interval=_DURATION,
    labels=_TEXTS,
)
_ENDPOINT = _object({"port": _TEXT, "path": _TEXT, "interval": _DURATION})
_TRIGGER = _object({"type": _TEXT, "metadata": _TEXTS}, name=_TEXT, metricType=_TEXT, authenticationRef={})
_COUNT = {"type": "integer", "minimum": 0}
SPECS = {
    "PodMonitor": _object(
        {
            "selector": _object({"matchLabels": _TEXTS}),
            "podMetricsEndpoints": {"type": "array", "items": _ENDPOINT, "minItems": 1},
        },
        jobLabel=_TEXT,
    ),
    "PrometheusRule": _object({"groups": {"type": "array", "items": _GROUP, "minItems": 1}}),
    "ScaledObject": _object(
        {
            "scaleTargetRef": _object({"name": _TEXT}),
            "triggers": {"type": "array", "items": _TRIGGER, "minItems": 1},
        },
        minReplicaCount=_COUNT,
        maxReplicaCount=_COUNT,
        cooldownPeriod=_COUNT,
    ),
}
VERSIONS = {
    "PodMonitor": "monitoring.coreos.com/v1",
    "PrometheusRule": "monitoring.coreos.com/v1",
    "ScaledObject": "keda.sh/v1alpha1",
}


def schema_of(kind: str) -> dict[str, Any]:
    """Return the schema of a whole object."""
    return _object(
        {
            "apiVersion": {"const": VERSIONS[kind]},
            "kind": {"const": kind},
            "metadata": _METADATA,
            "spec": SPECS[kind],
        }
    )
