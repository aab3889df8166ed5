"""*Is it healthy*: one screen, all that an operator reads at night."""

from __future__ import annotations

from helm.dashboards.asking import OF_MODEL, OF_NAMESPACE, newest, since
from helm.dashboards.board import Row, board
from helm.dashboards.colours import BAD, GOOD
from helm.dashboards.links import HEALTHY, TO_DRIFT, TO_KAFKA_AND_REDIS, TO_LEARNING, TO_SERVING
from helm.dashboards.panels import (
    NONE_IS_GOOD,
    Link,
    Panel,
    Query,
    curves,
    figure,
    listing,
    objective,
    rising,
    runbook,
)
from helm.dashboards.rules import alert_names, promised

_FIRING = f'ALERTS{{alertstate="firing",alertname=~"{alert_names()}",{OF_NAMESPACE}}}'
_BUILT = f"stream_ml_build_info{{{OF_NAMESPACE}}}"
_GONE_SERVICES = (
    f"count(count by (namespace, component) (max_over_time({_BUILT}[1d])) "
    f"unless on (namespace, component) count by (namespace, component) ({_BUILT}))"
)
_GONE_TARGETS = (
    f"count(up{{{OF_NAMESPACE}}} == 0 and on (namespace, job, instance) max_over_time({_BUILT}[6h]))"
)
_HERE = f"count by (component) ({_BUILT}) or 0 * count by (component) (max_over_time({_BUILT}[1d]))"
_WRITERS = f"sum by (namespace, model) (stream_ml_learner_writer{{{OF_MODEL}}})"


def text() -> str:
    """Return the dashboard."""
    return board(
        *HEALTHY,
        "One screen for whoever is woken: what rings, what is promised and not kept, who is missing. Panels "
        "lead to their runbooks and to the dashboards with the details.",
        [
            Row("", [*_counts()], height=4),
            Row("", [_firing(), _here()], height=6, widths=[16, 8]),
            Row("", [_burns("errors"), _burns("slow"), _age(), _lag()], height=6),
            Row("", [_late(), _refused(), _quality(), _snapshot()], height=6),
        ],
    )


def _counts() -> list[Panel]:
    return [
        _ringing("critical", "Get up", "Alerts of ours that fire and want somebody now."),
        _ringing("warning", "In the morning", "Alerts of ours that fire and may wait until the morning."),
        figure(
            "Missing",
            "Services of which none is scraped though one was in the last day, and targets that do not "
            "answer.",
            "none",
            Query(f"({_GONE_SERVICES} or vector(0)) + ({_GONE_TARGETS} or vector(0))", "missing"),
            NONE_IS_GOOD,
            links=[runbook("ServiceMissing"), runbook("TargetDown")],
        ),
        _burning(
            "errors", "Error budget burns", "of a month's unanswered calls", "PredictorErrorBudgetBurns"
        ),
        _burning("slow", "Latency budget burns", "of a month's slow calls", "PredictorLatencyBudgetBurns"),
        figure(
            "Writers missing",
            "Models with weights in memory that have not exactly one writer: with none nobody learns. Models "
            "in Redis have no writer.",
            "none",
            Query(f"count({_WRITERS} != 1) or vector(0)", "models"),
            NONE_IS_GOOD,
            links=[runbook("LearnerWriterNotOne"), TO_LEARNING],
        ),
    ]


def _ringing(severity: str, title: str, description: str) -> Panel:
    ringing = _FIRING.replace("{", f'{{severity="{severity}",', 1)
    query = Query(f"count({ringing}) or vector(0)", severity)
    return figure(title, f"{description} The table below names them.", "none", query, NONE_IS_GOOD)


_RATIOS = {"errors": "call_errors", "slow": "slow_calls"}


def _burning(what: str, title: str, budget: str, alert: str) -> Panel:
    ratio = f"job:stream_ml_predictor_{_RATIOS[what]}:ratio_rate1h{{{OF_NAMESPACE}}}"
    allowed = f"scalar(max(stream_ml:objective:{_RATIOS[what]}_ratio))"
    return figure(
        title,
        f"How many times too fast the budget {budget} is used up, in the last hour: at 1 it lasts exactly "
        "the month, at 14.4 two days.",
        "suffix: ×",
        # Without calls there is nothing to judge: 0 / 0 is left out.
        Query(f"max({ratio} >= 0) / {allowed}", "times"),
        rising(1, 6),
        links=[runbook(alert), TO_SERVING],
        nothing="no calls",
    )


