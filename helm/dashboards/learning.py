"""*Learning*: how much is learned, how well, how far it is, and what it takes."""

from __future__ import annotations

from dataclasses import replace

from helm.dashboards.asking import OF_MODEL, WINDOW, increase, mean, newest, quantile, rate, since
from helm.dashboards.board import Row, board
from helm.dashboards.colours import BAD, GOOD, NEUTRAL
from helm.dashboards.links import LEARNING, TO_DRIFT, TO_KAFKA_AND_REDIS
from helm.dashboards.panels import Panel, Query, curves, objective, runbook, states

# Of what learning said before it learned, and of what was served and came back with the label.
_OF = "{{model}}, {{of}}"


def text() -> str:
    """Return the dashboard."""
    return board(
        *LEARNING,
        "What the learners do: events in, how good the scores are before they are learned, how far learning "
        "is, and what keeps it busy.",
        [
            _events(),
            _quality(),
            _judged(),
            _progress(),
            _time(),
            _waiting(),
            _model(),
            _snapshots(),
            _restart(),
        ],
    )


def _events() -> Row:
    learned = curves(
        "Events learned",
        "Events learned a second, by all learners of a model.",
        "suffix: /s",
        rate("stream_ml_learner_learned_total"),
    )
    others = curves(
        "Events not learned",
        "Repeats of an event id, events without a label that the model skips, tombstones and blank records, "
        "and dead letters, a second.",
        "suffix: /s",
        rate("stream_ml_learner_duplicates_total", legend="{{model}}, duplicates"),
        rate("stream_ml_learner_skipped_total", legend="{{model}}, skipped"),
        rate("stream_ml_learner_empty_records_total", legend="{{model}}, empty"),
        rate("stream_ml_learner_dead_letters_total", legend="{{model}}, dead letters"),
        links=[runbook("LearnerDeadLetters")],
    )
    refused = curves(
        "Dead letters by reason",
        "Events refused in an hour, by reason; `stream-ml dead-letters` shows them.",
        "none",
        increase("stream_ml_learner_refusals_total", by="model, reason"),
        links=[runbook("LearnerDeadLetters")],
    )
    return Row("What is learned", [learned, others, refused, _states()])


def _states() -> Panel:
    return states(
        "States",
        "Whether a model has a writer (with weights in memory), a decision stopped learning, the label "
        "breaker did, or the events are silent.",
        {"0": ("no", NEUTRAL), "1": ("yes", GOOD), "2": ("two", BAD)},
        Query(f"sum by (model) (stream_ml_learner_writer{{{OF_MODEL}}})", "{{model}}: writes"),
        Query(f"max by (model) (stream_ml_learner_stopped{{{OF_MODEL}}})", "{{model}}: stopped"),
        Query(f"max by (model) (stream_ml_learner_breaker_open{{{OF_MODEL}}})", "{{model}}: breaker open"),
        Query(f"max by (model, what) (stream_ml_learner_silence{{{OF_MODEL}}})", "{{model}}: {{what}}"),
        links=[runbook("LearnerWriterNotOne"), runbook("LearnerBreakerOpen"), runbook("LearnerSilence")],
    )


def _quality() -> Row:
    loss = curves(
        "Log loss",
        "Mean log loss of an hour, of what learning predicted before it learned (learned), and of what was "
        "answered and came back with the label (served).",
        "none",
        Query(f"model:stream_ml_learner_log_loss:mean1h{{{OF_MODEL}}}", _OF),
        links=[TO_DRIFT],
    )
    entropy = curves(
        "Normalized entropy",
        "Log loss of an hour over that of always saying the label rate: below 1 is better than knowing "
        "nothing. The alert compares with the day before.",
        "none",
        Query(f"model:stream_ml_learner_normalized_entropy:ratio1h{{{OF_MODEL}}}", f"{_OF}, 1h"),
        Query(f"model:stream_ml_learner_normalized_entropy:ratio1d{{{OF_MODEL}}}", f"{_OF}, 1d"),
        links=[runbook("NormalizedEntropyRegressed"), TO_DRIFT],
    )
    calibration = curves(
        "Calibration",
        "Mean prediction / mean label of an hour: 1 is right.",
        "none",
        Query(f"model:stream_ml_learner_calibration:ratio_rate1h{{{OF_MODEL}}}", _OF),
        objective("calibration_off_ratio", "most", factor="1 + "),
        links=[runbook("CalibrationOff")],
    )
    labels = curves(
        "Label rate",
        "Mean label of an hour, by importance.",
        "percentunit",
        Query(f"model:stream_ml_learner_label:mean1h{{{OF_MODEL}}}", _OF),
        links=[TO_DRIFT],
    )
    return Row("How good", [loss, entropy, calibration, labels])


