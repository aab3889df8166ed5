"""The producer of the demo of drift: asks for a score of every visit, then pushes it with its label."""

from __future__ import annotations

import math
import threading
from collections import Counter, defaultdict
from contextlib import ExitStack
from dataclasses import dataclass
from types import TracebackType
from typing import Self

import numpy as np

from stream_ml.demo.visits import Visit, Visits
from stream_ml.local.figures import Figures
from stream_ml.serving.client import PredictorClient
from stream_ml.serving.results import PredictorUnavailable
from stream_ml.streams.log import Log
from stream_ml.streams.paced import PacedSender

EVENTS_PER_SECOND = 2_500.0
EVENTS_A_CALL = 100


@dataclass(frozen=True, slots=True)
class Served:
    """
    One answered call.

    Attributes:
        first: number of its first event.
        variant: who answered.
        events, loss_sum: how many they were, and their log loss by the labels that came afterwards.
    """

    first: int
    variant: str
    events: int
    loss_sum: float


class Visiting:
    """
    Pushes visits from a thread that lives as long as the ``with`` block.

    Attributes:
        sent: events pushed.
        served: the answered calls, in order; only ever appended to.
        unanswered: calls that failed after the first that was answered.
    """

    def __init__(self, log: Log, topic: str, group: str, predictor: str) -> None:
        self.sent, self.unanswered = 0, 0
        self.served: list[Served] = []
        self._visits = Visits()
        self._log, self._topic, self._group, self._predictor = log, topic, group, predictor
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="producer", daemon=True)
        self._error: BaseException | None = None

    def change(self) -> int:
        """Let the concept change; return about how many events were pushed before."""
        self._visits.changed = True
        return self.sent

    def check(self) -> None:
        """Raise what ended the thread, if something did."""
        if self._error is not None:
            raise self._error

    def loss(self, first: int, after: int, variant: str | None = None) -> float:
        """Return the log loss of what was served for events from *first* up to *after*; NaN of none."""
        judged = [
            each for each in self.served if first <= each.first < after and variant in (None, each.variant)
        ]
        return _mean(sum(each.loss_sum for each in judged), sum(each.events for each in judged))

    def losses(self, events: int) -> list[float]:
        """Return the log loss of each *events* events in turn; NaN where none was served."""
        sums, counts = defaultdict[int, float](float), Counter[int]()
        for each in self.served:
            sums[each.first // events] += each.loss_sum
            counts[each.first // events] += each.events
        return [_mean(sums[point], counts[point]) for point in range(math.ceil(self.sent / events))]

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stopping.set()
        self._thread.join()

    def _run(self) -> None:
        try:
            with ExitStack() as resources:
                client = resources.enter_context(PredictorClient([self._predictor], timeout_seconds=5.0))
                sender = resources.enter_context(
                    PacedSender(
                        self._log,
                        self._topic,
                        events_per_second=EVENTS_PER_SECOND,
                        follow_group=self._group,
                    )
                )
                while not self._stopping.is_set():
                    self._push(client, sender)
        except BaseException as error:  # handed to the main thread, which looks after us
            self._error = error

    def _push(self, client: PredictorClient, sender: PacedSender) -> None:
        visits = [self._visits.next() for _ in range(EVENTS_A_CALL)]
        # The first ones teach: there is nothing to serve yet.
        if self.sent:
            self._ask(client, visits)
        for visit in visits:
            sender.send(visit.event, partition=0)
        self.sent += len(visits)

    def _ask(self, client: PredictorClient, visits: list[Visit]) -> None:
        try:
            answer = client.score([visit.event for visit in visits])
        except PredictorUnavailable:
            self.unanswered += bool(self.served)
            return
        log_odds = np.array([score.log_odds for score in answer.scores], dtype=np.float64)
        labels = np.array([visit.bought for visit in visits], dtype=np.float64)
        loss_sum = Figures.of_scores(log_odds, labels).loss_sum
        self.served.append(Served(self.sent, answer.variant, len(visits), loss_sum))


def _mean(total: float, count: int) -> float:
    return total / count if count else math.nan
