"""Who pushes events and who asks for scores while faults come and go, and what may be wrong with them."""

from __future__ import annotations

import itertools
import random
import threading
from collections.abc import Callable, Mapping

import orjson

from stream_ml.errors import StreamMlError
from stream_ml.serving.client import PredictorClient
from stream_ml.streams.kafka import KafkaLog

MODEL = """
name = "{name}"
event_id = "id"
label = "label"
served = "served"
unlabelled = "skip"

[features]
user = "user"
page = "page"

[learner]
alpha = 0.1
evaluate_every = 200
{more}
"""
RATES = {"u0": 0.1, "u1": 0.5, "u2": 0.8}
TICK_SECONDS = 0.05
EVENTS_PER_TICK = 10


class Producer:
    """
    Pushes 200 events a second, whose label follows from the user by chance.

    Attributes:
        paused: pushes nothing.
        broken: share of the events that are no JSON.
        rates: of a positive label, by user; None leaves the label out.
        served: what the application says that it served, of the true rate.
        pages: how many there are.
    """

    def __init__(self, kafka: Mapping[str, str], topic: str) -> None:
        self.log = KafkaLog(kafka, unavailable_after_seconds=300)
        self.log.ensure_topic(topic, 1)
        self.topic, self.sent = topic, 0
        self.mend()
        self._random = random.Random(topic)
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._produce, daemon=True)

    def mend(self) -> None:
        """Push what is right from now on."""
        self.paused, self.broken, self.pages = False, 0.0, 20
        self.rates: dict[str, float] | None = RATES
        self.served: Callable[[float], float] = lambda rate: rate
        self.believe()

    def believe(self) -> None:
        """Let the application serve what labels follow now."""
        self._believed = self.rates or RATES

    def start(self) -> None:
        self._thread.start()

    def close(self) -> None:
        self._ended.set()
        self._thread.join()
        self.log.close()

    def _produce(self) -> None:
        with self.log.writer() as writer:
            while not self._ended.wait(TICK_SECONDS):
                for _ in range(0 if self.paused else EVENTS_PER_TICK):
                    writer.send(self.topic, self._event(), partition=0)

    def _event(self) -> bytes:
        self.sent += 1
        user = f"u{self._random.randrange(3)}"
        event = {"id": f"e{self.sent}", "user": user, "page": f"p{self._random.randrange(self.pages)}"}
        event["served"] = self.served(self._believed[user])
        if self.rates is not None:
            event["label"] = int(self._random.random() < self.rates[user])
        said = orjson.dumps(event)
        return said[:-1] if self._random.random() < self.broken else said


class Caller:
    """
    Asks for scores of every model, in turn.

    Attributes:
        pause_seconds: before each call. Usually so long that latencies are not judged: the machine of a test
            has fewer cores than processes.
        events: of a call.
        max_age_seconds: of the weights, that the application still takes; None: any.
        failed: what was not answered.
    """

    def __init__(self, addresses: list[str], models: list[str]) -> None:
        self.answered, self.failed, self.pause_seconds = 0, list[str](), 1.0
        self.mend()
        self._addresses, self._models = addresses, models
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._call, daemon=True)

    def mend(self) -> None:
        """Ask what is usual from now on."""
        self.events = [orjson.dumps({"user": "u1", "page": "p3"})]
        self.max_age_seconds: float | None = None

    def start(self) -> None:
        self._thread.start()

    def close(self) -> None:
        self._ended.set()
        self._thread.join()

    def _call(self) -> None:
        with (
            PredictorClient(self._addresses, timeout_seconds=5) as patient,
            # Who asks for what nobody has waits and asks again until its time is over.
            PredictorClient(self._addresses, timeout_seconds=0.2) as choosy,
        ):
            for model in itertools.cycle(self._models):
                if self._ended.wait(self.pause_seconds):
                    return
                client = patient if self.max_age_seconds is None else choosy
                try:
                    client.score(self.events, model=model, max_weights_age_seconds=self.max_age_seconds)
                    self.answered += 1
                except StreamMlError as error:
                    self.failed.append(repr(error))
