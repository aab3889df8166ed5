from pathlib import Path

import pytest
from prometheus_client.exposition import generate_latest
from prometheus_client.metrics_core import Metric

from stream_ml.runtime import metrics
from stream_ml.runtime.clock import ManualClock
from stream_ml.streams.refusals import EXPLANATIONS

SERVICES = Path(__file__).parents[3] / "services"


def ours() -> list[Metric]:
    return [family for family in metrics.REGISTRY.collect() if family.name.startswith("stream_ml_")]


def test_every_name_begins_with_ours_and_every_metric_is_explained() -> None:
    foreign = ("process_", "python_", "stream_ml_")
    assert [f.name for f in metrics.REGISTRY.collect() if not f.name.startswith(foreign)] == []
    assert [f.name for f in ours() if not f.documentation.endswith(".")] == []


def test_units_are_base_units_and_counters_end_in_total() -> None:
    for family in ours():
        assert not family.name.endswith(("_ms", "_milliseconds", "_mb", "_kib", "_percent"))
        assert family.name.endswith("_total") is False, "the suffix belongs to the sample"


def test_a_kept_total_shows_what_it_was_set_to_and_never_adds() -> None:
    metrics.LEARNER_LEARNED.set(5, "kept")
    metrics.LEARNER_LEARNED.set(7, "kept")
    assert metrics.LEARNER_LEARNED.get("kept") == 7
    assert b'stream_ml_learner_learned_total{model="kept"} 7.0' in generate_latest(metrics.REGISTRY)


def test_what_a_service_counts_is_shown_before_it_counts_anything() -> None:
    metrics.begin("drift_monitor", ["begun"])
    shown = generate_latest(metrics.REGISTRY).decode()
    assert 'stream_ml_build_info{component="drift_monitor",version="' in shown
    for kind in ("warning", "drift", "gap"):
        assert f'stream_ml_drift_monitor_alarms_total{{kind="{kind}",model="begun"}} 0.0' in shown
    assert 'stream_ml_learner_refusals_total{model="begun"' not in shown, "another service's"
    metrics.DRIFT_ALARMS.labels("begun", "drift").inc()
    metrics.begin("drift_monitor", ["begun"])
    again = generate_latest(metrics.REGISTRY).decode()
    assert 'stream_ml_drift_monitor_alarms_total{kind="drift",model="begun"} 1.0' in again


def test_every_service_begins_under_its_own_name() -> None:
    services = [folder for folder in SERVICES.iterdir() if list(folder.glob("*.py"))]
    assert len(services) == 4
    for folder in services:
        texts = "".join(path.read_text() for path in folder.glob("*.py"))
        assert f'metrics.begin("{folder.name}", ' in texts, folder.name


def test_the_reasons_of_refusals_are_those_that_people_are_told_of() -> None:
    assert set(metrics.REFUSALS) == set(EXPLANATIONS)
    assert metrics.KINDS.bounds["stream_ml_learner_refusals_total"] == {"reason": metrics.REFUSALS}


def test_a_manual_clock_goes_on_only_when_told() -> None:
    clock = ManualClock(now=10.0)
    clock.advance(2.5)
    assert (clock.now(), clock.monotonic()) == pytest.approx((12.5, 12.5))


def test_the_fronts_counters_are_shown_once_it_is_followed() -> None:
    assert b"stream_ml_predictor_call_seconds_count" not in generate_latest(metrics.REGISTRY)
    stats = {
        "calls": {"answered": 3, "overloaded": 1},
        "closed": {"idle": 2},
        "events_scored": 30,
        "events_refused": 4,
        "connections_open": 5,
        "connections_accepted": 7,
        "latency_bounds_seconds": [0.001, 0.01],
        "latency_buckets": [2, 1, 1],
        "latency_sum_seconds": 0.5,
    }
    metrics.PREDICTOR_FRONT.follow(lambda: stats)
    shown = generate_latest(metrics.REGISTRY).decode()
    for sample in (
        'stream_ml_predictor_calls_total{outcome="overloaded"} 1.0',
        'stream_ml_predictor_events_total{outcome="refused"} 4.0',
        'stream_ml_predictor_connections_closed_total{reason="idle"} 2.0',
        "stream_ml_predictor_connections 5.0",
        'stream_ml_predictor_call_seconds_bucket{le="0.01"} 3.0',
        'stream_ml_predictor_call_seconds_bucket{le="+Inf"} 4.0',
        "stream_ml_predictor_call_seconds_sum 0.5",
    ):
        assert sample in shown
