"""*Serving*: what applications get, and from which weights."""

from __future__ import annotations

from dataclasses import replace

from helm.dashboards.asking import OF_MODEL, OF_NAMESPACE, increase, newest, quantile, rate, since
from helm.dashboards.board import Row, board
from helm.dashboards.colours import GOOD, NEUTRAL
from helm.dashboards.links import SERVING, TO_LEARNING
from helm.dashboards.panels import Query, curves, objective, runbook, states

# The front counts all models of a predictor together.
_CALLS = {"where": OF_NAMESPACE}
# Processes are known by what they say they are, whatever their jobs are called.
_OURS = f"on (namespace, job, instance) group_left(component) stream_ml_build_info{{{OF_NAMESPACE}}}"


def text() -> str:
    """Return the dashboard."""
    return board(
        *SERVING,
        "What applications get: calls, how long they take, how fresh the weights are, what the predictors "
        "refuse. Calls are of all models of a predictor together.",
        [_calls(), _connections(), _fresh(), _replica(), _loading(), _processes()],
    )


def _calls() -> Row:
    calls = curves(
        "Calls",
        "Calls answered a second, by outcome.",
        "suffix: /s",
        rate("stream_ml_predictor_calls_total", by="outcome", **_CALLS),
        links=[runbook("PredictorErrorBudgetBurns")],
        stacked=True,
    )
    events = curves(
        "Events of those calls",
        "Events scored and refused a second: a bad event in a list fails alone.",
        "suffix: /s",
        rate("stream_ml_predictor_events_total", by="outcome", **_CALLS),
    )
    latency = curves(
        "Latency",
        "A call read until its answer is written, of all predictors.",
        "s",
        *(
            quantile(share, "stream_ml_predictor_call_seconds", by="", **_CALLS)
            for share in (0.5, 0.99, 0.999)
        ),
        links=[runbook("PredictorLatencyBudgetBurns")],
    )
    slow = curves(
        "Calls slower than 10 ms",
        "Share of the calls, in five minutes and an hour.",
        "percentunit",
        Query(f"job:stream_ml_predictor_slow_calls:ratio_rate5m{{{OF_NAMESPACE}}}", "{{job}}, 5m"),
        Query(f"job:stream_ml_predictor_slow_calls:ratio_rate1h{{{OF_NAMESPACE}}}", "{{job}}, 1h"),
        objective("slow_calls_ratio"),
        links=[runbook("PredictorLatencyBudgetBurns")],
    )
    return Row("Calls", [calls, events, latency, slow])


def _connections() -> Row:
    unanswered = curves(
        "Calls unanswered",
        "Share of the calls without a score (no model yet, stale weights, overloaded), in five minutes and "
        "an hour. What the caller did wrong does not count.",
        "percentunit",
        Query(f"job:stream_ml_predictor_call_errors:ratio_rate5m{{{OF_NAMESPACE}}}", "{{job}}, 5m"),
        Query(f"job:stream_ml_predictor_call_errors:ratio_rate1h{{{OF_NAMESPACE}}}", "{{job}}, 1h"),
        objective("call_errors_ratio"),
        links=[runbook("PredictorErrorBudgetBurns")],
    )
    open_now = curves(
        "Connections",
        "Connections open, by predictor; more than the line are closed at once.",
        "none",
        newest("stream_ml_predictor_connections", by="instance", **_CALLS),
        replace(
            newest("stream_ml_predictor_connections_limit", by="job", of="min", **_CALLS),
            legend="most",
            objective=True,
        ),
        links=[runbook("PredictorConnectionsNearLimit")],
    )
    accepted = curves(
        "Connections accepted",
        "A second: as many as calls means that clients connect for each call.",
        "suffix: /s",
        rate("stream_ml_predictor_connections_accepted_total", by="instance", **_CALLS),
    )
    closed = curves(
        "Connections ended by the predictor",
        "A second, by reason.",
        "suffix: /s",
        rate("stream_ml_predictor_connections_closed_total", by="reason", **_CALLS),
        links=[runbook("PredictorTurnsClientsAway")],
    )
    return Row("Errors and connections", [unanswered, open_now, accepted, closed])


def _fresh() -> Row:
    age = curves(
        "Age of the weights",
        "Since the rows served were learned, or known to be the newest, by predictor.",
        "s",
        Query(
            f"time() - stream_ml_predictor_weights_learned_timestamp_seconds{{{OF_MODEL}}}",
            "{{model}}, {{instance}}",
        ),
        objective("weights_age_seconds"),
        links=[runbook("PredictorWeightsStale")],
    )
    delay = curves(
        "Learned until served",
        "Time from learning a row until it is served, by the predictors' clocks and the learner's.",
        "s",
        *(quantile(share, "stream_ml_predictor_apply_delay_seconds") for share in (0.5, 0.99)),
        links=[runbook("PredictorNotFresh")],
    )
    late = curves(
        "Rows served late",
        "Share of the deltas that were served later than a second after they were learned.",
        "percentunit",
        Query(f"model:stream_ml_predictor_late_rows:ratio_rate5m{{{OF_MODEL}}}", "{{model}}"),
        objective("late_rows_ratio"),
        links=[runbook("PredictorNotFresh")],
    )
    watermark = curves(
        "Event time served behind now",
        "Since the latest event time that is served; a backfill's is long ago.",
        "s",
        since("stream_ml_predictor_watermark_timestamp_seconds"),
        links=[TO_LEARNING],
    )
    return Row("How fresh", [age, delay, late, watermark])


