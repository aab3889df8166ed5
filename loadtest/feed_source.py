"""
A feed at a steady row rate, in the place of a learner that was killed.

It repeats the rows that the learner really sent, as the next intervals of its epoch: a predictor applies what
a learner at that rate would send, and the learner's own work does not disturb the measurement.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import count
from time import monotonic, sleep, time

from stream_ml.streams.kafka import KafkaLog
from stream_ml.weights.feed import Delta, Interval, cut_into_chunks, decode_chunk, encode_chunk, feed_topic
from stream_ml.weights.rows import ROW_BYTES

INTERVAL_SECONDS = 0.02


def feed(bootstrap: str, model: str, rows_per_second: float) -> None:
    """Publish a delta every INTERVAL_SECONDS until the process is terminated."""
    log, topic = KafkaLog({"bootstrap.servers": bootstrap}), feed_topic(model)
    last, score_state, rows = _sent(log, topic)
    pieces = _pieces(rows, int(rows_per_second * INTERVAL_SECONDS) * ROW_BYTES)
    started = monotonic()
    with log.writer() as writer:
        for number in count(1):
            interval = replace(last, from_step=last.to_step, to_step=last.to_step + 1, learned_at=time())
            for partition, chunk in cut_into_chunks(Delta(interval, score_state, next(pieces), b""), 1):
                writer.send(topic, encode_chunk(chunk), partition=partition)
            last = interval
            sleep(max(0.0, started + number * INTERVAL_SECONDS - monotonic()))


def _sent(log: KafkaLog, topic: str) -> tuple[Interval, bytes, bytes]:
    """Return the last interval, its score state, and all rows of the feed so far."""
    bounds = log.bounds(topic, 0)
    reader, rows, score_state, interval, at = (
        log.reader(topic, {0: bounds.first}),
        [],
        b"",
        None,
        bounds.first,
    )
    while at < bounds.next:
        for fetch in reader.poll(1_000, 1.0):
            at = fetch.next
            for chunk in map(decode_chunk, fetch.values):
                rows.append(chunk.rows)
                interval, score_state = chunk.interval, chunk.score_state or score_state
    reader.close()
    if interval is None:
        raise RuntimeError(f"{topic} holds no delta yet: let the learner learn first")
    return interval, score_state, b"".join(rows)


def _pieces(rows: bytes, size: int) -> Iterator[bytes]:
    """Yield *size* bytes at a time, around and around."""
    at = 0
    while True:
        piece = rows[at : at + size]
        at += size
        if len(piece) < size:
            at = size - len(piece)
            piece += rows[:at]
        yield piece
