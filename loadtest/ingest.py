"""`loadtest ingest`: a backlog in Kafka → learned, against what reading alone and learning alone could do."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter, sleep
from typing import Any

from confluent_kafka import Message

from loadtest.isolation import isolated
from loadtest.model import plan
from loadtest.report import Report
from loadtest.stack import Service, Stack
from loadtest.stream import Stream
from stream_ml._native import Learner

FULL_EVENTS = 3_000_000
QUICK_EVENTS = 400_000
ALL_CORES = (0, 1)
ONE_CORE = (1,)
EVENTS_PER_RECORD = (1, 50)
POLL_SECONDS = 0.05
LONGEST_SECONDS = 300.0
BATCH_RECORDS = 5_000
# A negative timestamp of a record is none: event time is not compared with it.
UNKNOWN_TIME = -1
LEARNED = "stream_ml_learner_learned_total"
METHOD = (
    "Generated events with ids wait in one partition of a real broker on the same two cores, one event a "
    "record and then 50. The learner service (journal, feed, evaluations, duplicate window and snapshots "
    "on) learns them: speed from just before its first batch to the last. Against it, in the same run: "
    "consume(5000) and value() of the same records with the same client settings, and the same records, "
    "already in memory, learned in process on one core. ratio_limit: ours over the smaller of the two, "
    "the worse of both record sizes."
)
BARS = {"ratio_limit": "≥ 0.6"}


@dataclass(frozen=True, slots=True)
class Speeds:
    """Events a second, three ways, of the same records."""

    events_per_record: int
    service: float
    consume: float
    in_process: float

    @property
    def ratio(self) -> float:
        """Our service against the smaller of the two limits."""
        return self.service / min(self.consume, self.in_process)

    def row(self) -> dict[str, Any]:
        """Return the line of the table."""
        return {
            "events a record": self.events_per_record,
            "service events/s": round(self.service),
            "consume() alone events/s": round(self.consume),
            "in-process learner events/s": round(self.in_process),
            "ratio": round(self.ratio, 3),
        }


def run(quick: bool, seed: int) -> Report:
    """Measure both record sizes on one broker."""
    stream = Stream(QUICK_EVENTS if quick else FULL_EVENTS, identified=True, seed=seed)
    path = stream.path()
    with Stack(ALL_CORES) as stack:
        single, packed = (_measure(stack, path, stream.events, size) for size in EVENTS_PER_RECORD)
    figures = {
        "events_per_second": round(single.service),
        "events_per_second_packed": round(packed.service),
        "ratio_limit": round(min(single.ratio, packed.ratio), 3),
        "ratio_single": round(single.ratio, 3),
        "ratio_packed": round(packed.ratio, 3),
    }
    return Report("ingest", METHOD, seed, quick, figures, BARS, [single.row(), packed.row()])


def _measure(stack: Stack, path: Path, events: int, events_per_record: int) -> Speeds:
    topic = f"events-{events_per_record}"
    stack.fill(topic, records(path, events_per_record))
    consume = _consume(stack, topic, events // events_per_record) * events_per_record
    in_process = isolated(ONE_CORE, learn_in_process, path, events_per_record)
    learner = stack.start_learner(ALL_CORES, topic, model=topic)
    service = learned_per_second(learner, events)
    learner.stop()
    return Speeds(events_per_record, service, consume, in_process)


def records(path: Path, events_per_record: int) -> Iterator[bytes]:
    """Yield the lines of the file, *events_per_record* to a record."""
    with path.open("rb") as file:
        while record := b"".join(line for _, line in zip(range(events_per_record), file, strict=False)):
            yield record.removesuffix(b"\n")


def learn_in_process(path: Path, events_per_record: int) -> float:
    """Return events a second of the learner alone: records in memory → updated rows."""
    values = list(records(path, events_per_record))
    size = BATCH_RECORDS // events_per_record
    batches = [values[at : at + size] for at in range(0, len(values), size)]
    learner = Learner(plan(identified=True), scan_threads=0)
    started = perf_counter()
    learned = sum(learner.learn([(0, batch, [UNKNOWN_TIME] * len(batch))]).learned for batch in batches)
    return learned / (perf_counter() - started)


def _consume(stack: Stack, topic: str, wanted: int) -> float:
    """Return records a second of reading alone, from the first record that came to the last."""
    consumer = stack.consumer(topic)
    first = consumer.consume(1, LONGEST_SECONDS)
    started, count = perf_counter(), len(first)
    while count < wanted:
        messages = consumer.consume(BATCH_RECORDS, 1.0)
        count += len(list(map(Message.value, messages)))
        if perf_counter() - started > LONGEST_SECONDS:
            raise TimeoutError(f"{topic}: {count} of {wanted} records came within {LONGEST_SECONDS} s")
    seconds = perf_counter() - started
    consumer.close()
    return count / seconds


def learned_per_second(learner: Service, events: int, counters: Sequence[str] = (LEARNED,)) -> float:
    """
    Return events a second of the service, from just before the first batch it shows to the last.

    Args:
        counters: their sum says how many events the service has dealt with.
    """

    def dealt_with() -> float:
        return sum(map(learner.metric, counters))

    deadline = perf_counter() + LONGEST_SECONDS
    first = last = (perf_counter(), dealt_with())
    while last[1] < events:
        sleep(POLL_SECONDS)
        now = (perf_counter(), dealt_with())
        if now[1] == first[1]:
            first = now
        elif now[1] > last[1]:
            last = now
        if now[0] > deadline:
            raise TimeoutError(f"{now[1]:.0f} of {events} events were learned within {LONGEST_SECONDS} s")
    if first is last:
        raise RuntimeError(f"{events} events were learned before they could be watched; take more")
    return (last[1] - first[1]) / (last[0] - first[0])
