"""The demo of the loop: what sells changes, the monitor tells it, a better model is found, and serves."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from dataclasses import asdict, dataclass
from importlib.resources import as_file, files
from pathlib import Path
from typing import Any, TypeVar

import orjson

from stream_ml.demo.visiting import EVENTS_PER_SECOND, Visiting
from stream_ml.errors import StreamMlError
from stream_ml.learning.topics import drifts_topic
from stream_ml.local.stack import Stack
from stream_ml.retraining.asking import DEFAULT_GRID
from stream_ml.retraining.jobs import JOBS_TOPIC, Job, Window, encode_job, ensure_jobs, job_id
from stream_ml.retraining.queue import Queue
from stream_ml.runtime.clock import SystemClock
from stream_ml.streams.log import Log, Reader
from stream_ml.weights.journal import JournalReader
from stream_ml.weights.state import JournalState

# Until the monitor knows what is usual: some forty evaluations of 500 events.
CALM_EVENTS = 24_000
# Of these a quarter trains; the gate wants 32 blocks of 500 of the rest.
WINDOW_EVENTS = 24_000
TRAIN_SHARE = 0.25
# The last ones before the change, when the model has settled.
CALM_JUDGED = 5_000
WATCH_EVENTS = 10_000
LOOK_SECONDS = 0.25
# One point of the curve.
EVENTS_A_POINT = 1_000
# How long each stage may take on a busy machine beyond the events that it waits for.
PATIENCE_SECONDS = 150.0
# At the moment of the alarm nearly all of the last events are of before: what the gate is to compare has
# still to come. So the job is asked for here, and later.
MONITOR = {"retrain_events": 0}
RETRAINER = {
    "lease_seconds": 10,
    "look_interval_seconds": 0.2,
    "train_share": TRAIN_SHARE,
    "min_compared_events": 5_000,
    "watch_events": WATCH_EVENTS,
    "device": "cpu",
}
LEARNER = {"snapshot_interval_seconds": 3.0}

Found = TypeVar("Found")


class StageMissing(StreamMlError):
    """A stage of the loop did not come in time."""


@dataclass
class DriftReport:
    """
    What `stream-ml demo-drift --json` prints; None where a stage did not come.

    Attributes:
        alarm_after_events: learned since the change, when the monitor told it.
        statistic, before, after: what it told.
        job, seconds_retraining: of the retraining, and how long it took.
        winner, difference, interval: who saves how much log loss an event, and the interval of it.
        promoted: the variant that serves instead.
        kept: whether that is so after the watch, too.
        loss_calm, loss_before, loss_after: log loss of what was served: before the change; after it by the
            old variant, in the last events before the promotion; by the new one.
        unanswered: calls for scores that failed.
        report: folder of the page.
    """

    changed_at: int | None = None
    alarm_after_events: int | None = None
    statistic: str | None = None
    before: float | None = None
    after: float | None = None
    job: str | None = None
    seconds_retraining: float | None = None
    winner: str | None = None
    difference: float | None = None
    interval: list[float] | None = None
    promoted: str | None = None
    kept: bool | None = None
    loss_calm: float | None = None
    loss_before: float | None = None
    loss_after: float | None = None
    unanswered: int = 0
    report: str | None = None
    events: int = 0
    seconds: float = 0.0
    missing: str | None = None


@dataclass(frozen=True, slots=True)
class Moment:
    """
    One look at the running demo.

    Attributes:
        losses: of what was served, a point for so many events.
        doing, progress: what is waited for, and how far it is (0 to 1), where that is known.
    """

    sent: int
    variant: str
    losses: list[float]
    doing: str
    progress: float | None


class DriftDemo:
    """One run; *say* is told of each thing that happens, *show* gets a look several times a second."""

    def __init__(
        self,
        directory: Path,
        reports: Path,
        *,
        say: Callable[[str], None],
        show: Callable[[Moment], None],
        bootstrap: str | None = None,
    ) -> None:
        self._directory, self._reports, self._bootstrap = directory, reports.absolute(), bootstrap
        self._say, self._show = say, show
        self.report = DriftReport()

    def run(self) -> DriftReport:
        """
        Let the loop go round once.

        Raises:
            StageMissing: a stage did not come; `report` has what came before.
            StreamMlError: a service ended.
        """
        started = time.monotonic()
        try:
            with ExitStack() as resources:
                self._begin(resources)
                self._go_round()
        except StageMissing as error:
            self.report.missing = str(error)
            raise
        finally:
            self.report.seconds = time.monotonic() - started
        return self.report

    def _begin(self, resources: ExitStack) -> None:
        model_file = resources.enter_context(as_file(files("stream_ml.demo") / "visits.toml"))
        self._stack = resources.enter_context(
            Stack(
                model_file,
                self._directory,
                bootstrap=self._bootstrap,
                create=1,
                learner=LEARNER,
                monitor=MONITOR,
                retrainer={**RETRAINER, "reports": str(self._reports)},
            )
        )
        running = self._stack.running
        self._model = running.model
        self._log: Log = resources.enter_context(closing(self._stack.log()))
        self._log.ensure_topic(drifts_topic(self._model), 1, settings={"cleanup.policy": "delete"})
        ensure_jobs(self._log)
        self._drifts = resources.enter_context(
            closing(self._log.reader(drifts_topic(self._model), {0: 0}, keys=False))
        )
        self._journal = resources.enter_context(JournalReader.open(self._log, f"{self._model}.journal"))
        self._queue = resources.enter_context(closing(Queue(self._log, "demo", SystemClock())))
        self._visits = resources.enter_context(
            Visiting(self._log, running.topic, running.group, running.predictor)
        )
        self._say("learner, predictor, drift monitor and retrainer run; visitors come")

    def _go_round(self) -> None:
        report = self.report
        self._events("the model learns what sells", CALM_EVENTS)
        changed = report.changed_at = self._visits.change()
        report.loss_calm = self._visits.loss(changed - CALM_JUDGED, changed)
        self._say(
            f"after {changed:,} events what sells changes: log loss was {report.loss_calm:.4f}. "
            "Nobody tells the services"
        )
        alarm = self._until("the drift monitor looks", lambda: self._alarm(changed))
        self._tell_alarm(alarm, changed)
        self._events("events of the new kind come", changed + WINDOW_EVENTS)
        job = report.job = self._asked(alarm)
        self._retrain(job)
        self._promotion()
        self._watch()

    def _alarm(self, changed: int) -> dict[str, Any] | None:
        for said in _records(self._drifts):
            if said["kind"] == "drift":
                if said["learned_to"] > changed:
                    return said
                self._say(f"a false alarm: {said['statistic']}, before anything changed")
        return None

    def _tell_alarm(self, alarm: dict[str, Any], changed: int) -> None:
        report = self.report
        report.alarm_after_events = alarm["learned_to"] - changed
        report.statistic, report.before, report.after = (
            alarm[key] for key in ("statistic", "before", "after")
        )
        self._say(
            f"[bold red]drift[/], told {report.alarm_after_events:,} events after the change: "
            f"{report.statistic} went from {report.before:.4f} to {report.after:.4f}, "
            f"since event {alarm['since_learned']:,}"
        )

    def _asked(self, alarm: dict[str, Any]) -> str:
        """Ask for a retraining over what came since the drift; return the job."""
        end = self._log.bounds(self._stack.running.topic, 0).next
        # One event a record, so an offset is a number of events.
        window = Window(events={0: (alarm["since_learned"], end)})
        told = (alarm[key] for key in ("model", "variant", "statistic", "segment", "index"))
        job = Job(
            job=job_id(*told),
            model=self._model,
            reason=alarm,
            base=None,
            window=window,
            grid=DEFAULT_GRID,
            asked_by="demo-drift",
        )
        with self._log.writer() as writer:
            writer.send(JOBS_TOPIC, encode_job(job), key=job.job.encode(), partition=0)
        self._say(f"job {job.job}: a retraining over {end - alarm['since_learned']:,} events")
        return job.job

    def _retrain(self, job: str) -> None:
        report, started = self.report, time.monotonic()
        outcome = self._until("the retrainer works", lambda: self._outcome(job), lambda: self._alive(job))
        report.seconds_retraining = time.monotonic() - started
        report.report = outcome["report"]
        self._say(f"the gate: {outcome['says']}. {outcome['why']}")
        self._say(f"report with plots: {report.report}/report.md")
        if outcome["says"] != "promote":
            raise StageMissing(f"no challenger was promoted: {outcome['why']}")
        report.winner, report.difference = outcome["winner"], outcome["difference"]
        report.interval = outcome["interval"]

    def _outcome(self, job: str) -> dict[str, Any] | None:
        self._queue.read()
        end = self._queue.state(job).end
        if end is not None and end.ended != "done":
            raise StageMissing(f"the retraining {end.ended}: {end.why}")
        return None if end is None else end.outcome

    def _alive(self, job: str) -> tuple[str, float | None]:
        alive = self._queue.state(job).alive
        return ("waits for a retrainer", None) if alive is None else (alive.doing, alive.progress)

    def _promotion(self) -> None:
        champion = self._visits.served[-1].variant
        serving = self._until(
            "the challenger catches up and is promoted",
            lambda: self._answers(champion),
        )
        at = self._visits.served[-1].first
        report = self.report
        report.promoted = serving
        report.loss_before = self._visits.loss(at - WATCH_EVENTS, at, champion)
        self._say(
            f"[bold green]{serving} serves[/] instead of {champion}, whose log loss was "
            f"{report.loss_before:.4f}; both learn on while the promotion is watched"
        )

    def _answers(self, champion: str) -> str | None:
        """Return who answers, once that is another than *champion*."""
        newest = self._visits.served[-1].variant
        return newest if newest != champion else None

    def _watch(self) -> None:
        report, promoted = self.report, self.report.promoted
        assert promoted is not None, "it was promoted"
        state = self._until("the promotion is watched", self._decided)
        report.kept = state.serving == promoted
        first = next(each.first for each in self._visits.served if each.variant == promoted)
        report.loss_after = self._visits.loss(first, self._visits.sent, promoted)
        report.events, report.unanswered = self._visits.sent, self._visits.unanswered
        self._say(f"the watch is over: {state.serving} serves. Log loss is now {report.loss_after:.4f}")

    def _decided(self) -> JournalState | None:
        self._journal.read_to_end()
        state = self._journal.state
        # The watch ends one of the two.
        return state if sum(state.learns(variant) for variant in state.variants) == 1 else None

    def _events(self, doing: str, until: int) -> None:
        first = self._visits.sent
        self._until(
            doing,
            lambda: self._visits.sent >= until or None,
            lambda: (doing, (self._visits.sent - first) / max(until - first, 1)),
            PATIENCE_SECONDS + (until - first) / EVENTS_PER_SECOND,
        )

    def _until(
        self,
        doing: str,
        found: Callable[[], Found | None],
        standing: Callable[[], tuple[str, float | None]] | None = None,
        patience_seconds: float = PATIENCE_SECONDS,
    ) -> Found:
        """Look until *found* gives something; show where it stands meanwhile."""
        end = time.monotonic() + patience_seconds
        while (there := found()) is None:
            self._stack.check()
            self._visits.check()
            self._show(self._moment(*(standing() if standing else (doing, None))))
            if time.monotonic() > end:
                raise StageMissing(f"this did not come to its end in {patience_seconds:.0f} s: {doing}")
            time.sleep(LOOK_SECONDS)
        return there

    def _moment(self, doing: str, progress: float | None) -> Moment:
        served, sent = self._visits.served, self._visits.sent
        variant = served[-1].variant if served else "nobody"
        return Moment(sent, variant, self._visits.losses(EVENTS_A_POINT), doing, progress)


def _records(reader: Reader) -> Iterator[dict[str, Any]]:
    for fetch in reader.poll(max_records=1_000, timeout_seconds=0.05):
        yield from (orjson.loads(value) for value in fetch.values if value is not None)


def said(report: DriftReport) -> bytes:
    """Return *report* for scripts: JSON."""
    return orjson.dumps(asdict(report), option=orjson.OPT_INDENT_2)
