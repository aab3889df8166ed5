"""
Every metric of every service: the one place where they are declared.

Names are ``stream_ml_<service>_<what>_<unit>``, in base units; labels are bounded
(models, partitions, reasons: a counter names every value that one beside the model may have).
Sums are counters, so that loss, normalized entropy and calibration follow by PromQL for any window.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping
from importlib.metadata import version
from typing import Any

from prometheus_client import CollectorRegistry, Gauge, GCCollector, PlatformCollector, ProcessCollector
from prometheus_client.metrics_core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector

from stream_ml.runtime.metric_kinds import Kinds

REGISTRY = CollectorRegistry()
ProcessCollector(registry=REGISTRY)
PlatformCollector(registry=REGISTRY)
GCCollector(registry=REGISTRY)

KINDS = Kinds(REGISTRY)
_counter, _total, _gauge, _histogram = KINDS.counter, KINDS.total, KINDS.gauge, KINDS.histogram

# 1-2-5 from a tenth of a millisecond to ten seconds.
LATENCY_BUCKETS_SECONDS = (*(m * 10.0**e for e in range(-4, 1) for m in (1, 2, 5)), 10.0)

# -- every service ---------------------------------------------------------------------------------------

BUILD_INFO = Gauge(
    "stream_ml_build_info",
    "1: the process is of this component (folder of services) and release.",
    ("component", "version"),
    registry=REGISTRY,
)


def begin(service: str, models: Iterable[str]) -> None:
    """
    Say which *service* this process is, and show what it counts of *models*.

    A counter that first appears with its first count hides that one from every rate. The label is called
    component: a service is something else where Prometheus finds targets.
    """
    BUILD_INFO.labels(service, version("stream-ml")).set(1)
    for model in models:
        KINDS.begin(f"stream_ml_{service}_", model)


# -- learner ---------------------------------------------------------------------------------------------

# "Since the variant began": with weights in Redis by this process, and the sums as evaluations close.
# Either way the sum over the learners of a model is right for every rate.

# Of an event, as among the dead letters.
REFUSALS = (
    "invalid_json",
    "invalid_utf8",
    "too_deep",
    "too_large",
    "wrong_type",
    "out_of_range",
    "no_label",
    "no_event_id",
    "no_timestamp",
    "future_timestamp",
)

LEARNER_LEARNED = _total("stream_ml_learner_learned_total", "Events learned since the variant began.")
LEARNER_DUPLICATES = _total(
    "stream_ml_learner_duplicates_total", "Events skipped as repeats of an event id since the variant began."
)
LEARNER_DEAD_LETTERS = _total(
    "stream_ml_learner_dead_letters_total",
    "Events refused and put among the dead letters since the variant began.",
)
LEARNER_SKIPPED = _total(
    "stream_ml_learner_skipped_total",
    "Unlabelled events skipped because the model says so, since the variant began.",
)
LEARNER_EMPTY = _total(
    "stream_ml_learner_empty_records_total", "Tombstones and blank records since the variant began."
)
LEARNER_LOSS = _total(
    "stream_ml_learner_loss_total", "Sum of importance x progressive loss: scored first, then learned."
)
LEARNER_LABELS = _total("stream_ml_learner_labels_total", "Sum of importance x label.")
LEARNER_PREDICTIONS = _total(
    "stream_ml_learner_predictions_total", "Sum of importance x progressive prediction."
)
LEARNER_IMPORTANCE = _total("stream_ml_learner_importance_total", "Sum of importance.")
LEARNER_SERVED_EXAMPLES = _total(
    "stream_ml_learner_served_examples_total",
    "Events learned that brought back the probability served when they were decided; the sums below are "
    "over these.",
)
LEARNER_SERVED_LOSS = _total(
    "stream_ml_learner_served_loss_total", "Sum of importance x loss of what was served."
)
LEARNER_SERVED_LABELS = _total("stream_ml_learner_served_labels_total", "Sum of importance x label.")
LEARNER_SERVED_PREDICTIONS = _total(
    "stream_ml_learner_served_predictions_total", "Sum of importance x probability served."
)
LEARNER_SERVED_IMPORTANCE = _total("stream_ml_learner_served_importance_total", "Sum of importance.")
LEARNER_REFUSALS = _counter(
    "stream_ml_learner_refusals_total", "Events refused by this process, by reason.", reason=REFUSALS
)
LEARNER_EVALUATIONS = _counter(
    "stream_ml_learner_evaluations_total", "Evaluations that this process closed, for the drift monitor."
)
LEARNER_PUSHED_EVENTS = _counter(
    "stream_ml_learner_pushed_events_total", "Events that this process learned and pushed to Redis."
)
LEARNER_OWNERSHIPS_ENDED = _counter(
    "stream_ml_learner_ownerships_ended_total",
    "Partitions that this process let go of, by what a shard in Redis answered; unavailable: it did not.",
    answer=("empty", "evicts", "fenced", "moved", "recut", "unavailable"),
)
LEARNER_SHARDS_UNAVAILABLE = _gauge(
    "stream_ml_learner_shards_unavailable",
    "Shards in Redis that did not answer when last looked at: learning waits for them. Alert above 0.",
)
LEARNER_STAGE_SECONDS = _histogram(
    "stream_ml_learner_stage_seconds",
    "Time of one batch with weights in Redis, by stage: pull, learn, push.",
    LATENCY_BUCKETS_SECONDS,
    "stage",
)
LEARNER_AUC = _gauge("stream_ml_learner_auc_ratio", "Progressive AUC since the variant began.")
LEARNER_STEP = _gauge("stream_ml_learner_step", "Number of the last batch learned.")
LEARNER_WRITER = _gauge("stream_ml_learner_writer", "1 while this process is the variant's writer.")
LEARNER_BREAKER_OPEN = _gauge(
    "stream_ml_learner_breaker_open", "1 while learning is stopped because labels broke; scores go on."
)
LEARNER_SILENCE = _gauge(
    "stream_ml_learner_silence",
    "1 while no events come, or none with a label, for silence_after_seconds.",
    "what",
)
LEARNER_STOPPED = _gauge(
    "stream_ml_learner_stopped", "1 while a decision stops learning, the breaker's or a person's."
)
LEARNER_WATERMARK = _gauge(
    "stream_ml_learner_watermark_timestamp_seconds",
    "Latest event time learned, seconds since 1970; absent while no event said when it was.",
)
LEARNER_LAG = _gauge(
    "stream_ml_learner_lag_records",
    "Records between the next one to learn and the partition's end.",
    "partition",
)
LEARNER_LAG_SECONDS = _gauge(
    "stream_ml_learner_lag_seconds",
    "Age of the oldest record that is not learned, at most; 0 while none is left. While nothing was "
    "learned: since this process began.",
)
LEARNER_BATCH_SECONDS = _histogram(
    "stream_ml_learner_batch_seconds", "Time to scan and learn one batch.", LATENCY_BUCKETS_SECONDS
)
LEARNER_PAUSE_SECONDS = _histogram(
    "stream_ml_learner_pause_seconds",
    "Time between two batches spent on feed, snapshot and outputs.",
    LATENCY_BUCKETS_SECONDS,
)
LEARNER_JOURNAL_SECONDS = _histogram(
    "stream_ml_learner_journal_seconds", "A step line sent until it is read back.", LATENCY_BUCKETS_SECONDS
)
LEARNER_PUBLISH_DELAY = _histogram(
    "stream_ml_learner_publish_delay_seconds",
    "A batch's last record in the event log until its rows are in the feed; with weights in Redis by shard, "
    "of the newest record that this process pushed.",
    LATENCY_BUCKETS_SECONDS,
)
LEARNER_HELD_STEPS = _gauge(
    "stream_ml_learner_held_steps", "Steps learned whose outputs wait for their line to be read back."
)
LEARNER_FETCH_QUEUE = _gauge(
    "stream_ml_learner_fetch_queue_batches", "Batches fetched and waiting to be learned."
)
LEARNER_HELD_STEPS_LIMIT = _gauge("stream_ml_learner_held_steps_limit", "The setting held_steps.")
LEARNER_FETCH_QUEUE_LIMIT = _gauge(
    "stream_ml_learner_fetch_queue_limit_batches", "The setting fetch_queue_batches."
)
LEARNER_WAITING = _gauge(
    "stream_ml_learner_waiting_bytes",
    "Events read ahead or being learned, of all partitions of this process, with weights in Redis.",
)
LEARNER_WAITING_LIMIT = _gauge(
    "stream_ml_learner_waiting_limit_bytes",
    "How many may be: redis_batches_in_flight x redis_batches_joined x batch_max_bytes.",
)
LEARNER_ROWS = _gauge(
    "stream_ml_learner_rows", "Live rows of the table; with weights in Redis those of the last snapshot."
)
LEARNER_ROWS_REFUSED = _total(
    "stream_ml_learner_rows_refused_total",
    "Times that a feature found no room for its row, since this process began: the table is full.",
)
LEARNER_ROWS_NOT_ADMITTED = _total(
    "stream_ml_learner_rows_not_admitted_total",
    "Times that a feature without a row was seen and was not admitted, since this process began.",
)
LEARNER_ROWS_EXPIRED = _total(
    "stream_ml_learner_rows_expired_total", "Rows dropped by expiry since the variant began."
)
LEARNER_TABLE_BYTES = _gauge("stream_ml_learner_table_bytes", "Memory of the table.")
LEARNER_FEED_DELTAS = _counter("stream_ml_learner_feed_deltas_total", "Deltas sent into the feed.")
LEARNER_FEED_ROWS = _counter("stream_ml_learner_feed_rows_total", "Rows sent into the feed.")
LEARNER_FEED_BYTES = _counter("stream_ml_learner_feed_bytes_total", "Bytes sent into the feed.")
LEARNER_SNAPSHOTS = _counter("stream_ml_learner_snapshots_total", "Snapshots announced by this process.")
LEARNER_SNAPSHOT_FAILURES = _counter(
    "stream_ml_learner_snapshot_failures_total",
    "Snapshots given up; learning went on, the previous one serves.",
)
LEARNER_SNAPSHOTS_BAD = _gauge(
    "stream_ml_learner_snapshots_bad", "Announced snapshots that do not verify; they are skipped."
)
LEARNER_STORE_FAILS = _gauge(
    "stream_ml_learner_snapshot_store_fails",
    "1 while what was last asked of the snapshot store failed: full, forbidden or away. Learning goes on.",
)
LEARNER_SNAPSHOT_SECONDS = _gauge(
    "stream_ml_learner_snapshot_seconds", "Begin of the last snapshot until it was announced."
)
LEARNER_SNAPSHOT_AT = _gauge(
    "stream_ml_learner_snapshot_timestamp_seconds",
    "When the last snapshot (before a process's first: the one it began with) was taken, seconds since 1970.",
)
LEARNER_SNAPSHOT_STEP = _gauge("stream_ml_learner_snapshot_step", "Step of the last announced snapshot.")
LEARNER_SNAPSHOT_BYTES = _gauge(
    "stream_ml_learner_snapshot_bytes", "Bytes of the rows of the last announced snapshot."
)
LEARNER_RETENTION_MARGIN = _gauge(
    "stream_ml_learner_retention_margin_ratio",
    "Share of the retention (bytes or time, whichever is less) not yet used since the last snapshot; below "
    "0.5 a snapshot is taken early.",
    "log",
)
LEARNER_OLDEST_SNAPSHOT_MARGIN = _gauge(
    "stream_ml_learner_oldest_snapshot_margin_records",
    "Offsets that the log still has before the place where the oldest kept snapshot goes on, of the "
    "partition with fewest; below 0 that snapshot cannot be followed any more.",
    "log",
)

# -- retrainer -------------------------------------------------------------------------------------------

RETRAINER_PROMOTIONS = _counter("stream_ml_retrainer_promotions_total", "Challengers that were let serve.")
RETRAINER_ROLLBACKS = _counter(
    "stream_ml_retrainer_rollbacks_total", "Promotions that the watch took back: the champion was better."
)
RETRAINER_WATCHED_EVENTS = _gauge(
    "stream_ml_retrainer_watched_events", "Events compared since the promotion that is being watched; else 0."
)
RETRAINER_TAKEN = _counter("stream_ml_retrainer_jobs_taken_total", "Jobs that this process took.")
RETRAINER_ENDED = _counter(
    "stream_ml_retrainer_jobs_ended_total",
    "Jobs that this process had and has no more, by how: done, failed, released, stopped, lost.",
    how=("done", "failed", "released", "stopped", "lost"),
)
RETRAINER_WAITING = _gauge("stream_ml_retrainer_jobs_waiting", "Jobs that nobody works at.")
RETRAINER_OLDEST_JOB = _gauge(
    "stream_ml_retrainer_oldest_job_seconds", "Age of the oldest job that is not over, else 0."
)
RETRAINER_FAILED = _gauge(
    "stream_ml_retrainer_failed_jobs", "Jobs that failed, whoever had them, and are not forgotten yet."
)

# -- drift monitor ---------------------------------------------------------------------------------------

DRIFT_EVALUATIONS = _counter(
    "stream_ml_drift_monitor_evaluations_total", "Evaluations that were looked at by this process."
)
DRIFT_INDEX = _gauge("stream_ml_drift_monitor_index", "Number of the last evaluation that was looked at.")
DRIFT_ALARMS = _counter(
    "stream_ml_drift_monitor_alarms_total",
    "Warnings, drifts and gaps told by this process, by kind.",
    kind=("warning", "drift", "gap"),
)
DRIFT_REPEATED = _counter("stream_ml_drift_monitor_repeated_total", "Evaluations that came again: ignored.")
DRIFT_READ_AGAIN = _counter(
    "stream_ml_drift_monitor_read_again_total", "Evaluations that were left out, and read again in the topic."
)
DRIFT_LOST = _counter("stream_ml_drift_monitor_lost_total", "Evaluations gone before they were seen.")
DRIFT_OVER = _counter("stream_ml_drift_monitor_over_total", "Evaluations of variants that are over.")
DRIFT_NOT_ASKED = _counter(
    "stream_ml_drift_monitor_not_asked_total",
    "Drifts that asked for no retraining, by why.",
    why=("not_serving", "open", "cooldown", "no_events", "unreadable"),
)
DRIFT_REFUSED = _counter("stream_ml_drift_monitor_refused_total", "Records among evaluations that are none.")

# -- predictor -------------------------------------------------------------------------------------------

PREDICTOR_CONNECTIONS_LIMIT = Gauge(
    "stream_ml_predictor_connections_limit", "The setting max_connections.", registry=REGISTRY
)
PREDICTOR_READY = _gauge("stream_ml_predictor_ready", "1 while scores of the model are answered.")
PREDICTOR_STALE = _gauge(
    "stream_ml_predictor_stale",
    "1 while the predictor has lost touch with the feed and serves the last good weights.",
)
PREDICTOR_STEP = _gauge("stream_ml_predictor_step", "Number of the last batch whose rows are served.")
PREDICTOR_ROWS = _gauge("stream_ml_predictor_rows", "Rows held.")
PREDICTOR_LEARNED_AT = _gauge(
    "stream_ml_predictor_weights_learned_timestamp_seconds",
    "When the served rows were learned or known to be the newest, seconds since 1970; age: now minus this.",
)
PREDICTOR_WATERMARK = _gauge(
    "stream_ml_predictor_watermark_timestamp_seconds",
    "Latest event time served, seconds since 1970; absent while there is none.",
)
PREDICTOR_DELTAS = _counter("stream_ml_predictor_deltas_total", "Deltas of the feed applied.")
PREDICTOR_DELTA_ROWS = _counter("stream_ml_predictor_delta_rows_total", "Rows of the feed applied.")
PREDICTOR_APPLY_DELAY = _histogram(
    "stream_ml_predictor_apply_delay_seconds", "Rows learned until they are served.", LATENCY_BUCKETS_SECONDS
)
PREDICTOR_FEED_REFUSED = _counter(
    "stream_ml_predictor_feed_refused_total",
    "Records of the feed refused, by reason.",
    reason=("damaged", "fingerprint"),
)
PREDICTOR_RESYNCS = _counter(
    "stream_ml_predictor_resyncs_total", "Times that rows were missing and a snapshot was needed."
)
PREDICTOR_SNAPSHOTS_REFUSED = _counter(
    "stream_ml_predictor_snapshots_refused_total",
    "Snapshots refused, by reason; the last good serves on.",
    reason=("corrupt", "fingerprint", "gone", "plan"),
)
PREDICTOR_SWAPS = _counter(
    "stream_ml_predictor_swaps_total", "Times that newly loaded weights were swapped in."
)
PREDICTOR_LOAD_SECONDS = _gauge(
    "stream_ml_predictor_load_seconds", "Begin of the last load until its weights were swapped in."
)


class FrontStats(Collector):
    """What the native Thrift front counts; shows nothing until told what to ask."""

    def __init__(self) -> None:
        self._ask: Callable[[], Mapping[str, Any]] | None = None
        REGISTRY.register(self)

    def follow(self, ask: Callable[[], Mapping[str, Any]]) -> None:
        """Show what *ask* returns; it is ``Front.stats``."""
        self._ask = ask

    def describe(self) -> list[Metric]:
        """Return the families without samples."""
        return list(self._families())

    def collect(self) -> Iterator[Metric]:
        """Yield the families with their samples."""
        calls, events, connections, accepted, closed, seconds = self._families()
        if self._ask is not None:
            stats = self._ask()
            for outcome, count in stats["calls"].items():
                calls.add_metric([outcome], count)
            events.add_metric(["scored"], stats["events_scored"])
            events.add_metric(["refused"], stats["events_refused"])
            connections.add_metric([], stats["connections_open"])
            accepted.add_metric([], stats["connections_accepted"])
            for reason, count in stats["closed"].items():
                closed.add_metric([reason], count)
            bounds = [*map(str, stats["latency_bounds_seconds"]), "+Inf"]
            cumulated = itertools.accumulate(stats["latency_buckets"])
            buckets = list(zip(bounds, map(float, cumulated), strict=True))
            seconds.add_metric([], buckets, stats["latency_sum_seconds"])
        yield from (calls, events, connections, accepted, closed, seconds)

    @staticmethod
    def _families() -> tuple[
        CounterMetricFamily,
        CounterMetricFamily,
        GaugeMetricFamily,
        CounterMetricFamily,
        CounterMetricFamily,
        HistogramMetricFamily,
    ]:
        return (
            CounterMetricFamily(
                "stream_ml_predictor_calls_total", "Calls answered, by outcome.", labels=("outcome",)
            ),
            CounterMetricFamily(
                "stream_ml_predictor_events_total", "Events of those calls, by outcome.", labels=("outcome",)
            ),
            GaugeMetricFamily("stream_ml_predictor_connections", "Connections open.", labels=()),
            CounterMetricFamily(
                "stream_ml_predictor_connections_accepted_total", "Connections accepted.", labels=()
            ),
            CounterMetricFamily(
                "stream_ml_predictor_connections_closed_total",
                "Connections that the predictor ended, by reason.",
                labels=("reason",),
            ),
            HistogramMetricFamily(
                "stream_ml_predictor_call_seconds", "A call read until its answer is written.", labels=()
            ),
        )


PREDICTOR_FRONT = FrontStats()
