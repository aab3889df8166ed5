"""A predictor of a model that a real learner has learned: what `loadtest serve` and `attack` call."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice

from loadtest.calls import score_frames
from loadtest.ingest import LEARNED, records
from loadtest.stack import MODEL, Service, Stack, flush
from loadtest.stream import Stream
from stream_ml.streams.kafka import KafkaLog
from stream_ml.weights.feed import feed_topic
from tests.servers.processes import wait_until

TOPIC = "events"
ALL_CORES = (0, 1)
SERVER_CORE = (1,)
# The load, the broker and whatever feeds it: everything but the server.
OTHER_CORE = (0,)


@dataclass(frozen=True, slots=True)
class Taught:
    """
    The predictor, and what it can be asked.

    Attributes:
        frames: calls, each for the score of one event.
    """

    stack: Stack
    predictor: Service
    port: int
    frames: list[bytes]


@contextmanager
def taught(learned_events: int, called_events: int, seed: int) -> Iterator[Taught]:
    """Teach a model, and serve it on a core of its own for as long as the ``with`` block."""
    stream = Stream(learned_events, identified=True, seed=seed)
    events = list(islice(records(stream.path(), 1), called_events))
    with Stack(OTHER_CORE) as stack:
        _teach(stack, stream)
        predictor, port = stack.start_predictor(SERVER_CORE)
        yield Taught(stack, predictor, port, score_frames(events))


def _teach(stack: Stack, stream: Stream) -> None:
    """Let a real learner learn the stream, then kill it: the feed source goes on in its place."""
    stack.create_topic(TOPIC)
    producer = stack.producer()
    for value in records(stream.path(), 50):
        producer.produce(TOPIC, value)
    flush(producer)
    learner = stack.start_learner(ALL_CORES, TOPIC)
    wait_until(lambda: learner.metric(LEARNED) >= stream.events, 120, learner.process.tail)
    # A row counts as sent before the broker has it, and a killed learner takes along what is on its way.
    log, feed_log = KafkaLog({"bootstrap.servers": stack.kafka.bootstrap}), feed_topic(MODEL)
    wait_until(lambda: log.bounds(feed_log, 0).next > 0, 30, learner.process.tail)
    learner.process.kill()