def _replica() -> Row:
    ready = states(
        "Ready",
        "Whether a predictor answers for a model, and whether it lost touch with the feed and serves the "
        "last good weights.",
        {"0": ("no", NEUTRAL), "1": ("yes", GOOD)},
        Query(f"stream_ml_predictor_ready{{{OF_MODEL}}}", "{{model}}, {{instance}}: answers"),
        Query(f"stream_ml_predictor_stale{{{OF_MODEL}}}", "{{model}}, {{instance}}: stale"),
        links=[runbook("PredictorHasNoModel"), runbook("PredictorWeightsStale")],
    )
    behind = curves(
        "Steps behind the learner",
        "Steps learned that the slowest predictor does not serve yet.",
        "none",
        Query(
            f"max by (model) (stream_ml_learner_step{{{OF_MODEL}}}) "
            f"- min by (model) (stream_ml_predictor_step{{{OF_MODEL}}})",
            "{{model}}",
        ),
        links=[runbook("PredictorNotFresh")],
    )
    rows = curves(
        "Rows held",
        "Rows of the replica, by predictor.",
        "short",
        newest("stream_ml_predictor_rows", by="model, instance"),
    )
    applied = curves(
        "Rows applied",
        "Rows of the feed applied a second, by predictor.",
        "suffix: /s",
        rate("stream_ml_predictor_delta_rows_total", by="model, instance"),
    )
    return Row("The replica", [ready, behind, rows, applied])


def _loading() -> Row:
    deltas = curves(
        "Deltas applied",
        "Deltas of the feed applied a second, by predictor.",
        "suffix: /s",
        rate("stream_ml_predictor_deltas_total", by="model, instance"),
    )
    loads = curves(
        "Loads",
        "In an hour: weights swapped in, and times that rows were missing so that a snapshot was needed.",
        "none",
        increase("stream_ml_predictor_swaps_total", legend="{{model}}, swapped in"),
        increase("stream_ml_predictor_resyncs_total", legend="{{model}}, rows were missing"),
        links=[runbook("PredictorResyncs")],
    )
    takes = curves(
        "How long a load takes",
        "Begin of the last load until its weights were swapped in; the old ones serve meanwhile.",
        "s",
        newest("stream_ml_predictor_load_seconds"),
    )
    refused = curves(
        "Refused",
        "Snapshots and records of the feed that were refused in an hour, by reason; the last good weights "
        "serve.",
        "none",
        increase(
            "stream_ml_predictor_snapshots_refused_total",
            by="model, reason",
            legend="{{model}}, snapshot: {{reason}}",
        ),
        increase(
            "stream_ml_predictor_feed_refused_total", by="model, reason", legend="{{model}}, feed: {{reason}}"
        ),
        links=[runbook("PredictorSnapshotRefused"), runbook("PredictorFeedRefused")],
    )
    return Row("Loading", [deltas, loads, takes, refused])


def _processes() -> Row:
    cores = curves(
        "Cores",
        "Processor time a second, by process of ours.",
        "none",
        Query(
            f"rate(process_cpu_seconds_total{{{OF_NAMESPACE}}}[$__rate_interval]) * {_OURS}",
            "{{component}}, {{instance}}",
        ),
    )
    memory = curves(
        "Memory",
        "Resident memory, by process of ours.",
        "bytes",
        Query(f"process_resident_memory_bytes{{{OF_NAMESPACE}}} * {_OURS}", "{{component}}, {{instance}}"),
        links=[runbook("RestartsOften")],
    )
    files = curves(
        "File descriptors",
        "Share of the file descriptors that a process may have.",
        "percentunit",
        Query(
            f"process_open_fds{{{OF_NAMESPACE}}} / process_max_fds{{{OF_NAMESPACE}}} * {_OURS}",
            "{{component}}, {{instance}}",
        ),
        links=[runbook("FileDescriptorsRunOut")],
    )
    up = curves(
        "Up for",
        "Since a process was started.",
        "s",
        Query(
            f"(time() - process_start_time_seconds{{{OF_NAMESPACE}}}) * {_OURS}",
            "{{component}}, {{instance}}",
        ),
        links=[runbook("RestartsOften"), runbook("TargetDown")],
    )
    return Row("Processes of every service", [cores, memory, files, up])
