"""Events that come all the while, at a rate that a scenario changes as it goes."""

from __future__ import annotations

import multiprocessing
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from itertools import cycle
from multiprocessing.sharedctypes import Synchronized
from pathlib import Path
from time import monotonic, sleep, time

from confluent_kafka import Producer

from loadtest.isolation import beside
from loadtest.stack import PRODUCER

TICK_SECONDS = 0.005
EVENTS_PER_RECORD = 10
QUEUE_SECONDS = 0.1

_spawning = multiprocessing.get_context("spawn")


class Tap:
    """
    How much comes.

    Attributes:
        rate: events a second, from now on.
        pushed: events so far.
    """

    def __init__(self, events_per_second: float) -> None:
        self.rate: Synchronized[float] = _spawning.Value("d", events_per_second)
        self.pushed: Synchronized[int] = _spawning.Value("q", 0)


@contextmanager
def pushing(cores: Collection[int], bootstrap: str, topic: str, events: Path, tap: Tap) -> Iterator[None]:
    """Push the file's events over and over meanwhile, each with an id of its own and the time of now."""
    with beside(cores, push, bootstrap, topic, events, tap.rate, tap.pushed):
        yield


def push(
    bootstrap: str, topic: str, events: Path, rate: Synchronized[float], pushed: Synchronized[int]
) -> None:
    """Do so until ended."""
    producer = Producer({"bootstrap.servers": bootstrap, **PRODUCER})
    bodies = cycle([line[1:] for line in events.read_bytes().splitlines()])
    due, before = 0.0, monotonic()
    while True:
        now = monotonic()
        due, before = due + rate.value * (now - before), now
        while due >= EVENTS_PER_RECORD:
            first = pushed.value
            numbers = range(first, first + EVENTS_PER_RECORD)
            lines = [b'{"id":%d,"time":%.6f,%b' % (number, time(), next(bodies)) for number in numbers]
            _produce(producer, topic, b"\n".join(lines))
            pushed.value, due = first + EVENTS_PER_RECORD, due - EVENTS_PER_RECORD
        producer.poll(0)
        sleep(TICK_SECONDS)


def _produce(producer: Producer, topic: str, value: bytes) -> None:
    while True:
        try:
            producer.produce(topic, value)
            return
        except BufferError:
            producer.poll(QUEUE_SECONDS)
