"""*Drift and retraining*: is what is learned still what it was, and what is done about it."""

from __future__ import annotations

from helm.dashboards.asking import OF_MODEL, increase, newest
from helm.dashboards.board import Row, board
from helm.dashboards.links import DRIFT, TO_LEARNING
from helm.dashboards.panels import Query, curves, objective, runbook


def text() -> str:
    """Return the dashboard."""
    return board(
        *DRIFT,
        "Whether what is learned is still what it was, whether the drift monitor keeps up, and what the "
        "retrainers make of it.",
        [_told(), _monitor(), _jobs(), _promoted()],
        since="now-24h",
    )


def _told() -> Row:
    alarms = curves(
        "Warnings, drifts, gaps",
        "Told by the drift monitor in an hour, by kind; `<model>.drift` says which statistic and segment.",
        "none",
        increase("stream_ml_drift_monitor_alarms_total", by="model, kind"),
        links=[runbook("DriftFound"), runbook("DriftWithoutRetrain")],
    )
    asked = curves(
        "Drifts that asked for nothing",
        "Drifts of an hour that asked for no retraining, by why.",
        "none",
        increase("stream_ml_drift_monitor_not_asked_total", by="model, why"),
        links=[runbook("DriftWithoutRetrain")],
    )
    entropy = curves(
        "Normalized entropy",
        "Of an hour against that of a day: what drifts shows here, where it costs something.",
        "none",
        Query(f"model:stream_ml_learner_normalized_entropy:ratio1h{{{OF_MODEL}}}", "{{model}}, {{of}}, 1h"),
        Query(f"model:stream_ml_learner_normalized_entropy:ratio1d{{{OF_MODEL}}}", "{{model}}, {{of}}, 1d"),
        links=[runbook("NormalizedEntropyRegressed"), TO_LEARNING],
    )
    labels = curves(
        "Label rate",
        "Mean label of an hour against that of a day.",
        "percentunit",
        Query(f"model:stream_ml_learner_label:mean1h{{{OF_MODEL}}}", "{{model}}, {{of}}, 1h"),
        Query(f"model:stream_ml_learner_label:mean1d{{{OF_MODEL}}}", "{{model}}, {{of}}, 1d"),
        links=[runbook("LearnerBreakerOpen"), TO_LEARNING],
    )
    return Row("What was told", [alarms, asked, entropy, labels])


def _monitor() -> Row:
    looked = curves(
        "Evaluations",
        "Closed by the learners and looked at by the monitor, in an hour: as many of each.",
        "none",
        increase("stream_ml_learner_evaluations_total", legend="{{model}}, closed"),
        increase("stream_ml_drift_monitor_evaluations_total", legend="{{model}}, looked at"),
        links=[runbook("DriftMonitorBehind")],
    )
    index = curves(
        "Newest evaluation",
        "Number of the last evaluation that was looked at; a new variant begins anew.",
        "none",
        newest("stream_ml_drift_monitor_index"),
        links=[runbook("DriftMonitorBehind")],
    )
    missed = curves(
        "Missed",
        "In an hour: evaluations that were gone before they were seen, and records that are none.",
        "none",
        increase("stream_ml_drift_monitor_lost_total", legend="{{model}}, gone"),
        increase("stream_ml_drift_monitor_refused_total", legend="{{model}}, are none"),
        links=[runbook("DriftMonitorMissesEvaluations")],
    )
    again = curves(
        "Ignored and read again",
        "In an hour: evaluations that came twice, that were left out and read again, or whose variant is "
        "over.",
        "none",
        increase("stream_ml_drift_monitor_repeated_total", legend="{{model}}, twice"),
        increase("stream_ml_drift_monitor_read_again_total", legend="{{model}}, read again"),
        increase("stream_ml_drift_monitor_over_total", legend="{{model}}, variant over"),
    )
    return Row("The drift monitor", [looked, index, missed, again])


def _jobs() -> Row:
    oldest = curves(
        "Oldest job",
        "Age of the oldest retrain job that is not over, else 0; `stream-ml jobs` lists them.",
        "s",
        newest("stream_ml_retrainer_oldest_job_seconds"),
        objective("retrain_seconds"),
        links=[runbook("RetrainStuck")],
    )
    waiting = curves(
        "Jobs waiting",
        "Jobs that nobody works at.",
        "none",
        newest("stream_ml_retrainer_jobs_waiting"),
        links=[runbook("RetrainStuck")],
    )
    taken = curves(
        "Jobs taken",
        "Jobs that a retrainer took, in six hours.",
        "none",
        increase("stream_ml_retrainer_jobs_taken_total", "6h"),
        links=[runbook("DriftWithoutRetrain")],
    )
    ended = curves(
        "Jobs ended",
        "Jobs that a retrainer had and has no more, in six hours, by how.",
        "none",
        increase("stream_ml_retrainer_jobs_ended_total", "6h", by="model, how"),
        links=[runbook("RetrainFails")],
    )
    return Row("Retrain jobs", [oldest, waiting, taken, ended])


def _promoted() -> Row:
    decided = curves(
        "Promotions and rollbacks",
        "Challengers that were let serve, and promotions that were taken back, in a day.",
        "none",
        increase("stream_ml_retrainer_promotions_total", "1d", legend="{{model}}, promoted"),
        increase("stream_ml_retrainer_rollbacks_total", "1d", legend="{{model}}, taken back"),
        links=[runbook("RollbackHappened")],
    )
    watched = curves(
        "Events watched",
        "Events compared since the promotion that is being watched; 0 while none is.",
        "short",
        newest("stream_ml_retrainer_watched_events"),
    )
    calibration = curves(
        "Calibration",
        "Mean prediction / mean label of an hour: 1 is right.",
        "none",
        Query(f"model:stream_ml_learner_calibration:ratio_rate1h{{{OF_MODEL}}}", "{{model}}, {{of}}"),
        links=[runbook("CalibrationOff")],
    )
    return Row("Who serves", [decided, watched, calibration])