def _firing() -> Panel:
    return listing(
        "What rings",
        "Every alert of ours that fires; its name leads to its runbook.",
        Query(_FIRING),
        columns=["severity", "alertname", "model", "component", "job", "instance", "namespace"],
        column_link=("alertname", Link("Runbook", "${runbooks}/${__value.text}.md")),
        nothing="nothing rings",
        links=[TO_LEARNING, TO_SERVING, TO_DRIFT, TO_KAFKA_AND_REDIS],
    )


def _here() -> Panel:
    return figure(
        "Who is there",
        "Processes of every service that was there in the last day; 0: none of it is.",
        "none",
        Query(_HERE, "{{component}}"),
        ((None, BAD), (1, GOOD)),
        links=[runbook("ServiceMissing"), runbook("RestartsOften")],
    )


def _burns(what: str) -> Panel:
    words = {
        "errors": (
            "Calls unanswered",
            "no model yet, stale weights, overloaded",
            "PredictorErrorBudgetBurns",
        ),
        "slow": ("Calls slower than 10 ms", "read until answered", "PredictorLatencyBudgetBurns"),
    }
    title, means, alert = words[what]
    ratio = f"job:stream_ml_predictor_{_RATIOS[what]}:ratio_rate"
    return curves(
        title,
        f"Share of the calls ({means}), of all predictors of a job together. The line is what a month may "
        "have.",
        "percentunit",
        *(
            Query(f"max by (job) ({ratio}{window}{{{OF_NAMESPACE}}})", f"{{{{job}}}}, {window}")
            for window in ("5m", "1h", "6h")
        ),
        objective(f"{_RATIOS[what]}_ratio"),
        links=[runbook(alert), TO_SERVING],
    )


def _age() -> Panel:
    return curves(
        "Age of the weights served",
        "Since the rows that are served were learned, or known to be the newest: of the best predictor of a "
        "model, and of its worst.",
        "s",
        Query(
            f"time() - max by (model) (stream_ml_predictor_weights_learned_timestamp_seconds{{{OF_MODEL}}})",
            "{{model}}, best",
        ),
        Query(
            f"time() - min by (model) (stream_ml_predictor_weights_learned_timestamp_seconds{{{OF_MODEL}}})",
            "{{model}}, worst",
        ),
        objective("weights_age_seconds"),
        links=[runbook("PredictorWeightsStale"), TO_SERVING],
    )


def _lag() -> Panel:
    return curves(
        "Lag",
        "Age of the oldest event that is not learned; 0 while none is left. Ten times the line is a page.",
        "s",
        newest("stream_ml_learner_lag_seconds"),
        objective("lag_seconds"),
        links=[runbook("LearnerLags"), TO_LEARNING, TO_KAFKA_AND_REDIS],
    )


def _late() -> Panel:
    return curves(
        "Rows served late",
        "Share of the deltas that were served later than a second after they were learned.",
        "percentunit",
        Query(f"model:stream_ml_predictor_late_rows:ratio_rate5m{{{OF_MODEL}}}", "{{model}}"),
        objective("late_rows_ratio"),
        links=[runbook("PredictorNotFresh"), TO_SERVING],
    )


def _refused() -> Panel:
    return curves(
        "Events refused",
        "Share of the events that went to the dead letters, in five minutes.",
        "percentunit",
        Query(f"model:stream_ml_learner_dead_letters:ratio_rate5m{{{OF_MODEL}}}", "{{model}}"),
        objective("dead_letters_ratio"),
        links=[runbook("LearnerDeadLetters"), TO_LEARNING],
    )


def _quality() -> Panel:
    off = promised("calibration_off_ratio")
    return curves(
        "Calibration",
        "Mean prediction / mean label of an hour: 1 is right. Served: the probability that was answered and "
        f"came back with the label. An alert rings above {1 + off:g} and below {1 / (1 + off):.3g}, where "
        "there are enough positives.",
        "none",
        Query(f"model:stream_ml_learner_calibration:ratio_rate1h{{{OF_MODEL}}}", "{{model}}, {{of}}"),
        objective("calibration_off_ratio", "most", factor="1 + "),
        links=[runbook("CalibrationOff"), runbook("NormalizedEntropyRegressed"), TO_DRIFT],
    )


def _snapshot() -> Panel:
    return curves(
        "Age of the newest snapshot",
        "Since a snapshot was announced: what came since is learned again after a crash.",
        "s",
        since("stream_ml_learner_snapshot_timestamp_seconds"),
        objective("snapshot_age_seconds"),
        links=[runbook("SnapshotOld"), runbook("SnapshotFails"), TO_LEARNING],
    )
