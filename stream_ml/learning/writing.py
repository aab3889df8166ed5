"""
The writer's loop: a batch's life, from the poll to the snapshot that makes it safe.

Learning runs ahead of the journal: a step's outputs wait here until its line was read back with no higher
claim before it. Only this thread touches the learner.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from stream_ml.errors import RecoverableError
from stream_ml.learning.batch import Batch
from stream_ml.learning.breaking import Breaker, Labels, breaks_labels
from stream_ml.learning.inbox import Inbox, JournalRead
from stream_ml.learning.margins import RetentionMargins, retentions
from stream_ml.learning.outputs import OutputSender, Source, StepOutputs
from stream_ml.learning.points import Point
from stream_ml.learning.reporting import Report
from stream_ml.learning.silence import Silence
from stream_ml.learning.snapshotting import AsOf, Position
from stream_ml.learning.standing import Standing
from stream_ml.learning.starting import Started, Superseded
from stream_ml.learning.succeeding import Succession
from stream_ml.learning.wiring import new_fetcher, new_keeper, new_publisher
from stream_ml.runtime import metrics
from stream_ml.runtime.clock import Clock
from stream_ml.runtime.lifecycle import Stop
from stream_ml.runtime.settings import LearnerSettings
from stream_ml.streams.log import Undeliverable, Writer
from stream_ml.weights.journal import Entry, JournalWriter
from stream_ml.weights.lines import Claim, Decision, Line, Release, Snapshot, Step, place_of
from stream_ml.weights.verdicts import Validity, Verdict

log = logging.getLogger(__name__)

_JOURNAL_POLL_SECONDS = 0.1


@dataclass(frozen=True, slots=True)
class _HeldStep:
    """A step that was learned and is not confirmed; *events* is where each of its partitions goes on."""

    outputs: StepOutputs
    events: Mapping[int, int]
    sent_at: float


class WriterLoop:
    """
    Learns as the variant's writer until it is asked to stop, another process claims, or a decision ends it.

    Where a decision stops its learning, it waits as the writer: nothing is learned, everything else goes on.

    Attributes:
        step: last learned. confirmed: last one whose line was read back.
        events: per partition, the next offset to learn.
    """

    def __init__(
        self,
        started: Started,
        journal: JournalWriter,
        writer: Writer,
        settings: LearnerSettings,
        clock: Clock,
    ) -> None:
        """
        Build the parts; nothing runs yet.

        Args:
            writer: for everything but the journal.
        """
        parties = started.parties
        self._parties, self._started, self._settings, self._clock = parties, started, settings, clock
        self._journal, self._writer, self._reached = journal, writer, parties.reached
        self._learner = started.loaded.replay.learner
        self._skips = started.loaded.skip(started.variant)
        self.step = self.confirmed = started.loaded.replay.step
        self.events, self._confirmed_events = (
            dict(started.loaded.replay.events),
            dict(started.loaded.replay.events),
        )
        self._newest_at = started.loaded.replay.newest_at
        self._newest_of = dict.fromkeys(self.events, self._newest_at) if self._newest_at else {}
        self._held: deque[_HeldStep] = deque()
        self._ending = False
        self._committed_at = clock.monotonic() - settings.commit_interval_seconds
        self._threads = ThreadPoolExecutor(3, "learner")
        self._writing = ThreadPoolExecutor(1, "snapshot")
        self._build()

    def _build(self) -> None:
        parties, started, settings, clock = self._parties, self._started, self._settings, self._clock
        topics = parties.topics
        self._inbox = Inbox(settings.fetch_queue_batches)
        self._fetcher = new_fetcher(parties, self.events, self._inbox, settings, clock)
        self._source = Source(parties.name, started.variant, topics.events.name)
        self._sender = OutputSender(self._writer, self._source, settings.message_max_bytes)
        self._publisher = new_publisher(parties, started, self._writer, settings, clock)
        self._margins = RetentionMargins(retentions(parties.log, topics))
        self._report = Report(parties.name, parties.log, topics, clock, self._threads)
        self._keeper = new_keeper(
            parties, started, self._writing, self._margins, self._report, settings, clock
        )
        self._snapshots = self._keeper.snapshots
        self._succession = Succession(started.variant, parties.who)
        in_force = self._keeper.as_of.in_force
        self._standing = Standing(started.variant, in_force)
        self._silence = Silence(parties.name, settings.silence_after_seconds, clock)
        self._labels = Labels.of(self._learner.metrics())
        decisions = in_force.decisions
        self._looks = breaks_labels(settings, parties.model)
        known = started.loaded.label_breaker
        self._breaker = Breaker(parties.name, started.variant, parties.who, decisions, known)

    @property
    def learns(self) -> bool:
        """Whether no decision stops it, nor one that is on its way."""
        return self._standing.learns and not self._breaker.tripped

    def run(self, stop: Stop) -> None:
        """
        Learn until *stop* is asked for, or the writer is to end; leave everything behind complete.

        Raises:
            Superseded: another process claimed the variant.
            CannotContinue, RecoverableError: as the parts raise them.
        """
        self._inbox.run(self._threads, self._fetcher.run)
        self._inbox.run(self._threads, self._follow_journal)
        self._report.writer(True)
        self._report.began_with(self._started.loaded.snapshot_at)
        try:
            self._send_again()
            self._succeed()  # where the writer before was killed just then, no line may come to tell
            self._advance_snapshot()  # of an empty table: step 0, before the first event
            while not (stop.requested() or self._standing.ends):
                learns = self.learns and len(self._held) < self._settings.held_steps
                self._turn(batch_wanted=learns)
            self._end()
        finally:
            self._report.writer(False)
            self._inbox.close()
            self._snapshots.close()
            self._threads.shutdown(wait=True, cancel_futures=True)

    def _follow_journal(self) -> None:
        reader = self._started.loaded.journal
        try:
            while not self._inbox.closed:
                if entries := reader.poll(_JOURNAL_POLL_SECONDS):
                    self._inbox.put_read(JournalRead(entries, reader.state.place, reader.state.in_force()))
        finally:
            reader.close()

    def _send_again(self) -> None:
        """Send the outputs since the snapshot: whether the writer before sent them, nobody knows."""
        for outputs in self._started.loaded.replay.outputs:
            self._sender.send(outputs)
        self._started.loaded.replay.forget_outputs(self.step)
        self._reached(Point.OUTPUTS_SENT_AGAIN)

    def _turn(self, *, batch_wanted: bool) -> None:
        batch, reads = self._inbox.take(self._settings.poll_wait_seconds, batch_wanted=batch_wanted)
        for read in reads:
            self._take_notice(read)
        if batch is not None:
            self._learn(batch)
        began_at = self._clock.monotonic()
        self._send_confirmed()
        self._publish()
        self._advance_snapshot()
        self._report.paused(self._clock.monotonic() - began_at)
        if self._clock.monotonic() - self._committed_at >= self._settings.commit_interval_seconds:
            self._commit()
        self._silence.turn()
        self._report_gauges()

    def _learn(self, batch: Batch) -> None:
        self._reached(Point.BATCH_TAKEN)
        step = self.step + 1
        sent_at = self._clock.monotonic()
        self._append(
            Step(
                variant=self._started.variant,
                epoch=self._started.epoch,
                step=step,
                topic_id=self._parties.topics.events.id,
                ranges=tuple(part.described for part in batch.ranges),
                decisions=tuple(
                    self._skips.pop(part.partition) for part in batch.ranges if part.partition in self._skips
                ),
            )
        )
        self._reached(Point.STEP_LINE_SENT)
        learned = self._learner.learn(batch.as_native())
        self.step = step
        ends = {part.partition: part.next for part in batch.ranges}
        self.events |= ends
        newest = batch.newest_of
        self._newest_of |= newest
        self._newest_at = max(self._newest_at, *newest.values(), 0.0)
        self._held.append(_HeldStep(StepOutputs.of(self._source, step, batch, learned), ends, sent_at))
        self._reached(Point.LEARNED)
        self._report.learned(learned)
        self._silence.came(learned)
        if self._looks:
            self._look_at_labels()
        for part in batch.ranges:
            self._margins.use("events", part.partition, part.size, part.first_at)

    def _look_at_labels(self) -> None:
        before, self._labels = self._labels, Labels.of(self._learner.metrics())
        if not self._keeper.as_of.in_force.serves(self._started.variant):
            return  # one that catches up meets labels that who serves has learned, whatever they are
        if flood := self._breaker.learned(self._labels.since(before)):
            self._append(self._breaker.decision(flood, self._keeper.as_of.in_force.decisions))
            self._reached(Point.BREAKER_OPENED)

    def _known_of_labels(self) -> dict[str, int | float] | None:
        return self._breaker.state if self._looks else None

    def _take_notice(self, read: JournalRead) -> None:
        """Look for what the lines read mean to the writer."""
        for entry in read.entries:
            if getattr(entry.line, "variant", None) == self._started.variant:
                self._judge(entry)
        self._keeper.as_of = AsOf(read.place, read.in_force)
        if self._standing.turn(read.in_force, self.events):
            self._breaker.reset()
        self._succeed()

    def _succeed(self) -> None:
        if decision := self._succession.turn(self._keeper.as_of.in_force):
            self._append(decision)
            self._reached(Point.SERVING_DECIDED)

    def _judge(self, entry: Entry) -> None:
        match entry.line:
            case Claim() if self._place(entry.offset) > self._started.epoch:
                raise Superseded(
                    f"{self._started.variant} was claimed by {entry.line.who}; our memory is void, we stop"
                )
            case Step() if entry.line.epoch == self._started.epoch:
                self._own_line(entry.line, entry.verdict)
            case Snapshot() if entry.verdict.valid:
                self._keeper.read_back(entry.line)
            case Decision() if entry.line.who == self._parties.who and not entry.verdict.valid:
                self._breaker.reset()  # somebody else decided at the same moment: that counts

    def _own_line(self, line: Step, verdict: Verdict) -> None:
        if verdict.valid:
            self.confirmed = line.step
        elif verdict.validity is Validity.VOID:
            raise RecoverableError(
                f"our own line of step {line.step} is void: {verdict.reason}; start again: replay decides"
            )

    def _place(self, offset: int) -> int:
        return place_of(self._started.loaded.journal.state.journal, offset)

    def _send_confirmed(self) -> None:
        while self._held and self._held[0].outputs.step <= self.confirmed:
            held = self._held.popleft()
            self._reached(Point.LINE_READ_BACK)
            self._sender.send(held.outputs)
            self._reached(Point.OUTPUTS_SENT)
            self._confirmed_events |= held.events
            self._report.confirmed(self._clock.monotonic() - held.sent_at)

    def _publish(self) -> None:
        published = self._publisher.turn(self._learner, self.step, self.confirmed, self._newest_at)
        if published is not None:
            self._report.published(published)
            size = published.bytes // self._parties.topics.feed.partitions
            self._margins.use("feed", 0, size, self._clock.now())

    def _advance_snapshot(self) -> None:
        self._keeper.turn(
            self._learner,
            Position(self.step, self.events, self._publisher.next_offsets, self._known_of_labels()),
            lambda step: step <= self.confirmed and self._sender.acknowledged(step),
            self._append,
            may_begin=not self._ending,
        )

    def _commit(self) -> None:
        self._committed_at = self._clock.monotonic()
        group = self._settings.consumer_group or f"{self._parties.name}.learner"
        self._parties.log.commit(group, self._parties.topics.events.name, dict(self._confirmed_events))
        self._reached(Point.OFFSETS_COMMITTED)

    def _report_gauges(self) -> None:
        self._report.turn(
            self._learner,
            self.events,
            self._newest_of,
            {
                metrics.LEARNER_STEP: self.step,
                metrics.LEARNER_HELD_STEPS: len(self._held),
                metrics.LEARNER_HELD_STEPS_LIMIT: self._settings.held_steps,
                metrics.LEARNER_STOPPED: not self.learns,
                metrics.LEARNER_FETCH_QUEUE: self._inbox.batches,
                metrics.LEARNER_FETCH_QUEUE_LIMIT: self._settings.fetch_queue_batches,
                metrics.LEARNER_SNAPSHOTS_BAD: self._snapshots.bad,
                metrics.LEARNER_STORE_FAILS: self._snapshots.store_fails,
            },
            self._margins.by_log(self._clock.now()),
            self._keeper.oldest,
        )

    def _append(self, line: Line) -> None:
        self._margins.use("journal", 0, self._journal.append(line), self._clock.now())

    def _end(self) -> None:
        """Let everything learned leave, take a last snapshot, and release the variant."""
        self._ending = True
        self._until(lambda: self.confirmed == self.step, "the journal")
        self._publisher.cut_now(self._learner, self.step, self._newest_at)
        self._until(lambda: self._publisher.all_sent, "the feed")
        self._until(lambda: self._snapshots.idle, "a snapshot")
        if self._snapshots.step < self.step:
            self._keeper.begin(self._learner)
            self._until(lambda: self._snapshots.idle, "the last snapshot")
        self._append(
            Release(
                variant=self._started.variant,
                who=self._parties.who,
                epoch=self._started.epoch,
                step=self.step,
            )
        )
        self._flush()
        self._commit()
        log.info(
            "released", extra={"variant": self._started.variant, "step": self.step, **self._learner.digest()}
        )

    def _flush(self) -> None:
        """Wait for what was sent last; what a start needs was acknowledged before."""
        try:
            self._journal.flush(self._settings.broker_timeout_seconds)
            self._writer.flush(self._settings.broker_timeout_seconds)
        except Undeliverable as error:
            raise RecoverableError(f"not released: {error}; the next start replays") from error

    def _until(self, done: Callable[[], bool], what: str) -> None:
        end = self._clock.monotonic() + self._settings.broker_timeout_seconds
        while not done():
            if self._clock.monotonic() > end:
                raise RecoverableError(f"stopping: {what} did not come to an end; the next start replays")
            self._turn(batch_wanted=False)
