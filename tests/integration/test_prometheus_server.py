"""The Prometheus of tests: it scrapes what runs, evaluates rules, tells of alerts, and says what is wrong."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry, Gauge, start_http_server

from tests.servers.processes import free_port, wait_until
from tests.servers.prometheus import PrometheusServer

RULES = """
groups:
  - name: all
    rules:
      - record: depth:doubled
        expr: 2 * depth
      - alert: Deep
        expr: depth:doubled > 10
        labels: {severity: warning}
"""


@pytest.fixture
def depth() -> Iterator[tuple[Gauge, str]]:
    registry, port = CollectorRegistry(), free_port()
    gauge = Gauge("depth", "How deep.", registry=registry)
    server, thread = start_http_server(port, "127.0.0.1", registry)
    yield gauge, f"127.0.0.1:{port}"
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
def prometheus(depth: tuple[Gauge, str], tmp_path: Path) -> Iterator[PrometheusServer]:
    rules = tmp_path / "rules.yaml"
    rules.write_text(RULES)
    server = PrometheusServer(tmp_path / "prometheus", {"sounding": [depth[1]]}, [rules], 0.1)
    try:
        yield server.start()
    finally:
        server.stop()


def test_an_alert_rings_while_its_series_is_beyond_and_a_target_that_ends_is_down(
    prometheus: PrometheusServer, depth: tuple[Gauge, str]
) -> None:
    gauge, address = depth
    prometheus.wait_until_scraped()
    assert prometheus.query("depth")[0][0] == {"__name__": "depth", "instance": address, "job": "sounding"}
    assert prometheus.alerts() == []
    gauge.set(6)
    wait_until(lambda: len(prometheus.alerts()) == 1, explain=lambda: str(prometheus.rules()))
    assert prometheus.alerts()[0]["labels"]["alertname"] == "Deep"
    assert (prometheus.value("depth:doubled"), prometheus.value("scalar(depth)")) == (12, 6)
    assert {rule["health"] for rule in prometheus.rules()} == {"ok"}
    gauge.set(5)
    wait_until(lambda: prometheus.alerts() == [])
    prometheus.follow({"sounding": [f"127.0.0.1:{free_port()}"]})
    wait_until(lambda: [answers for _, answers in prometheus.query("up")] == [0])
    wait_until(lambda: math.isnan(prometheus.value("depth")))


def test_what_is_no_promql_is_an_error_that_says_why(prometheus: PrometheusServer) -> None:
    with pytest.raises(ValueError, match="parse error"):
        prometheus.query("rate(")