def _judged() -> Row:
    positives = curves(
        "Positives in an hour",
        "Labels of 1 that the figures above rest on; below the line no alert judges them.",
        "none",
        Query(f"model:stream_ml_learner_positives:increase1h{{{OF_MODEL}}}", _OF),
        objective("judged_positives"),
    )
    served = curves(
        "Events that bring back what was served",
        "Events learned a second with the probability that was answered when they were decided: only these "
        "say how good served scores are.",
        "suffix: /s",
        rate("stream_ml_learner_served_examples_total"),
    )
    now = curves(
        "Log loss now",
        "Mean log loss between two points, before learning: it follows at once, and is noisy.",
        "none",
        mean("stream_ml_learner_loss_total", "stream_ml_learner_importance_total", "{{model}}"),
    )
    auc = curves(
        "AUC",
        "Of a variant's whole life, before learning; with weights in memory only. No window can be taken of "
        "it.",
        "none",
        newest("stream_ml_learner_auc_ratio"),
        maximum=1,
    )
    return Row("What it is judged by", [positives, served, now, auc])


def _progress() -> Row:
    lag = curves(
        "Lag",
        "Age of the oldest event that is not learned; 0 while none is left.",
        "s",
        newest("stream_ml_learner_lag_seconds"),
        objective("lag_seconds"),
        links=[runbook("LearnerLags"), TO_KAFKA_AND_REDIS],
    )
    records = curves(
        "Lag in records",
        "Records that are not learned, of all partitions.",
        "none",
        newest("stream_ml_learner_lag_records", of="sum"),
        links=[runbook("LearnerLags"), TO_KAFKA_AND_REDIS],
    )
    watermark = curves(
        "Event time behind now",
        "Since the latest event time that was learned; a backfill's is long ago.",
        "s",
        since("stream_ml_learner_watermark_timestamp_seconds"),
    )
    step = curves(
        "Steps",
        "Batches learned a second. The step is the version of a model.",
        "suffix: /s",
        Query(f"max by (model) (deriv(stream_ml_learner_step{{{OF_MODEL}}}{WINDOW}))", "{{model}}"),
    )
    return Row("How far", [lag, records, watermark, step])


def _time() -> Row:
    busy = curves(
        "Busy",
        "Share of the time that goes into scanning and learning batches; the rest waits for events, or is "
        "the pause beside it.",
        "percentunit",
        rate("stream_ml_learner_batch_seconds_sum"),
        maximum=1,
    )
    batch = curves(
        "A batch",
        "Time to scan and learn one batch.",
        "s",
        quantile(0.5, "stream_ml_learner_batch_seconds"),
        quantile(0.99, "stream_ml_learner_batch_seconds"),
    )
    pause = curves(
        "Between two batches",
        "Time spent on feed, snapshot and outputs between two batches.",
        "s",
        quantile(0.5, "stream_ml_learner_pause_seconds"),
        quantile(0.99, "stream_ml_learner_pause_seconds"),
    )
    journal = curves(
        "A line of the journal",
        "Time from sending a step's line until it is read back: how fast the brokers are.",
        "s",
        quantile(0.5, "stream_ml_learner_journal_seconds"),
        quantile(0.99, "stream_ml_learner_journal_seconds"),
        links=[TO_KAFKA_AND_REDIS],
    )
    return Row("What takes the time (weights in memory)", [busy, batch, pause, journal])


