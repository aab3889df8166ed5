"""
Two runs of one model over one stream of bookings, through learner, predictor and an embedded broker.

The honest one scores a booking when it is made and pushes its labelled event when the outcome is known,
months later for most. The leak pushes the label at once, as a table of the past makes it so easy to do.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from importlib.resources import as_file, files
from pathlib import Path
from types import TracebackType
from typing import Self

import orjson

from stream_ml.errors import RecoverableError
from stream_ml.hotels.bookings import Booking
from stream_ml.local.figures import Figures
from stream_ml.local.stack import Stack
from stream_ml.local.watching import Counts, Evaluations, counts
from stream_ml.serving.client import PredictorClient
from stream_ml.streams.paced import PacedSender

BOOKINGS_A_CALL = 200
LOOK_SECONDS = 0.005
CATCH_UP_SECONDS = 60.0
# `evaluate_every` of hotels.toml; the rest of the stream is in no closed evaluation.
EVALUATED_TOGETHER = 1_000
Show = Callable[[str], None]

# Cancellations are known before stays are: the label rate breaks by its nature, nobody is to stop for that.
_LEARNER = {"label_breaker": False}


@dataclass(frozen=True, slots=True)
class Report:
    """
    What `stream-ml hotels --json` prints.

    Attributes:
        served_auc, served_log_loss, served_calibration: of what was served when the bookings were made.
        auc_when_known: of what the model says of them just before it learns their outcome.
        leak_auc: the same, had every outcome been known when the booking was made.
    """

    bookings: int
    cancelled: float
    served_auc: float
    served_log_loss: float
    served_calibration: float
    auc_when_known: float
    leak_auc: float
    dead_letters: int
    seconds: float


def run(bookings: Sequence[Booking], directory: Path, *, label_days: int, show: Show) -> Report:
    """
    Run both; *show* is told how far it is.

    Args:
        label_days: outcomes are pushed after so many days' ends together.

    Raises:
        StreamMlError: a service ended, or a call for scores failed.
    """
    started = time.monotonic()
    with _Run(directory / "honest") as honest:
        for day in honest.days(bookings, label_days):
            show(f"honest: {day}, {honest.pushed:,} of {len(bookings):,} outcomes known")
        counted = honest.finish(len(bookings))
    with _Run(directory / "leak") as leak:
        for booking in bookings:
            leak.push(booking, booking.booked_on)
        show("leak: every outcome known at once")
        leak.finish(len(bookings))
    return Report(
        bookings=len(bookings),
        cancelled=sum(booking.cancelled for booking in bookings) / len(bookings),
        served_auc=honest.served.auc,
        served_log_loss=honest.served.log_loss,
        served_calibration=honest.served.calibration,
        auc_when_known=honest.when_known.auc,
        leak_auc=leak.when_known.auc,
        dead_letters=counted.dead_letters,
        seconds=time.monotonic() - started,
    )


class _Run:
    """The services, and the hotel that uses them, for as long as the ``with`` block."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._said: dict[str, float] = {}
        self._known_until = 0.0
        self.pushed = 0

    def __enter__(self) -> Self:
        with ExitStack() as resources:
            model = resources.enter_context(as_file(files("stream_ml.hotels") / "hotels.toml"))
            self._stack = resources.enter_context(Stack(model, self._directory, learner=_LEARNER))
            running = self._stack.running
            log = resources.enter_context(closing(self._stack.log()))
            self._evaluations = resources.enter_context(closing(Evaluations(log, running.model)))
            self._predictor = resources.enter_context(PredictorClient([running.predictor]))
            self._sender = resources.enter_context(
                PacedSender(log, running.topic, follow_group=running.group)
            )
            self._resources = resources.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._resources.__exit__(kind, error, trace)

    def days(self, bookings: Sequence[Booking], label_days: int) -> Iterator[date]:
        """Live through the days; yield each. What becomes known on one is known to the scores of the next."""
        made, known = defaultdict(list), defaultdict(list)
        for booking in bookings:
            made[booking.booked_on].append(booking)
            known[booking.known_on].append(booking)
        day, number = min(made), 0
        outcomes: list[Booking] = []
        while day <= max(known):
            self._score(made[day])
            outcomes += known[day]
            number += 1
            if number % label_days == 0 or day == max(known):
                for booking in outcomes:
                    self.push(booking, day)
                self._wait_until_served()
                outcomes = []
            yield day
            day += timedelta(days=1)

    def _score(self, bookings: Sequence[Booking]) -> None:
        """Ask, when they are made, whether they will be cancelled; remember what was said."""
        if not self._predictor.models()[0].ready:
            return  # before the first outcome nobody knows anything
        for first in range(0, len(bookings), BOOKINGS_A_CALL):
            call = bookings[first : first + BOOKINGS_A_CALL]
            answer = self._predictor.score([orjson.dumps(booking.event) for booking in call])
            for booking, score in zip(call, answer.scores, strict=True):
                assert score.prediction is not None, score.error
                self._said[booking.id] = score.prediction

    def push(self, booking: Booking, day: date) -> None:
        """Push the booking's labelled event; its outcome is known in the evening of *day*."""
        evening = datetime(day.year, day.month, day.day, 20, tzinfo=UTC).timestamp()
        # One after the other, so that a watermark says which of them are learned.
        self._known_until = max(evening, self._known_until + 0.001)
        event = {"id": booking.id, "known_at": self._known_until, "cancelled": booking.cancelled}
        if booking.id in self._said:
            event["said"] = self._said.pop(booking.id)
        self._sender.send(orjson.dumps({**booking.event, **event}), key=booking.id.encode())
        self.pushed += 1

    def _wait_until_served(self) -> None:
        """Return once every score knows all that was pushed."""
        self._wait_until(
            # Half of the millisecond between two events: a float holds a time no finer than that.
            lambda: ((self._predictor.models()[0].watermark_us or 0) + 500) / 1e6 >= self._known_until
        )

    def finish(self, events: int) -> Counts:
        """Wait until everything is learned; then the figures are there."""
        self._wait_until_served()
        http = self._stack.running.learner_http
        self._wait_until(lambda: counts(http).all == events)  # the counters are renewed once in a while
        self._wait_until(lambda: self._evaluated() == events // EVALUATED_TOGETHER)
        return counts(http)

    def _evaluated(self) -> int:
        self._evaluations.poll()
        return len(self._evaluations.closed)

    def _wait_until(self, reached: Callable[[], bool]) -> None:
        end = time.monotonic() + CATCH_UP_SECONDS
        while not reached():
            self._stack.check()
            if time.monotonic() > end:
                raise RecoverableError(
                    f"{self.pushed} outcomes pushed, not all served {CATCH_UP_SECONDS:.0f} s later"
                )
            time.sleep(LOOK_SECONDS)

    @property
    def when_known(self) -> Figures:
        """What the model said just before it learned."""
        return sum((each.figures for each in self._evaluations.closed), Figures())

    @property
    def served(self) -> Figures:
        """What was served when the bookings were made."""
        return sum((each.served for each in self._evaluations.closed), Figures())
