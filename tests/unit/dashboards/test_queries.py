"""Dashboards ask for what exists: series, labels, and values of those; by Prometheus's grammar."""

from __future__ import annotations

import re

import pytest
import yaml

from helm.dashboards.rules import alert_names, promised
from tests.alerts import alerts, rules
from tests.dashboards import Asked, asked_for_variables, boards, filled, queries
from tests.promql import grouped, selected
from tests.servers.prometheus import promtool
from tests.unit.rules.exported import exported
from tests.unit.rules.test_used import FROM_PROMETHEUS, values_of

# Prometheus's own series, with the labels of ours that are asked for.
ITS_OWN = {"ALERTS": {"alertstate", "alertname", "severity"}, "up": set[str]()}
QUERIES = list(queries())
RECORDED = {rule["record"]: rule for rule in rules() if "record" in rule}


def labels_of(name: str) -> set[str]:
    """Return the labels that a series may have, beside those that Prometheus gives it."""
    if name in ITS_OWN:
        return ITS_OWN[name]
    if name in RECORDED:
        return grouped(RECORDED[name]["expr"]) | RECORDED[name].get("labels", {}).keys() | recorded_by(name)
    return exported()[name]


def recorded_by(name: str) -> set[str]:
    """Return the labels that the level of a recorded series says: model:…, job:…."""
    return {name.split(":")[0]} & {"model", "job"}


@pytest.mark.parametrize("asked", QUERIES, ids=lambda asked: f"{asked.board}: {asked.panel}")
def test_a_query_asks_for_series_that_there_are_with_labels_that_they_have(asked: Asked) -> None:
    found = selected(filled(asked.expression))
    assert found
    for each in found:
        assert each.name in exported() or each.name in RECORDED or each.name in ITS_OWN, each
        for label, wanted in each.matchers:
            assert label in labels_of(each.name) | FROM_PROMETHEUS, (each, label)
            known = values_of(each.name, label) if label not in FROM_PROMETHEUS | {"model"} else None
            assert known is None or set(wanted.split("|")) <= known, (each, wanted)
    assert grouped(asked.expression) <= FROM_PROMETHEUS | {"le"}.union(*(labels_of(e.name) for e in found))


@pytest.mark.parametrize("asked", QUERIES, ids=lambda asked: f"{asked.board}: {asked.panel}")
def test_a_query_is_of_what_was_chosen(asked: Asked) -> None:
    for each in selected(filled(asked.expression, namespace="N", model="M")):
        chosen = dict(each.matchers)
        if each.name.startswith("stream_ml:objective:"):
            continue
        assert chosen.get("namespace") == "N", each
        assert chosen.get("model") == "M" or "model" not in labels_of(each.name), each


def test_prometheus_takes_them_all(tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.mktemp("asked") / "asked.yaml"
    group = [
        {"record": f"asked:{number}", "expr": filled(asked.expression)}
        for number, asked in enumerate(QUERIES)
    ]
    path.write_text(yaml.safe_dump({"groups": [{"name": "asked", "rules": group}]}))
    done = promtool("check", "rules", path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert len(group) > 100


def test_a_query_that_is_none_is_noticed() -> None:
    with pytest.raises(ValueError, match=r"\S"):
        selected("sum by (model (rate(x[5m]))")
    assert [each.name for each in selected(filled("rate(a[$__rate_interval]) / b"))] == ["a", "b"]


def test_what_may_be_chosen_comes_from_series_that_there_are() -> None:
    for board in boards().values():
        found = [each for text in asked_for_variables(board) for each in selected(filled(text))]
        assert [each.name for each in found] == ["stream_ml_build_info", "stream_ml_learner_learned_total"]
        for each in found:
            assert {label for label, _ in each.matchers} <= exported()[each.name] | FROM_PROMETHEUS


def test_nothing_is_filled_in_that_grafana_does_not_fill_in() -> None:
    for asked in QUERIES:
        assert "$" not in filled(asked.expression), asked
        assert set(re.findall(r"\$\w+", asked.expression)) <= {"$namespace", "$model", "$__rate_interval"}


def test_alerts_of_ours_alone_are_counted() -> None:
    ours = {rule["alert"] for rule in alerts()}
    assert set(alert_names().split("|")) == ours
    of_alerts = [
        each for asked in QUERIES for each in selected(filled(asked.expression)) if each.name == "ALERTS"
    ]
    assert len(of_alerts) == 3
    assert all(set(dict(each.matchers)["alertname"].split("|")) == ours for each in of_alerts)


def test_a_figure_in_words_is_what_is_promised() -> None:
    assert promised("calibration_off_ratio") == 0.2
    with pytest.raises(IndexError):
        promised("nothing")
