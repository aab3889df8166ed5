"""Rules use what exists, and what exists is used by rules or dashboards or listed as raw: both ways."""

from __future__ import annotations

import re
import tomllib

from stream_ml.runtime import metrics
from tests.alerts import ROOT, alerts, rules
from tests.dashboards import filled, queries
from tests.promql import grouped, recorded, selected_of_ours
from tests.unit.rules.exported import exported

RAW = ROOT / "tests/data/raw_metrics.toml"
COUNTERS = (ROOT / "stream_ml/native/src/counters.rs").read_text()
# Given by who scrapes, by rules, or by alerts.
FROM_PROMETHEUS = {"namespace", "job", "instance", "of"}


def family(sample: str) -> str:
    return re.sub(r"_(bucket|count|sum)$", "", sample)


def values_of(name: str, label: str) -> set[str] | None:
    """Return the values that a bounded label may have; None for one of Rust's or of another kind."""
    bounds = metrics.KINDS.bounds.get(name, {}).get(label)
    if bounds is not None:
        return set(bounds)
    return set(re.findall(r'"(\w+)"', COUNTERS)) if label in {"outcome", "reason"} else None


def test_every_series_in_a_rule_is_exported_with_the_labels_that_are_asked_for() -> None:
    seen = 0
    for rule in rules():
        for each in selected_of_ours(rule["expr"]):
            seen += 1
            assert each.name in exported(), rule
            for label, wanted in each.matchers:
                assert label in exported()[each.name], (rule, label)
                known = values_of(each.name, label)
                assert known is None or set(wanted.split("|")) <= known, (rule, wanted)
    assert seen > 100


def test_latencies_are_asked_for_at_bounds_that_there_are() -> None:
    asked = {
        (each.name, wanted)
        for rule in rules()
        for each in selected_of_ours(rule["expr"])
        for label, wanted in each.matchers
        if label == "le"
    }
    native = {f"{int(us.replace('_', '')) / 1e6}" for us in re.findall(r"\b[\d_]+\b", bounds_of_the_front())}
    ours = {str(bound) for bound in metrics.LATENCY_BUCKETS_SECONDS}
    assert asked == {
        ("stream_ml_predictor_call_seconds_bucket", "0.01"),
        ("stream_ml_predictor_apply_delay_seconds_bucket", "1.0"),
    }
    assert "0.01" in native
    assert "1.0" in ours


def bounds_of_the_front() -> str:
    found = re.search(r"LATENCY_BOUNDS_US: \[u64; \d+\] = \[([^\]]*)\]", COUNTERS)
    assert found is not None
    return found[1]


def test_rules_group_and_join_by_labels_that_there_are() -> None:
    for rule in rules():
        ours = set().union(*(exported()[each.name] for each in selected_of_ours(rule["expr"]))) | {"model"}
        assert grouped(rule["expr"]) <= ours | FROM_PROMETHEUS, rule


def test_annotations_name_labels_that_the_alert_has() -> None:
    for rule in alerts():
        named = set(re.findall(r"\$labels\.(\w+)", rule["annotations"]["summary"]))
        kept = grouped(rule["expr"]) | {"of", "model", "instance", "job"}
        assert named <= kept, rule


def test_every_recorded_series_is_recorded_and_used() -> None:
    made = {rule["record"] for rule in rules() if "record" in rule}
    used = set().union(*(recorded(rule["expr"]) for rule in rules()))
    assert used - made == set()
    assert made - used == set()


def test_every_metric_is_used_or_listed_as_raw_with_who_looks_at_it() -> None:
    raw = tomllib.loads(RAW.read_text())
    asked = [*(rule["expr"] for rule in rules()), *(filled(each.expression) for each in queries())]
    used = {family(each.name) for expression in asked for each in selected_of_ours(expression)}
    ours = {family(name) for name in exported() if name.startswith("stream_ml_")}
    assert ours - used - raw.keys() == set(), "neither used nor raw"
    assert raw.keys() & used == set(), "raw, and used"
    assert raw.keys() - ours == set(), "raw, and not exported"
    assert all(raw.values())


def test_every_alert_says_how_bad_it_is_and_where_to_read_on() -> None:
    for rule in alerts():
        assert rule["labels"]["severity"] in {"critical", "warning", "info"}
        assert rule["annotations"]["runbook"] == f"docs/runbooks/{rule['alert']}.md"
        assert rule["annotations"]["summary"]


def test_objectives_are_compared_in_the_one_way_that_bears_two_releases() -> None:
    for rule in rules():
        asked = re.findall(r"stream_ml:objective:\w+", rule["expr"])
        assert len(re.findall(r"scalar\(max\(stream_ml:objective:\w+\)\)", rule["expr"])) == len(asked), rule
