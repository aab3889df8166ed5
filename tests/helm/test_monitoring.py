"""Prometheus finds every service under its own word, and gets rules and dashboards as the files have them."""

from __future__ import annotations

import shutil
from pathlib import Path

import helm_python
import jsonschema
import pytest
import yaml

from helm.dashboards import texts
from helm.dashboards.board import RUNBOOKS
from tests.helm.chart import CHART, PROD, SERVICES, merged, objects, one, pods
from tests.helm.custom_resources import schema_of

RULES = """groups:
- name: example
  rules:
  - alert: Stale
    expr: up{job="learner"} == 0
    for: 5m
    annotations: {summary: "{{ $labels.job }} is away"}
"""


def test_prometheus_finds_every_pod_under_its_services_word() -> None:
    monitor = one(objects("prod"), "PodMonitor", "shop-stream-ml")["spec"]
    found = set()
    for _, pod in pods(objects("prod")):
        labels = pod["metadata"]["labels"]
        assert monitor["selector"]["matchLabels"].items() <= labels.items()
        names = {port["name"] for port in pod["spec"]["containers"][0].get("ports", [])}
        if monitor["podMetricsEndpoints"][0]["port"] in names:
            found.add(labels[monitor["jobLabel"]])
    assert found == set(SERVICES)


@pytest.fixture
def chart(tmp_path: Path) -> Path:
    copy = tmp_path / "stream-ml"
    shutil.copytree(CHART, copy)
    return copy


def test_rules_and_dashboards_arrive_as_they_are(chart: Path) -> None:
    (chart / "alerts").mkdir(exist_ok=True)
    (chart / "alerts" / "an_example.yaml").write_text(RULES)
    (chart / "dashboards").mkdir(exist_ok=True)
    (chart / "dashboards" / "an_example.json").write_text('{\n "title": "{{job}}"\n}\n')
    with helm_python.Chart.load(chart) as loaded:
        text = loaded.render(PROD, name="shop")["stream-ml/templates/monitoring.yaml"]
    found = [each for each in yaml.safe_load_all(text) if each]
    rule = one(found, "PrometheusRule", "shop-stream-ml-an-example")
    jsonschema.validate(rule, schema_of("PrometheusRule"))
    assert rule["spec"] == yaml.safe_load(RULES)
    board = one(found, "ConfigMap", "shop-stream-ml-dashboard-an-example")
    assert board["data"] == {"an_example.json": '{\n "title": "{{job}}"\n}\n'}
    assert board["metadata"]["labels"]["grafana_dashboard"] == "1"


def test_every_dashboard_is_one_for_grafanas_sidecar_and_leads_to_the_runbooks_of_the_operator() -> None:
    values = {"monitoring": {"dashboards": {"enabled": True, "runbooks": "https://wiki.shop/ml"}}}
    with helm_python.Chart.load(CHART) as loaded:
        text = loaded.render(merged(PROD, values), name="shop")["stream-ml/templates/monitoring.yaml"]
    maps = [each for each in yaml.safe_load_all(text) if each and each["kind"] == "ConfigMap"]
    shipped = {name: content for each in maps for name, content in each["data"].items()}
    assert shipped.keys() == texts().keys()
    for name, content in texts().items():
        assert shipped[name] == content.replace(RUNBOOKS, "https://wiki.shop/ml"), name
        assert RUNBOOKS not in shipped[name]
        assert '"https://wiki.shop/ml"' in shipped[name]
    for each in maps:
        assert each["metadata"]["labels"]["grafana_dashboard"] == "1"
        assert len(str(each)) < 1_000_000, "a ConfigMap has at most 1 MiB"


def test_every_file_of_rules_is_one_for_prometheus() -> None:
    files = [path for path in sorted((CHART / "alerts").glob("*.yaml")) if path.is_file()]
    rules = [each for each in objects("prod") if each["kind"] == "PrometheusRule"]
    assert [yaml.safe_load(path.read_text()) for path in files] == [each["spec"] for each in rules]


def test_nothing_of_it_is_there_unasked() -> None:
    kinds = {each["kind"] for each in objects("dev")}
    assert not kinds & {"PodMonitor", "PrometheusRule"}
