"""`loadtest learn --weights redis`: JSON events → rows in Redis, against one HMGET and one HSET an event."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from redis import Redis

from loadtest import sharing
from loadtest.isolation import isolated
from loadtest.latencies import percentile_ms
from loadtest.report import Report
from loadtest.shared import PARTITIONS
from loadtest.stack import on_cores
from loadtest.stream import Stream
from tests.servers.redis import RedisServer

REDIS_CORE, LEARNER_CORE = (0,), (1,)
PACED_EVENTS_PER_SECOND = 5_000
METHOD = (
    "One Redis on one core (no replica, nothing on disk), four shards in it; one learner on the other "
    "core: the service's own parts, feed included, but for the log, which is in memory and holds the "
    f"generated events of 39 fields, one a record, in {PARTITIONS} partitions. Timed from the learner's "
    "start to the last row updated, from empty shards. Pull, learn, push: seconds of the batches' "
    "stages over events; two batches are in flight and wait for each other. Naive: one HMGET and one "
    "HSET an event, parsed and learned by the same native code. Runs interleaved, the best of each "
    f"counts. Freshness: an event is appended → all its rows are updated, at {PACED_EVENTS_PER_SECOND:,} "
    "events a second. Many rows: learning beside generated ones, in turns without a snapshot "
    "of them all (median: before and after), and while one is taken."
)
BARS = {
    "events_per_second": "≥ 50000",
    "ratio_naive": "≥ 5",
    "bytes_per_row": "≤ 64",
    "rate_ratio_beside_a_snapshot": "≥ 0.8",
}


@dataclass(frozen=True, slots=True)
class Size:
    """How much a run does; *rows*, *seconds*, *turns*: of learning beside many rows."""

    events: int
    rounds: int
    naive_events: int
    paced_seconds: float
    rows: int
    seconds: float
    turns: int


FULL = Size(600_000, rounds=2, naive_events=10_000, paced_seconds=8, rows=10_000_000, seconds=20, turns=1)
QUICK = Size(300_000, rounds=1, naive_events=3_000, paced_seconds=3, rows=1_500_000, seconds=2, turns=1)


def run(quick: bool, seed: int) -> Report:
    """Measure a backlog, the naive way, freshness, and learning beside many rows."""
    size = QUICK if quick else FULL
    records = Stream(size.events, seed=seed).path()
    backlogs, naive = [], []
    for _ in range(size.rounds):
        with _redis() as (url, folder):
            backlogs.append(_backlog(url, folder, records))
        with _redis() as (url, _):
            naive.append(isolated(LEARNER_CORE, sharing.learn_naively, url, records, size.naive_events))
    with _redis() as (url, folder):
        paced = (PACED_EVENTS_PER_SECOND, size.paced_seconds)
        latencies = isolated(LEARNER_CORE, sharing.see_paced, url, folder, records, *paced)
    with _redis() as (url, folder):
        among = (size.rows, size.seconds, size.turns, seed)
        many = isolated(LEARNER_CORE, sharing.learn_among, url, folder, records, *among)
    rows = [_row(each) for each in backlogs]
    best = max(rows, key=lambda row: row["events/s"])
    alone, beside = many["events_per_second"], many["events_per_second_beside"]
    figures: dict[str, Any] = {
        "events_per_second": best["events/s"],
        "events_per_second_median": round(median(row["events/s"] for row in rows)),
        "ratio_naive": round(best["events/s"] / max(naive), 2),
        "events_per_second_naive": round(max(naive)),
        "batch_events": best["events a batch"],
        "pull_us": best["pull µs"],
        "learn_us": best["learn µs"],
        "push_us": best["push µs"],
        "learner_cpu_us": best["learner CPU µs"],
        "redis_cpu_us": best["Redis CPU µs"],
        "freshness_p50_ms": round(percentile_ms(latencies, 50), 1),
        "freshness_p99_ms": round(percentile_ms(latencies, 99), 1),
        "table_rows": size.rows,
        "bytes_per_row": round(many["bytes_per_row"], 1),
        "events_per_second_many_rows": round(alone),
        "events_per_second_beside_a_snapshot": round(beside),
        "rate_ratio_beside_a_snapshot": round(
            many["events_per_second_beside"] / many["events_per_second"], 3
        ),
        "snapshot_seconds": round(many["snapshot_seconds"], 1),
    }
    return Report("learn-redis", METHOD, seed, quick, figures, BARS, rows)


@contextmanager
def _redis() -> Iterator[tuple[str, Path]]:
    """Run a Redis on its core meanwhile; its URL, and a folder for snapshots."""
    with tempfile.TemporaryDirectory(prefix="stream-ml-loadtest-") as folder:
        with on_cores(REDIS_CORE):
            server = RedisServer(Path(folder) / "redis").start()
        try:
            yield server.url, Path(folder) / "snapshots"
        finally:
            server.stop()


def _backlog(url: str, folder: Path, records: Path) -> dict[str, float]:
    with Redis.from_url(url) as client:
        before = _cpu_seconds(client)
        took = isolated(LEARNER_CORE, sharing.learn_backlog, url, folder, records)
        return {**took, "redis_cpu_seconds": _cpu_seconds(client) - before}


def _cpu_seconds(client: Redis) -> float:
    told = client.info("cpu")
    return float(told["used_cpu_user_main_thread"] + told["used_cpu_sys_main_thread"])


def _row(took: dict[str, float]) -> dict[str, Any]:
    """Return the line of the table."""
    events = took["events"]

    def microseconds(of: str) -> float:
        return round(took[of] * 1e6 / events, 2)

    return {
        "events": int(events),
        "events/s": round(events / took["seconds"]),
        "events a batch": round(events / took["batches"]),
        "pull µs": microseconds("pull"),
        "learn µs": microseconds("learn"),
        "push µs": microseconds("push"),
        "learner CPU µs": microseconds("cpu_seconds"),
        "Redis CPU µs": microseconds("redis_cpu_seconds"),
    }
