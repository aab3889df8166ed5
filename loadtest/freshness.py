"""`loadtest freshness`: an event is produced → the first score that reflects it, under full load."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import cycle
from pathlib import Path
from time import monotonic, perf_counter, sleep, time
from typing import Any

from confluent_kafka import Producer

from loadtest import latencies
from loadtest.isolation import beside, isolated
from loadtest.report import Report
from loadtest.stack import PRODUCER, Service, Stack
from loadtest.stream import Stream
from stream_ml.serving.client import PredictorClient

TOPIC = "events"
ALL_CORES = (0, 1)
EVENTS_PER_SECOND = 50_000
TICKS_PER_SECOND = 200
PROBES_PER_SECOND = 50
# Ids of probes are far above those of the load.
FIRST_PROBE_ID = 2**40
PROBED_SLOT = "C26"
PROBE_LOST_SECONDS = 10.0
POLL_SECONDS = 0.0005
LEARNED = "stream_ml_learner_learned_total"
FEED_ROWS = "stream_ml_learner_feed_rows_total"
SNAPSHOTS = "stream_ml_learner_snapshots_total"
METHOD = (
    "Real broker, learner and predictor services and producer on the same two cores; one producer holds "
    "50,000 generated events a second, each a record, with journal, feed, evaluations, duplicate window "
    "and snapshots on. Fifty times a second at random times a probe with a category never seen before is "
    "produced among them; a client asks the predictor over Thrift for the probe's score until the new "
    "category contributes to it. Freshness: from just before produce() to that answer."
)
BARS = {"events_per_second": "≥ 49500", "p99_ms": "≤ 100", "snapshots": "≥ 2"}


@dataclass(frozen=True, slots=True)
class Size:
    """How much a run does."""

    seconds: float
    warm_up_seconds: float
    snapshot_interval_seconds: float
    distinct_events: int


FULL = Size(seconds=66.0, warm_up_seconds=10.0, snapshot_interval_seconds=20.0, distinct_events=1_000_000)
QUICK = Size(seconds=15.0, warm_up_seconds=4.0, snapshot_interval_seconds=5.0, distinct_events=200_000)


@dataclass(frozen=True, slots=True)
class Totals:
    """The learner's counters at one moment."""

    at: float
    learned: float
    feed_rows: float
    snapshots: float

    @classmethod
    def of(cls, learner: Service) -> Totals:
        """Read them now."""
        return cls(perf_counter(), *(learner.metric(name) for name in (LEARNED, FEED_ROWS, SNAPSHOTS)))


def run(quick: bool, seed: int) -> Report:
    """Start everything, load it, probe it."""
    size = QUICK if quick else FULL
    path = Stream(size.distinct_events, seed=seed).path()
    with Stack(ALL_CORES) as stack:
        stack.create_topic(TOPIC)
        learner = stack.start_learner(
            ALL_CORES, TOPIC, snapshot_interval_seconds=size.snapshot_interval_seconds
        )
        _, port = stack.start_predictor(ALL_CORES)
        with beside(ALL_CORES, produce, stack.kafka.bootstrap, path):
            sleep(size.warm_up_seconds)
            before = Totals.of(learner)
            probed = isolated(ALL_CORES, probe, stack.kafka.bootstrap, port, size.seconds, seed)
            after = Totals.of(learner)
    return Report("freshness", METHOD, seed, quick, _figures(before, after, probed), BARS)


def _figures(before: Totals, after: Totals, probed: bytes) -> dict[str, Any]:
    seconds = after.at - before.at
    return {
        "events_per_second": round((after.learned - before.learned) / seconds),
        "p50_ms": latencies.percentile_ms(probed, 50),
        "p99_ms": latencies.percentile_ms(probed, 99),
        "max_ms": latencies.percentile_ms(probed, 100),
        "seconds": round(seconds, 1),
        "snapshots": round(after.snapshots - before.snapshots),
        "feed_rows_per_second": round((after.feed_rows - before.feed_rows) / seconds),
    }


def produce(bootstrap: str, path: Path) -> None:
    """Hold EVENTS_PER_SECOND until ended: distinct ids, event time now, the file's events over and over."""
    producer = Producer({"bootstrap.servers": bootstrap, **PRODUCER})
    bodies = cycle([line[1:] for line in path.read_bytes().splitlines()])
    started, sent = monotonic(), 0
    while True:
        while sent < (monotonic() - started) * EVENTS_PER_SECOND:
            producer.produce(TOPIC, b'{"id":%d,"time":%.6f,%b' % (sent, time(), next(bodies)))
            sent += 1
        producer.poll(0)
        sleep(1 / TICKS_PER_SECOND)


def probe(bootstrap: str, port: int, seconds: float, seed: int) -> bytes:
    """Produce probes at random times and ask for their scores; return the histogram of freshness."""
    producer = Producer({"bootstrap.servers": bootstrap, "linger.ms": 0})
    waited: list[float] = []
    open_probes: dict[bytes, float] = {}
    due = _times(seconds, seed)
    next_at = next(due, None)
    with PredictorClient([f"127.0.0.1:{port}"]) as client:
        started = perf_counter()
        while next_at is not None or open_probes:
            if next_at is not None and perf_counter() - started >= next_at:
                number = len(waited) + len(open_probes)
                open_probes[b'{"%b":"probe-%d"}' % (PROBED_SLOT.encode(), number)] = perf_counter()
                producer.produce(TOPIC, _probe_event(number))
                next_at = next(due, None)
            producer.poll(0)
            waited += _answered(client, open_probes)
            sleep(POLL_SECONDS)
    return latencies.encode(waited)


def _probe_event(number: int) -> bytes:
    identity = (FIRST_PROBE_ID + number, time(), PROBED_SLOT.encode(), number)
    return b'{"id":%d,"time":%.6f,"_label":1,"%b":"probe-%d"}' % identity


def _answered(client: PredictorClient, open_probes: dict[bytes, float]) -> list[float]:
    """Ask for the scores of all open probes; take out those that are reflected, return how long they took."""
    if not open_probes:
        return []
    events = list(open_probes)
    scores = client.score(events, contributions=True).scores
    now = perf_counter()
    waited = []
    for event, score in zip(events, scores, strict=True):
        if score.contributions and score.contributions.get(PROBED_SLOT):
            waited.append(now - open_probes.pop(event))
        elif now - open_probes[event] > PROBE_LOST_SECONDS:
            raise TimeoutError(f"{event.decode()} was not reflected within {PROBE_LOST_SECONDS} s")
    return waited


def _times(seconds: float, seed: int) -> Iterator[float]:
    """Yield the times of a Poisson process."""
    gaps = random.Random(seed)
    at = gaps.expovariate(PROBES_PER_SECOND)
    while at < seconds:
        yield at
        at += gaps.expovariate(PROBES_PER_SECOND)