def _waiting() -> Row:
    fetched = curves(
        "Batches fetched",
        "Batches that wait to be learned: none waits for the brokers, as many as may for learning.",
        "none",
        newest("stream_ml_learner_fetch_queue_batches"),
        replace(newest("stream_ml_learner_fetch_queue_limit_batches"), legend="most", objective=True),
        links=[runbook("LearnerLags")],
    )
    held = curves(
        "Steps ahead of the journal",
        "Steps learned whose outputs wait for their line to be read back.",
        "none",
        newest("stream_ml_learner_held_steps"),
        replace(newest("stream_ml_learner_held_steps_limit"), legend="most", objective=True),
    )
    publish = curves(
        "Event to feed",
        "A batch's last record in the event log until its rows are in the feed.",
        "s",
        quantile(0.5, "stream_ml_learner_publish_delay_seconds"),
        quantile(0.99, "stream_ml_learner_publish_delay_seconds"),
        links=[runbook("PredictorNotFresh")],
    )
    evaluations = curves(
        "Evaluations",
        "Evaluations closed in an hour: what the drift monitor looks at.",
        "none",
        increase("stream_ml_learner_evaluations_total"),
        links=[TO_DRIFT],
    )
    return Row("What waits, and what leaves", [fetched, held, publish, evaluations])


def _model() -> Row:
    rows = curves(
        "Rows",
        "Live rows of the table; with weights in Redis those of the last snapshot.",
        "short",
        newest("stream_ml_learner_rows"),
    )
    size = curves(
        "Memory of the table",
        "Bytes of the table, with weights in memory.",
        "bytes",
        newest("stream_ml_learner_table_bytes"),
        links=[runbook("RestartsOften")],
    )
    refused = curves(
        "Features without a row",
        "Times a second that a feature found no room for its row (the table is full), and that one was not "
        "admitted; with weights in memory.",
        "suffix: /s",
        rate("stream_ml_learner_rows_refused_total", legend="{{model}}, no room"),
        rate("stream_ml_learner_rows_not_admitted_total", legend="{{model}}, not admitted"),
        links=[runbook("LearnerTableFull")],
    )
    expired = curves(
        "Rows expired",
        "Rows dropped by expiry a second, with weights in memory.",
        "suffix: /s",
        rate("stream_ml_learner_rows_expired_total"),
    )
    return Row("The model", [rows, size, refused, expired])


def _snapshots() -> Row:
    age = curves(
        "Age of the newest",
        "Since a snapshot was announced: what came since is learned again after a crash.",
        "s",
        since("stream_ml_learner_snapshot_timestamp_seconds"),
        objective("snapshot_age_seconds"),
        links=[runbook("SnapshotOld")],
    )
    takes = curves(
        "How long one takes",
        "Begin of the last snapshot until it was announced.",
        "s",
        newest("stream_ml_learner_snapshot_seconds"),
    )
    size = curves(
        "Size",
        "Bytes of the rows of the last snapshot.",
        "bytes",
        newest("stream_ml_learner_snapshot_bytes"),
    )
    told = curves(
        "Announced and given up",
        "Snapshots announced in an hour, and such as were given up.",
        "none",
        increase("stream_ml_learner_snapshots_total", legend="{{model}}, announced"),
        increase("stream_ml_learner_snapshot_failures_total", legend="{{model}}, given up"),
        links=[runbook("SnapshotFails")],
    )
    return Row("Snapshots", [age, takes, size, told])


def _restart() -> Row:
    behind = curves(
        "Steps since the newest snapshot",
        "Steps that a restart learns again.",
        "none",
        Query(
            f"max by (model) (stream_ml_learner_step{{{OF_MODEL}}}) "
            f"- max by (model) (stream_ml_learner_snapshot_step{{{OF_MODEL}}})",
            "{{model}}",
        ),
    )
    bad = curves(
        "Bad snapshots, failing store",
        "Announced snapshots that do not verify, and 1 while the store fails.",
        "none",
        replace(newest("stream_ml_learner_snapshots_bad"), legend="{{model}}, do not verify"),
        replace(newest("stream_ml_learner_snapshot_store_fails"), legend="{{model}}, store fails"),
        links=[runbook("SnapshotDamaged"), runbook("SnapshotFails")],
    )
    return Row("What a restart needs", [behind, bad])
