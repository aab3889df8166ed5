"""The parts of a learner that shares its weights, built of the settings."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor

from stream_ml._native import PartitionLearner, Plan
from stream_ml.learning.breaking import Breaker, breaks_labels
from stream_ml.learning.margins import offsets_before
from stream_ml.learning.outputs import Source
from stream_ml.learning.parties import Parties
from stream_ml.learning.silence import Silence
from stream_ml.learning.windows import WindowReader
from stream_ml.learning.wiring import feed_limits
from stream_ml.runtime.clock import Clock
from stream_ml.runtime.lifecycle import Stop
from stream_ml.runtime.settings import LearnerSettings
from stream_ml.sharing.chores import Chores
from stream_ml.sharing.lagging import Lag
from stream_ml.sharing.loop import SharingLimits, SharingLoop
from stream_ml.sharing.outputs import Outputs
from stream_ml.sharing.owning import OwnedPartition, Pushed, take
from stream_ml.sharing.publishing import SharedPublisher
from stream_ml.sharing.showing import SnapshotFigures, show_bad
from stream_ml.sharing.variant import KeptShards, SharedVariant
from stream_ml.sharing.watching import Watch
from stream_ml.streams.log import Writer
from stream_ml.weights.journal import JournalWriter
from stream_ml.weights.lines import Announced, Layout
from stream_ml.weights.shards import Shards

_LOOK_SECONDS = 2.0
# Of the client's timeout that a call may take before batches become smaller: others' calls may be before it.
_TIMEOUT_SHARE = 0.25


class Sharing:
    """The parts of one process that learns *variant* with others; nothing runs before `run`."""

    def __init__(
        self,
        parties: Parties,
        variant: SharedVariant,
        shards: Shards,
        journal: JournalWriter,
        writer: Writer,
        settings: LearnerSettings,
        clock: Clock,
    ) -> None:
        self._parties, self._variant, self._shards = parties, variant, shards
        self._writer, self._settings, self._clock = writer, settings, clock
        self._plan = Plan(parties.model.plan_bytes)
        self._kept = KeptShards(parties, variant, shards, journal, settings, clock)
        self._events = variant.events(parties, clock)
        self._journal = journal
        # The rate is learned from the next events: this process may have other partitions than before.
        self._breaker = Breaker(parties.name, variant.name, parties.who)
        self._silence = Silence(parties.name, settings.silence_after_seconds, clock)
        self.loop = self._new_loop()
        self._chores = self._new_chores()

    def run(self, stop: Stop) -> None:
        """
        Learn, and do the chores beside, until *stop*, or nobody learns the variant any more.

        Raises:
            CannotContinue, Undeliverable: the process must end.
        """
        ended = Stop()
        watch = Watch(self._parties.name, self._shards, self._new_lag(), _LOOK_SECONDS)
        with ThreadPoolExecutor(2, "beside") as threads:
            beside = [threads.submit(run, ended) for run in (self._chores.run, watch.run)]

            def ends() -> bool:
                self._silence.turn()
                return stop.requested() or any(each.done() for each in beside)

            try:
                self.loop.run(ends)
            finally:
                ended.request()
            for each in beside:
                each.result()

    def _new_lag(self) -> Lag:
        topic = self._parties.topics.events.name
        return Lag(self._parties.name, self._parties.log, topic, lambda: self.loop.owned, self._clock)

    def _look_at(self, pushed: Pushed) -> None:
        """See whether labels break, here or in what other learners decide, and whether any come."""
        self._silence.came(pushed.learned)
        # A challenger meets labels that who serves has learned, whatever they are.
        looks = breaks_labels(self._settings, self._parties.model) and self._chores.serves
        if looks and (flood := self._breaker.learned(pushed.labels)):
            in_force = self._kept.newest.state().in_force()
            self._journal.append(self._breaker.decision(flood, in_force.decisions))

    def _window_begins(self, partition: int) -> int:
        """Return the offset before which no event is in the variant's duplicate window."""
        line = self._variant.line
        # One that began with the rows of another knows the ids that the other one knew.
        return line.events.get(partition, 0) if line is not None and line.seed is None else 0

    def _new_loop(self) -> SharingLoop:
        parties, settings = self._parties, self._settings
        topic = parties.topics.events.name
        base = settings.consumer_group or f"{parties.name}.learner"
        return SharingLoop(
            parties.name,
            parties.log,
            topic,
            parties.log.group(self._variant.group(base), topic),
            self._new_taking(topic),
            lambda: self._chores.learns and not self._breaker.tripped,
            self._look_at,
            _limits(settings),
            self._clock,
        )

    def _new_taking(self, topic: str) -> Callable[[int], OwnedPartition]:
        parties, shards, settings, kept = self._parties, self._shards, self._settings, self._kept
        source = Source(parties.name, self._variant.name, topic)
        outputs = Outputs(self._writer, source, settings.message_max_bytes)
        windows = WindowReader(parties.log, topic, parties.model.model_file.learner.duplicate_window)

        def taken(partition: int) -> OwnedPartition:
            def learner() -> PartitionLearner:
                return PartitionLearner(
                    self._plan, partition=partition, shards=shards.count, scan_threads=settings.scan_threads
                )

            def remember(learner: PartitionLearner, end: int) -> None:
                windows.remember(
                    learner.remember, learner.forget, partition, self._window_begins(partition), end
                )

            return take(
                shards,
                kept.mender,
                partition,
                parties.who,
                learner,
                remember,
                outputs,
                kept.newest.skip,
                self._events.check_ends,
            )

        return taken

    def _new_chores(self) -> Chores:
        parties, variant, settings = self._parties, self._variant, self._settings
        feed = parties.topics.feed
        publisher = SharedPublisher(
            parties.name,
            variant.name,
            parties.model.fingerprint,
            variant.layout.number,
            self._plan,
            self._shards,
            self._kept.mender,
            self._writer,
            feed.name,
            feed.partitions,
            feed_limits(parties, settings),
            self._newest_at,
            self._clock,
        )
        return Chores(
            parties.name,
            self._shards.count,
            parties.topics.events.partitions,
            lambda: self.loop.owned,
            publisher,
            self._kept.snapshots,
            self._kept.newest,
            self._kept.homes,
            self._events,
            settings.snapshot_interval_seconds,
            self._retain,
            SnapshotFigures(parties.name, self._margins, self._clock),
            self._breaker.reset,
            self._clock,
        )

    def _retain(self, announced: list[Announced]) -> None:
        """Remove what is older than the snapshots that are kept."""
        names = [each.name for each in announced]
        since = self._clock.now() - self._settings.snapshots_kept_seconds
        pinned = self._kept.newest.state().in_force().seeds
        retained = self._parties.store.retain(names, self._settings.snapshots_kept, since, pinned)
        show_bad(self._parties.name, len(retained.bad))

    def _margins(self) -> Mapping[str, int]:
        """Return how many offsets each log has before the place where the oldest kept snapshot goes on."""
        kept = self._kept.newest.announced()[-self._settings.snapshots_kept :]
        return offsets_before(self._parties.log, self._parties.topics, kept[0]) if kept else {}

    def _newest_at(self) -> float:
        """Return when the newest record came that this process has pushed; 0 before the first."""
        return max((each.newest_at for each in dict(self.loop.owned).values()), default=0.0)


def layout_of(settings: LearnerSettings) -> Layout | None:
    """Return how the settings deal rows to shards; None where this process's memory has them."""
    return None if settings.weights == "memory" else Layout(0, settings.redis_shards)


def _limits(settings: LearnerSettings) -> SharingLimits:
    joined = settings.redis_batches_joined
    return SharingLimits(
        settings.batch_max_records,
        joined * settings.batch_max_records,
        settings.redis_timeout_seconds * _TIMEOUT_SHARE,
        settings.redis_batches_in_flight * joined * settings.batch_max_bytes,
        settings.poll_wait_seconds,
        _LOOK_SECONDS,
        settings.commit_interval_seconds,
        settings.redis_batches_in_flight,
    )
