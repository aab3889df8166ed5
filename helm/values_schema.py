"""
The schema of the chart's values, from the settings models of the services: `python -m helm.values_schema`.

Helm reads it at every install, upgrade and lint, and refuses what is not known, with its path.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from stream_ml.runtime.drift_settings import DriftMonitorSettings
from stream_ml.runtime.retrainer_settings import RetrainerSettings
from stream_ml.runtime.service_settings import ServiceSettings
from stream_ml.runtime.settings import LearnerSettings, PredictorSettings

PATH = Path(__file__).parent / "stream-ml" / "values.schema.json"
# What a file must have comes from the chart's defaults, or is asked for by its templates.
_NOT_OURS = {"required", "default", "title", "format", "bounds"}

# What Kubernetes checks itself, and knows best.
Verbatim = dict[str, Any]


class Values(BaseModel):
    """A part of the values; unknown keys are refused."""

    model_config = ConfigDict(extra="forbid")


class Image(Values):
    """Where the pods' image is."""

    repository: str = Field(min_length=1)
    tag: str
    digest: str = Field(pattern="^(sha256:[0-9a-f]{64})?$")
    pullPolicy: Literal["Always", "IfNotPresent", "Never"]
    pullSecrets: list[Verbatim]


class Model(Values):
    """The model file."""

    file: str
    existingConfigMap: str


class Existing(Values):
    """A Secret of the operator's."""

    existingSecret: str


class Claim(Values):
    """A volume that is asked for, or there."""

    create: bool
    existing: str
    accessModes: list[str] = Field(min_length=1)
    storageClassName: str
    size: str


class Snapshots(Existing):
    """The store of snapshots."""

    claim: Claim


class Topics(Values):
    """The job that creates topics."""

    create: bool
    eventsPartitions: int = Field(ge=0)
    resources: Verbatim


class Placement(Values):
    """Where pods run."""

    nodeSelector: dict[str, str]
    tolerations: list[Verbatim]


class Service(Placement, Existing):
    """What every service has."""

    enabled: bool
    settings: ServiceSettings
    resources: Verbatim
    affinity: Verbatim
    priorityClassName: str
    podAnnotations: dict[str, str]
    env: list[Verbatim]


class Spread(Values):
    """How evenly pods are spread."""

    topologyKey: str
    whenUnsatisfiable: Literal["DoNotSchedule", "ScheduleAnyway"]
    maxSkew: int = Field(ge=1)


class DisruptionBudget(Values):
    """How many may be away for an operator's reasons."""

    enabled: bool
    maxUnavailable: int | str


class Learner(Service):
    """The learners."""

    settings: LearnerSettings
    replicas: int = Field(ge=0)
    terminationGracePeriodSeconds: int = Field(ge=0)
    podDisruptionBudget: DisruptionBudget
    topologySpread: list[Spread]


class Autoscaling(Values):
    """Who says how many predictors there are."""

    kind: Literal["none", "hpa", "keda"]
    minReplicas: int = Field(ge=1)
    maxReplicas: int = Field(ge=1)
    targetCPUUtilizationPercentage: int = Field(ge=1)
    triggers: list[Verbatim]


class PredictorService(Values):
    """The address of the predictors; None: those of the pods."""

    type: Literal["ClusterIP", "NodePort", "LoadBalancer", "None"]
    annotations: dict[str, str]


class Predictor(Service):
    """The predictors."""

    settings: PredictorSettings
    replicas: int = Field(ge=0)
    preStopSeconds: int = Field(ge=1)
    podDisruptionBudget: DisruptionBudget
    autoscaling: Autoscaling
    service: PredictorService
    topologySpread: list[Spread]


class DriftMonitor(Service):
    """The drift monitor."""

    settings: DriftMonitorSettings
    terminationGracePeriodSeconds: int = Field(ge=0)


class Storage(Values):
    """What a retrainer keeps."""

    claim: Claim
    sizeLimit: str


class GpuImage(Values):
    """The image with CUDA."""

    repository: str
    tag: str


class Gpu(Placement):
    """The retrainer on a GPU."""

    enabled: bool
    schedule: str
    image: GpuImage
    activeDeadlineSeconds: int = Field(ge=1)
    resources: Verbatim


class Retrainer(Service):
    """The retrainer."""

    settings: RetrainerSettings
    terminationGracePeriodSeconds: int = Field(ge=0)
    storage: Storage
    gpu: Gpu


class Labelled(Values):
    """Objects for who looks for labels."""

    enabled: bool
    labels: dict[str, str]


class PodMonitor(Labelled):
    """What Prometheus scrapes."""

    interval: str


class Dashboards(Labelled):
    """What Grafana's sidecar finds."""

    runbooks: str = Field(pattern='^https?://[^"\\\\]+[^/"\\\\]$')


class Monitoring(Values):
    """Prometheus and Grafana."""

    podMonitor: PodMonitor
    rules: Labelled
    dashboards: Dashboards


class NetworkPolicy(Values):
    """Who may reach whom."""

    enabled: bool
    clients: list[Verbatim]
    scrapers: list[Verbatim]
    egress: list[Verbatim]


class Chart(Values):
    """All values."""

    nameOverride: str
    fullnameOverride: str
    image: Image
    model: Model
    settings: ServiceSettings
    kafka: Existing
    redis: Existing
    snapshots: Snapshots
    topics: Topics
    learner: Learner
    predictor: Predictor
    drift_monitor: DriftMonitor
    retrainer: Retrainer
    monitoring: Monitoring
    networkPolicy: NetworkPolicy
    # Helm's own, of every chart.
    global_: Verbatim = Field(alias="global")


def schema() -> dict[str, Any]:
    """Return the schema."""
    return {"$schema": "http://json-schema.org/draft-07/schema#", **_pruned(Chart.model_json_schema())}


def _pruned(found: dict[str, Any], *, names: bool = False) -> dict[str, Any]:
    """Return *found* without what Helm has no use for; where keys are *names*, all of them are kept."""
    return {
        key: _pruned(value, names=key in {"properties", "$defs"} and not names)
        if isinstance(value, dict)
        else value
        for key, value in found.items()
        if names or key not in _NOT_OURS
    }


def text() -> str:
    """Return the schema as its file has it."""
    return json.dumps(schema(), indent=1, sort_keys=True) + "\n"


if __name__ == "__main__":
    PATH.write_text(text())
