"""The parts of a learner that shares its weights, built of the settings."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

from stream_ml._native import PartitionLearner, Plan
from stream_ml.errors import ConfigError
from stream_ml.learning.beginnings import Beginnings, Parties
from stream_ml.learning.outputs import Source
from stream_ml.learning.wiring import feed_limits
from stream_ml.runtime.clock import Clock
from stream_ml.runtime.lifecycle import Stop
from stream_ml.runtime.settings import LearnerSettings
from stream_ml.sharing.beginning import Beginning
from stream_ml.sharing.chores import Chores, Newest, NewestShards
from stream_ml.sharing.loop import SharingLimits, SharingLoop
from stream_ml.sharing.mending import Mender
from stream_ml.sharing.outputs import Outputs
from stream_ml.sharing.owning import OwnedPartition, take
from stream_ml.sharing.places import JournalPlaces
from stream_ml.sharing.publishing import SharedPublisher
from stream_ml.sharing.restoring import Restorer
from stream_ml.sharing.snapshotting import SharedSnapshots
from stream_ml.sharing.windows import WindowReader
from stream_ml.streams.log import Writer
from stream_ml.weights.journal import JournalReader, JournalWriter
from stream_ml.weights.lines import Announced, Layout
from stream_ml.weights.redis.shards import Access, RedisShards, connect
from stream_ml.weights.shards import Shards

_LOOK_SECONDS = 2.0


class SharedVariant:
    """
    The variant that serves, whose rows are shared.

    Attributes:
        number: of the journal.
        events: per partition, where the variant began.
    """

    def __init__(self, parties: Parties, journal: JournalWriter) -> None:
        """
        Begin a journal and a variant where there is none.

        Raises:
            ConfigError: a learner's memory has the variant's rows, or they are dealt to other shards.
        """
        wanted = parties.layout
        assert wanted is not None, "of a learner that shares"
        with JournalReader.open(parties.log, parties.topics.journal.name) as reader:
            reader.read_to_end()
            self.name = Beginnings(parties, reader, journal).variant_to_learn()
            state = reader.state.variants[self.name]
        if state.layout is None:
            raise ConfigError(
                f"weights: the rows of {self.name}, which serves, are in a learner's memory, not in Redis; "
                'set weights = "memory", or give the model another name'
            )
        if state.layout.shards != wanted.shards:
            raise ConfigError(
                f"redis_shards is {wanted.shards}, but the rows of {self.name} are dealt to "
                f"{state.layout.shards} shards; set redis_shards = {state.layout.shards}"
            )
        self.number, self.layout = reader.state.journal, state.layout
        assert state.line is not None or state.snapshots, "a variant has a beginning"
        self.events = dict(state.line.events) if state.line else dict(state.snapshots[0].events)


def redis_shards(variant: SharedVariant, model: str, settings: LearnerSettings) -> Shards:
    """
    Return the variant's shards.

    Raises:
        ConfigError: Redis does not let this learner in.
        ShardUnavailable: it does not answer.
    """
    client = connect(
        Access(
            settings.weights,
            settings.redis_user,
            settings.password(),
            str(settings.redis_ca_file or ""),
            settings.redis_timeout_seconds,
            settings.redis_connections,
        )
    )
    return RedisShards(client, f"{model}/{variant.name}", variant.layout.number, variant.layout.shards)


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
        self._journal, self._writer, self._settings, self._clock = journal, writer, settings, clock
        self._plan = Plan(parties.model.plan_bytes)
        self._places = JournalPlaces(journal, variant.number, variant.name, variant.layout, parties.who)
        journal_topic = parties.topics.journal.name
        self._newest = Newest(parties.log, journal_topic, parties.store, variant.name)
        source = NewestShards(self._newest, parties.store, Beginning(variant.events), shards.count)
        self._mender = Mender(shards, self._places, Restorer(shards, self._places, source))
        self.loop = self._new_loop()
        self._chores = self._new_chores()

    def run(self, stop: Stop) -> None:
        """
        Learn, and do the chores beside, until *stop*.

        Raises:
            CannotContinue, Undeliverable: the process must end.
        """
        ended = Stop()
        with ThreadPoolExecutor(1, "chores") as thread:
            chores = thread.submit(self._chores.run, ended)
            try:
                self.loop.run(lambda: stop.requested() or chores.done())
            finally:
                ended.request()
            chores.result()

    def _new_loop(self) -> SharingLoop:
        parties, variant, shards, settings = self._parties, self._variant, self._shards, self._settings
        topic = parties.topics.events.name
        group = parties.log.group(settings.consumer_group or f"{parties.name}.learner", topic)
        outputs = Outputs(self._writer, Source(parties.name, variant.name, topic), settings.message_max_bytes)
        windows = WindowReader(parties.log, topic, parties.model.model_file.learner.duplicate_window)

        def taken(partition: int) -> OwnedPartition:
            def learner() -> PartitionLearner:
                return PartitionLearner(
                    self._plan, partition=partition, shards=shards.count, scan_threads=settings.scan_threads
                )

            def remember(learner: PartitionLearner, end: int) -> None:
                windows.remember(learner, partition, variant.events.get(partition, 0), end)

            return take(shards, self._mender, partition, parties.who, learner, remember, outputs)

        limits = SharingLimits(
            settings.batch_max_records,
            settings.fetch_queue_batches * settings.batch_max_bytes,
            settings.poll_wait_seconds,
            _LOOK_SECONDS,
            settings.commit_interval_seconds,
            settings.redis_batches_in_flight,
        )
        return SharingLoop(parties.name, parties.log, topic, group, taken, limits, self._clock)

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
            self._mender,
            self._writer,
            feed.name,
            feed.partitions,
            feed_limits(parties, settings),
            self._clock,
        )
        snapshots = SharedSnapshots(
            parties.log,
            parties.topics,
            parties.store,
            parties.model,
            settings.model_file.read_bytes(),
            variant.name,
            variant.layout,
            self._shards,
            self._mender,
            self._places,
            self._journal,
            self._clock,
        )
        return Chores(
            parties.name,
            self._shards.count,
            parties.topics.events.partitions,
            lambda: self.loop.owned,
            publisher,
            snapshots,
            self._newest,
            settings.snapshot_interval_seconds,
            self._retain,
            self._clock,
        )

    def _retain(self, announced: list[Announced]) -> None:
        """Remove what is older than the snapshots that are kept."""
        names = [each.name for each in announced]
        since = self._clock.now() - self._settings.snapshots_kept_seconds
        self._parties.store.retain(names, self._settings.snapshots_kept, since)


def layout_of(settings: LearnerSettings) -> Layout | None:
    """Return how the settings deal rows to shards; None where this process's memory has them."""
    return None if settings.weights == "memory" else Layout(0, settings.redis_shards)
