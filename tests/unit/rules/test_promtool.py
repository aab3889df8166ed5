"""Prometheus's own tool over rules, their cases, and what the processes export."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.alerts import FILES, ROOT, alerts, rules, scaled
from tests.servers.prometheus import promtool
from tests.unit.rules.exported import exported_text

CASES = sorted((ROOT / "tests/data/rules/").glob("*.yaml"))
_LABELS = re.compile(r'(\w+)="([^"]*)"')


def test_the_rules_are_rules() -> None:
    done = promtool("check", "rules", *FILES)
    assert done.returncode == 0, done.stdout + done.stderr
    assert len(FILES) == 7


def test_what_is_exported_follows_the_conventions() -> None:
    done = promtool("check", "metrics", given=exported_text())
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


@pytest.mark.parametrize("path", CASES, ids=lambda path: path.stem)
def test_every_case_rings_as_it_should(path: Path) -> None:
    done = promtool("test", "rules", path)
    assert done.returncode == 0, done.stdout + done.stderr


def expectations(path: Path) -> list[tuple[set[str], list[set[tuple[str, str, str]]]]]:
    """Return of every case the metrics that come in, and what rings, once for each time."""
    found = []
    for case in yaml.safe_load(path.read_text())["tests"]:
        series = {re.split(r"[{ ]", each["series"])[0] for each in case["input_series"]}
        found.append((series, [_ringing(test) for test in case["promql_expr_test"]]))
    return found


def _ringing(test: dict[str, Any]) -> set[tuple[str, str, str]]:
    assert test["expr"] == 'count by (alertname, severity, window) (ALERTS{alertstate="firing"})'
    labels = [dict(_LABELS.findall(each["labels"])) for each in test["exp_samples"]]
    return {(each["alertname"], each["severity"], each.get("window", "")) for each in labels}


def test_every_alert_rings_in_a_case_and_is_silent_in_one_with_the_same_series() -> None:
    cases = [case for path in CASES for case in expectations(path)]
    for rule in alerts():
        labels = rule["labels"]
        alert = (rule["alert"], labels["severity"], labels.get("window", ""))
        rings = [series for series, times in cases if any(alert in ringing for ringing in times)]
        assert rings, f"{alert} never rings"
        silent = [
            series
            for series, times in cases
            if any(alert not in ringing for ringing in times) and any(series >= each for each in rings)
        ]
        assert silent, f"{alert} is never silent"


def test_what_rings_in_a_case_is_an_alert() -> None:
    known = {(r["alert"], r["labels"]["severity"], r["labels"].get("window", "")) for r in alerts()}
    times = [ringing for path in CASES for _, times in expectations(path) for ringing in times]
    assert set().union(*times) == known


def test_rules_with_shorter_windows_are_rules_and_nothing_else_changes(tmp_path: Path) -> None:
    for path in FILES:
        (tmp_path / path.name).write_text(scaled(path.read_text(), 60))
    short = sorted(tmp_path.iterdir())
    done = promtool("check", "rules", *short)
    assert done.returncode == 0, done.stdout + done.stderr
    before, after = list(rules()), list(rules(short))
    named = [rule.get("alert") or rule["record"] for rule in before]
    assert [rule.get("alert") or rule["record"] for rule in after] == named
    # Names of recorded series end like durations.
    expressions = [re.sub(r"\b[a-z]\w*:[\w:]+", "", rule["expr"]) for rule in after if "[" in rule["expr"]]
    assert not re.search(r"\d[smhdwy]\b", "".join(expressions))
    by_name = {rule.get("record"): rule["expr"] for rule in after}
    assert float(by_name["stream_ml:objective:lag_seconds"]) == 1
    assert float(by_name["stream_ml:objective:dead_letters_ratio"]) == 0.01
    assert {rule["for"] for rule in after if "for" in rule} >= {"1000ms", "5000ms"}


def test_each_kind_of_duration_is_scaled() -> None:
    text = """
groups:
  - name: all
    rules:
      - alert: A
        expr: rate(x[5m]) > 5 and y offset 1h and max_over_time(z[1d:10m]) and a:b:rate5m
        for: 2m
      - record: stream_ml:objective:lag_seconds
        expr: "60"
      - record: stream_ml:objective:lag_ratio
        expr: "60"
"""
    alert, seconds, ratio = yaml.safe_load(scaled(text, 60))["groups"][0]["rules"]
    assert alert["expr"] == (
        "rate(x[5000ms]) > 5 and y offset 60000ms and max_over_time(z[1440000ms:10000ms]) and a:b:rate5m"
    )
    assert (alert["for"], float(seconds["expr"]), float(ratio["expr"])) == ("2000ms", 1, 60)
