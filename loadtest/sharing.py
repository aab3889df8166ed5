"""What `loadtest learn --weights redis` times: each function runs in a process of its own."""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import cast

import numpy as np
from redis import Redis

from loadtest.isolation import Watch
from loadtest.latencies import encode
from loadtest.model import plan
from loadtest.shared import LOOK_SECONDS, PARTITIONS, TOPIC, SharedLearner
from stream_ml._native import PartitionLearner

VALUE_BYTES = 8
FEED_SECONDS = 0.05
# Of batches, that a rate is measured by; the first is not counted.
FEWEST_ENDS = 4


def learn_backlog(url: str, folder: Path, records: Path) -> dict[str, float]:
    """Learn a file of events, one a record, as a backlog; return what that took."""
    learner = SharedLearner(url, folder)
    lines = records.read_bytes().splitlines()
    learner.fill(lines)
    watch = Watch()
    with learner.running():
        learner.wait_until_learned()
        seconds, cpu_seconds = watch.read()
    learned = learner.sharing.loop.learned
    if learned != len(lines):
        raise RuntimeError(f"{learned} events were learned of {len(lines)}: some were refused, or twice")
    return {"seconds": seconds, "cpu_seconds": cpu_seconds, "events": learned, **learner.stages()}


def learn_naively(url: str, records: Path, events: int) -> float:
    """Learn events one by one, each with an HMGET and an HSET; return how many a second."""
    client = Redis.from_url(url, protocol=2)
    learner = PartitionLearner(plan(), partition=0, shards=1, scan_threads=0)
    with records.open("rb") as file:
        lines = list(itertools.islice(file, events))
    began = time.perf_counter()
    for line in lines:
        scanned = learner.scan([line], [0])
        (ids,) = scanned.ids
        fields = _fields(ids)
        found = client.hmget("rows", fields)
        rows = b"".join(cast(bytes, value) or bytes(VALUE_BYTES) for value in found)
        _, ((changed, deltas),) = learner.learn(scanned, [rows])
        old = dict(zip(fields, np.frombuffer(rows, "<f4").reshape(-1, 2), strict=True))
        added = zip(_fields(changed), np.frombuffer(deltas, "<f4").reshape(-1, 2), strict=True)
        client.hset("rows", mapping={id: (old[id] + delta).tobytes() for id, delta in added})
    return len(lines) / (time.perf_counter() - began)


def _fields(ids: bytes) -> list[bytes]:
    return [ids[at : at + 8] for at in range(0, len(ids), 8)]


def see_paced(url: str, folder: Path, records: Path, rate: int, seconds: float) -> bytes:
    """Return a histogram of the times from an event's append to its rows, at *rate* events a second."""
    learner = SharedLearner(url, folder)
    lines = itertools.cycle(records.read_bytes().splitlines())
    latencies: list[float] = []
    with learner.running():
        learner.fill(itertools.islice(lines, PARTITIONS))
        learner.wait_until_learned()
        sent: list[tuple[int, int, float]] = []
        began, count = time.perf_counter(), 0
        while (now := time.perf_counter()) < began + seconds:
            due = int((now - began) * rate) - count
            learner.fill(itertools.islice(lines, due))
            count += due
            ends = [(p, learner.log.bounds(TOPIC, p).next) for p in range(PARTITIONS)]
            sent += [(p, end, now) for p, end in ends if due]
            fences = dict(learner.sharing.loop.fences)
            latencies += [now - at for p, end, at in sent if fences.get(p, 0) >= end]
            sent = [each for each in sent if fences.get(each[0], 0) < each[1]]
            time.sleep(LOOK_SECONDS)
        learner.wait_until_learned()
    return encode(latencies)


def learn_among(
    url: str, folder: Path, records: Path, rows: int, seconds: float, turns: int, seed: int
) -> dict[str, float]:
    """
    Learn beside *rows* other rows, in turns without, with and without a snapshot of all.

    Returns:
        bytes_per_row, the events a second of both kinds of turns, and the seconds of a snapshot.
    """
    client, learner = Redis.from_url(url), SharedLearner(url, folder)
    before = _used(client)
    learner.load(rows, seed)
    figures = {"bytes_per_row": (_used(client) - before) / rows}
    learner.kept.snapshots.take()  # so that the learner takes none at once
    lines = records.read_bytes().splitlines()
    without, beside, taking = [], [], []
    with learner.running(), _kept_behind(learner, lines):
        _rate(learner, lambda: time.sleep(seconds))
        for _ in range(turns):
            without.append(_rate(learner, lambda: time.sleep(seconds))[0])
            rate, took = _rate(learner, learner.kept.snapshots.take)
            beside.append(rate)
            taking.append(took)
        without.append(_rate(learner, lambda: time.sleep(seconds))[0])
    return {
        **figures,
        "events_per_second": float(np.median(without)),
        "events_per_second_beside": float(np.median(beside)),
        "snapshot_seconds": float(np.median(taking)),
    }


def _used(client: Redis) -> int:
    return int(client.info("memory")["used_memory"])


@contextmanager
def _kept_behind(learner: SharedLearner, lines: Sequence[bytes]) -> Iterator[None]:
    """See meanwhile that there are always events to learn, the same ones again and again."""
    stop = threading.Event()

    def feed() -> None:
        while not stop.is_set():
            fences = learner.sharing.loop.fences
            ends = sum(learner.log.bounds(TOPIC, p).next for p in range(PARTITIONS))
            if ends - sum(fences.values()) < 2 * len(lines):
                learner.fill(lines)
            for partition, fence in fences.items():
                learner.log.delete_records(TOPIC, partition, fence)
            stop.wait(FEED_SECONDS)

    feeding = threading.Thread(target=feed)
    feeding.start()
    try:
        yield
    finally:
        stop.set()
        feeding.join()


def _rate(learner: SharedLearner, work: Callable[[], object]) -> tuple[float, float]:
    """Return events a second while *work* is done, from a batch's end to another's; and its seconds."""
    ends: list[tuple[float, int]] = []
    with ThreadPoolExecutor(1) as thread:
        began = time.perf_counter()
        working = thread.submit(work)
        while not working.done() or len(ends) < FEWEST_ENDS:
            now, learned = time.perf_counter(), learner.sharing.loop.learned
            if not ends or learned != ends[-1][1]:
                ends.append((now, learned))
            if not working.done():
                took = now - began
            time.sleep(LOOK_SECONDS)
        working.result()
    # The first is where the work began, not where a batch ended.
    (first, before), (last, after) = ends[1], ends[-1]
    return (after - before) / (last - first), took
