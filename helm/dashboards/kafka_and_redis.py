"""*Kafka and Redis*: whether it is ours that is slow, or what it stands on."""

from __future__ import annotations

from dataclasses import replace

from helm.dashboards.asking import OF_MODEL, increase, newest, quantile, rate
from helm.dashboards.board import Row, board
from helm.dashboards.links import KAFKA_AND_REDIS, TO_LEARNING, TO_SERVING
from helm.dashboards.panels import NONE_IS_GOOD, Query, curves, figure, objective, runbook


def text() -> str:
    """Return the dashboard."""
    return board(
        *KAFKA_AND_REDIS,
        "What our processes see of Kafka and Redis: lag by partition, how fast brokers and shards answer, "
        "what retention leaves, who owns what. The servers' own metrics are their exporters' matter.",
        [_kafka(), _topics(), _redis(), _shards()],
    )


def _kafka() -> Row:
    records = curves(
        "Lag by partition",
        "Records between the next one to learn and the partition's end.",
        "none",
        newest("stream_ml_learner_lag_records", by="model, partition"),
        links=[runbook("LearnerLags"), TO_LEARNING],
    )
    journal = curves(
        "A line of the journal",
        "Time from sending a line until it is read back: one way to the brokers and back (weights in "
        "memory).",
        "s",
        *(quantile(share, "stream_ml_learner_journal_seconds") for share in (0.5, 0.99)),
    )
    fetched = curves(
        "Batches fetched",
        "Batches that wait to be learned (weights in memory). None, and lag: learning waits for the brokers.",
        "none",
        newest("stream_ml_learner_fetch_queue_batches"),
        links=[runbook("LearnerLags")],
    )
    refused = curves(
        "Records of the feed refused",
        "Records that predictors refused in an hour, by reason: somebody else writes there, or bytes change.",
        "none",
        increase("stream_ml_predictor_feed_refused_total", by="model, reason"),
        links=[runbook("PredictorFeedRefused"), TO_SERVING],
    )
    return Row("Kafka", [records, journal, fetched, refused])


def _topics() -> Row:
    size = curves(
        "Feed",
        "Bytes sent into the feed a second.",
        "Bps",
        rate("stream_ml_learner_feed_bytes_total"),
    )
    parts = curves(
        "Rows and deltas of the feed",
        "Sent into the feed a second.",
        "suffix: /s",
        rate("stream_ml_learner_feed_rows_total", legend="{{model}}, rows"),
        rate("stream_ml_learner_feed_deltas_total", legend="{{model}}, deltas"),
    )
    retention = curves(
        "Retention left",
        "Share of a topic's retention that is not used since the last snapshot; below 50 % a snapshot is "
        "taken early, below the line an alert rings.",
        "percentunit",
        newest("stream_ml_learner_retention_margin_ratio", by="model, log", of="min"),
        objective("retention_margin_ratio"),
        maximum=1,
        links=[runbook("LearnerRetentionMarginLow")],
    )
    oldest = curves(
        "Before the oldest snapshot",
        "Offsets that a topic still has before the place where the oldest kept snapshot goes on; below 0 it "
        "cannot be followed.",
        "none",
        newest("stream_ml_learner_oldest_snapshot_margin_records", by="model, log", of="min"),
        links=[runbook("LearnerOldestSnapshotCutOff")],
    )
    return Row("Topics", [size, parts, retention, oldest.min(-1)])


def _redis() -> Row:
    away = figure(
        "Shards away",
        "Shards in Redis that did not answer when last looked at: learning waits for them, scores go on.",
        "none",
        newest("stream_ml_learner_shards_unavailable"),
        NONE_IS_GOOD,
        links=[runbook("LearnerShardUnavailable")],
        nothing="no weights in Redis",
    )
    pushed = curves(
        "Events pushed",
        "Events learned and pushed to Redis a second, by learner.",
        "suffix: /s",
        rate("stream_ml_learner_pushed_events_total", by="model, instance"),
    )
    stages = curves(
        "A batch, by stage",
        "Time of one batch with weights in Redis: p99 of pull, learn and push.",
        "s",
        quantile(0.99, "stream_ml_learner_stage_seconds", by="model, stage"),
    )
    share = curves(
        "Where the time goes",
        "Seconds a second that batches spend in each stage, of all learners together.",
        "none",
        rate("stream_ml_learner_stage_seconds_sum", by="model, stage"),
        stacked=True,
    )
    return Row("Redis", [away, pushed, stages, share], widths=[3, 7, 7, 7])


def _shards() -> Row:
    ended = curves(
        "Partitions let go of",
        "In an hour, by what a shard answered: fenced, a newer owner; moved or empty, Redis lost a server; "
        "evicts, its memory is full.",
        "none",
        increase("stream_ml_learner_ownerships_ended_total", by="model, answer"),
        links=[runbook("LearnerOwnershipsEnd")],
    )
    owned = curves(
        "Partitions owned",
        "Partitions whose lag a learner tells, by learner: with weights in Redis those that it owns.",
        "none",
        Query(
            f"count by (model, instance) (stream_ml_learner_lag_records{{{OF_MODEL}}})",
            "{{model}}, {{instance}}",
        ),
        links=[runbook("LearnerOwnershipsEnd")],
    )
    waiting = curves(
        "Events that wait",
        "Bytes of events read ahead or being learned, by learner; at the line it reads no more until Redis "
        "has taken some.",
        "bytes",
        newest("stream_ml_learner_waiting_bytes", by="model, instance"),
        replace(newest("stream_ml_learner_waiting_limit_bytes"), legend="most", objective=True),
        links=[runbook("LearnerLags")],
    )
    return Row("Who owns what", [ended, owned, waiting])
