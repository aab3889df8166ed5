"""The demo: a producer pushes baskets, a learner learns them, a client scores them, all live."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextlib import ExitStack, closing
from dataclasses import dataclass
from importlib.resources import as_file, files
from pathlib import Path
from typing import Any

from stream_ml.demo.panel import Moment
from stream_ml.demo.scorer import Scorer
from stream_ml.demo.source import Source
from stream_ml.demo.top import top_features
from stream_ml.errors import RecoverableError
from stream_ml.features import compile_model
from stream_ml.local.stack import Stack
from stream_ml.local.watching import Counts, Evaluations, counts
from stream_ml.streams.paced import PacedSender

ALL_EVENTS = 1_453_005
# The frozen model learns this part; both are judged on the rest.
FROZEN_PART = 0.2
# The whole stream in a minute.
WATCHED_EVENTS_PER_SECOND = ALL_EVENTS / 60
LOOK_SECONDS = 0.25
# One basket in so many lends its values to the names of the strongest features.
SAMPLE_EVERY = 50
# After the last push; learning is far ahead of that on any machine.
CATCH_UP_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Report:
    """What `stream-ml demo --json` prints."""

    events: int
    auc: float
    logloss: float
    calibration: float
    auc_online_last80: float
    auc_frozen_last80: float
    dead_letters: int
    duplicates: int
    scores: int
    score_p50_ms: float
    score_p99_ms: float
    freshness_p99_ms: float
    seconds: float
    top_features: list[dict[str, Any]]


class Demo:
    """One run; ``show`` is handed a look at it several times a second."""

    def __init__(self, events: int, *, fast: bool, directory: Path, show: Callable[[Moment], None]) -> None:
        self._events = events
        self._events_per_second = None if fast else WATCHED_EVENTS_PER_SECOND
        self._directory = directory
        self._show = show
        self._pushed = 0
        self._sample: list[bytes] = []
        self._pushing_error: BaseException | None = None
        self._giving_up = threading.Event()
        self._looked = (time.monotonic(), 0)
        self._rate = 0.0

    def run(self) -> Report:
        """
        Push, learn and score the stream to its end.

        Raises:
            StreamMlError: a service ended, or a call for scores failed.
        """
        with as_file(files("stream_ml.demo") / "coupon.toml") as model_file:
            plan = compile_model(model_file).plan_bytes
            self._source = Source(self._events, plan, frozen_after=int(self._events * FROZEN_PART))
            with Stack(model_file, self._directory) as stack:
                learned, seconds = self._run_on(stack)
        # The learner has taken its last snapshot on the way out.
        return self._report(learned, seconds, top_features(stack.running.snapshot_store, self._sample))

    def _run_on(self, stack: Stack) -> tuple[Counts, float]:
        started = time.monotonic()
        with ExitStack() as resources:
            self._log = resources.enter_context(closing(stack.log()))
            self._evaluations = resources.enter_context(closing(Evaluations(self._log, stack.running.model)))
            self._scorer = resources.enter_context(Scorer(stack.running.predictor))
            self._push_and_look(stack)
            learned = self._wait_until_learned(stack)
            self._scorer.stop()
            seconds = time.monotonic() - started
            self._evaluations.poll()
        return learned, seconds

    def _push_and_look(self, stack: Stack) -> None:
        """Let a thread push; it has ended, well or not, when this returns or raises."""
        pushing = threading.Thread(target=self._push_all, args=(stack,), name="producer", daemon=True)
        pushing.start()
        try:
            while pushing.is_alive():
                self._look(stack)
        finally:
            self._giving_up.set()
            pushing.join()
        if self._pushing_error is not None:
            raise self._pushing_error

    def _push_all(self, stack: Stack) -> None:
        try:
            running = stack.running
            with PacedSender(
                self._log,
                running.topic,
                events_per_second=self._events_per_second,
                follow_group=running.group,
            ) as sender:
                for basket in self._source:
                    if self._giving_up.is_set():
                        return
                    self._scorer.next = basket
                    sender.send(basket.record, key=basket.key, events=len(basket.lines))
                    self._scorer.pushed(basket)
                    if sender.records % SAMPLE_EVERY == 0:
                        self._sample += basket.lines
                    self._pushed += len(basket.lines)
        except BaseException as error:  # handed to the main thread, which waits for us
            self._pushing_error = error

    def _look(self, stack: Stack) -> Counts:
        time.sleep(LOOK_SECONDS)
        stack.check()
        self._evaluations.poll()
        learned = counts(stack.running.learner_http)
        now, (before, then) = time.monotonic(), self._looked
        self._rate = (learned.all - then) / (now - before)
        self._looked = (now, learned.all)
        self._show(self._moment())
        return learned

    def _moment(self) -> Moment:
        closed = [each.figures for each in self._evaluations.closed]
        return Moment(
            pushed=self._pushed,
            events=self._events,
            events_per_second=self._rate,
            log_losses=[figures.log_loss for figures in closed],
            aucs=[figures.auc for figures in closed],
            calibrations=[figures.calibration for figures in closed],
            freshness_p99_ms=self._scorer.freshness_p99_ms(),
            latency_p50_ms=self._scorer.latency_ms(50),
            latency_p99_ms=self._scorer.latency_ms(99),
            scores=self._scorer.scores,
        )

    def _wait_until_learned(self, stack: Stack) -> Counts:
        end = time.monotonic() + CATCH_UP_SECONDS
        while (learned := self._look(stack)).all < self._pushed:
            if time.monotonic() > end:
                raise RecoverableError(
                    f"{self._pushed} events pushed, {learned.all} learned {CATCH_UP_SECONDS:.0f} s later"
                )
        return learned

    def _report(self, learned: Counts, seconds: float, top: list[dict[str, Any]]) -> Report:
        everything = self._evaluations.since(0)
        return Report(
            events=learned.all,
            auc=everything.auc,
            logloss=everything.log_loss,
            calibration=everything.calibration,
            auc_online_last80=self._evaluations.since(int(self._events * FROZEN_PART)).auc,
            auc_frozen_last80=self._source.frozen.auc,
            dead_letters=learned.dead_letters,
            duplicates=learned.duplicates,
            scores=self._scorer.scores,
            score_p50_ms=self._scorer.latency_ms(50),
            score_p99_ms=self._scorer.latency_ms(99),
            freshness_p99_ms=self._scorer.freshness_p99_ms(),
            seconds=seconds,
            top_features=top,
        )
