"""A real API server takes the chart as it is, and everything gets ready."""

from __future__ import annotations

import copy

import pytest

from tests.cluster.api import Object, Refused
from tests.cluster.release import NAME, Release, component, ready
from tests.helm.chart import RENDERED, objects, one

FILES = {
    "dev": ["values-dev.yaml"],
    "prod": ["values-prod.yaml"],
    "gpu": ["values-prod.yaml", "values-gpu.yaml"],
}
PODS = {
    "dev": {"learner": 2, "predictor": 1, "drift_monitor": 1, "retrainer": 1},
    "prod": {"learner": 2, "predictor": 3, "drift_monitor": 1, "retrainer": 1},
    "gpu": {"learner": 3, "predictor": 3, "drift_monitor": 1, "retrainer": 1},
}
# The file that is read of a volume, by the first word of its name.
READ = {"settings": "settings.toml", "model": "model.toml", "kafka": "client.properties", "redis": "password"}


@pytest.mark.parametrize("name", FILES)
def test_all_pods_get_ready_and_nobody_warns(name: str, release: Release) -> None:
    release.install(FILES[name])
    assert {service: len(ready(release.pods(service))) for service in PODS[name]} == PODS[name]
    (topics,) = release.api.all(release.path("batch/v1/jobs"))
    assert topics["status"]["succeeded"] == 1
    assert "Phase:          Succeeded" in release.helm("test", NAME)
    assert release.warnings == []


@pytest.mark.parametrize("name", FILES)
def test_what_a_pod_mounts_is_there_with_the_file_that_is_read(name: str, release: Release) -> None:
    """Nobody else looks: there is no kubelet."""
    release.install(FILES[name])
    for pod in release.pods():
        for volume in pod["spec"]["volumes"]:
            found = mounted(release, volume)
            assert found is None or READ[volume["name"].partition("-")[0]] in found, component(pod)
        for each in pod["spec"]["containers"][0].get("envFrom", ()):
            assert data(release, "secrets", each["secretRef"]["name"])


def mounted(release: Release, volume: Object) -> Object | None:
    """Return what files a volume has; None where it is no ConfigMap and no Secret."""
    match volume:
        case {"configMap": {"name": name}}:
            return data(release, "configmaps", name)
        case {"secret": {"secretName": name}}:
            return data(release, "secrets", name)
    return None


def data(release: Release, kind: str, name: str) -> Object:
    found: Object = release.api.ask("GET", release.path(kind, name))["data"]
    return found


@pytest.mark.parametrize("name", RENDERED)
def test_the_api_server_knows_every_field_and_warns_of_nothing(name: str, release: Release) -> None:
    for each in objects(name):
        release.api.create(each, release.namespace, dryRun="All")
    assert release.api.warnings == []


def deployment() -> Object:
    return copy.deepcopy(one(objects("prod"), "Deployment", "shop-stream-ml-predictor"))


def test_a_field_that_there_is_not_is_refused(release: Release) -> None:
    wrong = deployment()
    wrong["spec"]["replica"] = 2
    with pytest.raises(Refused, match=r'unknown field "spec.replica"'):
        release.api.create(wrong, release.namespace, dryRun="All")


def test_a_selector_of_other_pods_is_refused(release: Release) -> None:
    wrong = deployment()
    wrong["spec"]["selector"]["matchLabels"]["app.kubernetes.io/component"] = "learner"
    with pytest.raises(Refused, match="`selector` does not match template `labels`"):
        release.api.create(wrong, release.namespace, dryRun="All")


def test_a_right_too_much_is_warned_of(release: Release) -> None:
    wrong = deployment()
    del wrong["spec"]["template"]["spec"]["containers"][0]["securityContext"]["capabilities"]
    release.api.create(wrong, release.namespace, dryRun="All")
    (said,) = release.api.warnings
    assert "would violate PodSecurity" in said
    assert "unrestricted capabilities" in said
