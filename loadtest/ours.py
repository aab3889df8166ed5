"""Our learner in process: a file of events → updated rows, without Kafka."""

from __future__ import annotations

import mmap
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import xxhash

from loadtest.isolation import Watch
from loadtest.model import plan
from stream_ml._native import Learner

# A record of several events, as a producer packs them, and a call of several records, as a poll of Kafka
# gives them. On one core they stay in its cache; several threads find more work in one call.
RECORD_BYTES = 64 * 1024
BATCH_RECORDS = 4
BATCH_RECORDS_OF_THREADS = 24
IMAGE_ROWS = 1_000_000
# Room from the start, as VW's `-b 24` has for more weights; the stream brings fewer new rows than this.
EXPECTED_ROWS_PER_EVENT = 2
_MAPPED = mmap.MAP_PRIVATE | mmap.MAP_POPULATE


@dataclass(frozen=True, slots=True)
class Learned:
    """
    What our learner did in one run.

    Attributes:
        logloss: progressive.
        digest: of all rows and the learner's state, and of the table's bytes in their order.
    """

    events: int
    seconds: float
    cpu_seconds: float
    logloss: float
    rows: int
    table_bytes: int
    digest: str

    @property
    def events_per_second(self) -> float:
        """The figure that contestants are compared by."""
        return self.events / self.seconds


def learn_file(
    path: Path, scan_threads: int, *, one_event_a_record: bool = False, expected_rows: int = 0
) -> Learned:
    """
    Learn the whole file; timed from the first byte read to the last row updated, the empty table included.

    Args:
        one_event_a_record: hand over one Python object an event; else records of many events, as
            the peers read their files in blocks.
        expected_rows: 0 lets the table grow from empty.
    """
    records = _lines if one_event_a_record else blocks
    batch_records = BATCH_RECORDS_OF_THREADS if scan_threads else BATCH_RECORDS
    compiled = plan()
    watch = Watch()
    learner = Learner(compiled, scan_threads=scan_threads, expected_rows=expected_rows)
    refused = 0
    batches = records(path, batch_records)
    for batch in read_ahead(batches) if scan_threads else batches:
        refused += len(learner.learn([(0, batch, [0] * len(batch))]).refused)
    seconds, cpu_seconds = watch.read()
    metrics = learner.metrics()
    if refused:
        raise RuntimeError(f"{refused} events of {path} were refused; the stream or the scanner is broken")
    return Learned(
        events=int(metrics["learned"]),
        seconds=seconds,
        cpu_seconds=cpu_seconds,
        logloss=metrics["log_loss"],
        rows=int(metrics["rows"]),
        table_bytes=int(metrics["table_bytes"]),
        digest=_digest(learner),
    )


def blocks(path: Path, batch_records: int) -> Iterator[list[bytes]]:
    """Yield lists of *batch_records* records of about RECORD_BYTES, each of whole lines."""
    batch: list[bytes] = []
    start = 0
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, _MAPPED, mmap.PROT_READ) as data:
        while start < len(data):
            end = data.rfind(b"\n", start, start + RECORD_BYTES) + 1 or len(data)
            batch.append(data[start:end])
            start = end
            if len(batch) == batch_records:
                yield batch
                batch = []
    if batch:
        yield batch


def read_ahead(batches: Iterator[list[bytes]]) -> Iterator[list[bytes]]:
    """Yield the batches; the next one is read while one is learned, as the service does it."""
    with ThreadPoolExecutor(1) as reader:
        coming = reader.submit(next, batches, None)
        while (batch := coming.result()) is not None:
            coming = reader.submit(next, batches, None)
            yield batch


def _lines(path: Path, batch_records: int) -> Iterator[list[bytes]]:
    """Yield lists of lines, each a record of one event."""
    for records in blocks(path, batch_records):
        yield [line for record in records for line in record.splitlines()]


def _digest(learner: Learner) -> str:
    bytes_in_order = xxhash.xxh3_64()
    learner.begin_image()
    while piece := learner.take_image(IMAGE_ROWS):
        bytes_in_order.update(piece)
    learner.seal_image()
    return f"{learner.digest()} {bytes_in_order.hexdigest()}"
