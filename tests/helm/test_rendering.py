"""The chart is clean to Helm's own eye, and all that it renders is what the API of Kubernetes knows."""

from __future__ import annotations

import copy
from typing import Any

import helm_python
import jsonschema
import kubernetes_validate
import pytest

from tests.helm.chart import CHART, DEV, GPU, PROD, RENDERED, merged, objects, render
from tests.helm.custom_resources import VERSIONS, schema_of

# The oldest that the chart takes, and the newest whose schemas there are.
KUBERNETES = ("1.31", kubernetes_validate.latest_version())
WARNING = 2


def check(found: dict[str, Any]) -> None:
    if found["kind"] in VERSIONS:
        jsonschema.validate(found, schema_of(found["kind"]))
        return
    for version in KUBERNETES:
        kubernetes_validate.validate(found, version, strict=True)


def complaints(values: dict[str, Any]) -> list[str]:
    report = helm_python.lint(CHART, values, strict=True, kube_version="v1.31.0")
    # Helm only informs of what it thinks of an icon.
    return report["errors"] + [each["error"] for each in report["messages"] if each["severity"] >= WARNING]


@pytest.mark.parametrize("name", [*RENDERED, "nothing given"])
def test_helm_has_nothing_to_complain_of(name: str) -> None:
    assert complaints(RENDERED.get(name, {})) == []


@pytest.mark.parametrize("name", RENDERED)
def test_kubernetes_knows_all_of_it(name: str) -> None:
    found = objects(name)
    assert len(found) > 5
    for each in found:
        check(each)


@pytest.mark.parametrize("kind", ["Deployment", "PodMonitor"])
def test_what_kubernetes_does_not_know_is_seen(kind: str) -> None:
    (found, *_) = [each for each in objects("prod") if each["kind"] == kind]
    wrong = copy.deepcopy(found)
    wrong["spec"]["replica"] = 2
    with pytest.raises(jsonschema.ValidationError, match="replica"):
        check(wrong)


@pytest.mark.parametrize("name", RENDERED)
def test_no_two_objects_have_one_name(name: str) -> None:
    names = [(each["kind"], each["metadata"]["name"]) for each in objects(name)]
    assert sorted(set(names)) == sorted(names)
    assert [each for _, each in names if len(each) > 63] == []


def test_a_long_name_of_a_release_gives_names_that_kubernetes_takes() -> None:
    found = render(merged(PROD, {"fullnameOverride": "a" * 60}))
    names = {kind: [] for kind in {each["kind"] for each in found}}
    for each in found:
        names[each["kind"]].append(each["metadata"]["name"])
    # Nothing adds to the name of a ConfigMap, and it may have 253 letters.
    assert max(map(len, names.pop("ConfigMap"))) <= 253
    assert max(len(name) for of_kind in names.values() for name in of_kind) <= 52, "Jobs and pods add to it"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"model": {"file": ""}}, "model.file or model.existingConfigMap is missing"),
        ({"predictor": {"autoscaling": {"kind": "keda"}}}, "predictor.autoscaling.triggers is missing"),
        ({"snapshots": {"claim": {"create": False}}}, "no volume is there: set snapshots.claim, or a URL"),
    ],
)
def test_what_could_not_run_is_not_rendered(change: dict[str, Any], said: str) -> None:
    with pytest.raises(helm_python.HelmRenderError, match=said):
        render(merged(DEV, change))


@pytest.mark.parametrize(
    "modes", [["ReadWriteOnce"], ["ReadWriteOncePod"], ["ReadWriteOnce", "ReadOnlyMany"]]
)
def test_a_claim_that_one_node_mounts_is_not_rendered_where_a_gpu_on_another_needs_it(
    modes: list[str],
) -> None:
    def change(**claim: Any) -> dict[str, Any]:
        return merged(GPU, {"retrainer": {"storage": {"claim": {"accessModes": modes, **claim}}}})

    with pytest.raises(
        helm_python.HelmRenderError, match=r"retrainer\.storage\.claim\.accessModes .*ReadWriteMany"
    ):
        render(change())
    assert render(change(create=False)), "no claim: each keeps its own"
    assert render(change(existing="theirs")), "theirs to know"
    assert render(merged(change(), {"retrainer": {"gpu": {"enabled": False}}})), "mounted by one"


@pytest.mark.parametrize(("service", "setting"), [("predictor", "models"), ("drift_monitor", "model")])
def test_who_is_not_told_its_model_is_not_rendered(service: str, setting: str) -> None:
    values = copy.deepcopy(DEV)
    del values[service]["settings"][setting]
    with pytest.raises(helm_python.HelmRenderError, match=f"{service}.settings.{setting} is missing"):
        render(values)
    assert render(merged(values, {service: {"existingSecret": "theirs"}}))


def notes_of(values: dict[str, Any]) -> str:
    with helm_python.Chart.load(CHART) as chart:
        return str(chart.render(values, name="shop", namespace="ml")["stream-ml/templates/NOTES.txt"])


def test_the_notes_name_the_next_steps() -> None:
    notes = notes_of(DEV)
    for step in ("helm --namespace ml test shop", "topic events on kafka:9092", "--predictor 127.0.0.1:7590"):
        assert step in notes
    assert "Nobody is told when something is wrong" in notes


@pytest.mark.parametrize(
    ("change", "warned"),
    [
        ({"networkPolicy": {"scrapers": []}}, True),
        ({}, False),
        ({"networkPolicy": {"scrapers": [], "enabled": False}}, False),
        ({"networkPolicy": {"scrapers": []}, "monitoring": {"podMonitor": {"enabled": False}}}, False),
    ],
)
def test_the_notes_warn_of_a_prometheus_that_may_not_scrape(change: dict[str, Any], warned: bool) -> None:
    said = "A Prometheus in another namespace than ml gets nothing: networkPolicy.scrapers is empty"
    assert (said in notes_of(merged(PROD, change))) is warned
