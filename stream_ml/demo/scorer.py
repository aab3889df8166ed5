"""The application of the demo: asks for scores of baskets that are about to be bought, and keeps the time."""

from __future__ import annotations

import threading
import time
from collections import deque
from types import TracebackType
from typing import Self

import numpy as np

from stream_ml.demo.events import Basket
from stream_ml.serving.client import PredictorClient

# Between two calls: about a hundred a second, a till's pace rather than a load test.
REST_SECONDS = 0.01
KEPT = 5_000


class Scorer:
    """
    Scores the newest basket again and again, from a thread that lives as long as the ``with`` block.

    Freshness of a basket is the time from its push to the first answer whose watermark lies beyond it:
    from then on every score knows it.
    """

    def __init__(self, address: str) -> None:
        self._client = PredictorClient([address], timeout_seconds=5.0)
        self._pushed: deque[tuple[float, float]] = deque()
        self.next: Basket | None = None  # about to be pushed: set by the producer
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="scorer", daemon=True)
        self._error: BaseException | None = None
        self.scores = 0
        self.latencies_seconds: deque[float] = deque(maxlen=KEPT)
        self.freshness_seconds: list[float] = []

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end()

    def pushed(self, basket: Basket) -> None:
        """Hear that a basket is on its way."""
        self._pushed.append((basket.bought_at, time.monotonic()))

    def stop(self) -> None:
        """
        End; what went wrong is told now.

        Raises:
            StreamMlError: a call failed; the demo promises that none does.
        """
        self._end()
        if self._error is not None:
            raise self._error

    def _end(self) -> None:
        self._stopping.set()
        self._thread.join()
        self._client.close()

    def freshness_p99_ms(self) -> float:
        """Return the 99th percentile of freshness in milliseconds; NaN before the first."""
        return (
            float(np.percentile(self.freshness_seconds, 99)) * 1e3 if self.freshness_seconds else float("nan")
        )

    def latency_ms(self, percentile: float) -> float:
        """Return a percentile of the newest calls' latencies in milliseconds; NaN before the first."""
        recent = list(self.latencies_seconds)
        return float(np.percentile(recent, percentile)) * 1e3 if recent else float("nan")

    def _run(self) -> None:
        try:
            while not self._stopping.wait(REST_SECONDS):
                if self.next is not None:
                    self._ask(self.next)
        except BaseException as error:  # handed to the thread that stops us
            self._error = error

    def _ask(self, basket: Basket) -> None:
        started = time.monotonic()
        answer = self._client.score(basket.lines)
        answered = time.monotonic()
        self.latencies_seconds.append(answered - started)
        self.scores += sum(score.error is None for score in answer.scores)
        # Baskets of the watermark's own second may still be on their way.
        watermark = (answer.watermark_us or 0) / 1e6
        while self._pushed and self._pushed[0][0] < watermark:
            self.freshness_seconds.append(answered - self._pushed.popleft()[1])
