"""The parts of a learner that shares its weights, built of the settings."""

from __future__ import annotations

from stream_ml._native import PartitionLearner, Plan
from stream_ml.errors import ConfigError
from stream_ml.learning.beginnings import Beginnings, Parties
from stream_ml.learning.outputs import Source
from stream_ml.runtime.clock import Clock
from stream_ml.runtime.settings import LearnerSettings
from stream_ml.sharing.beginning import Beginning
from stream_ml.sharing.loop import SharingLimits, SharingLoop
from stream_ml.sharing.mending import Mender
from stream_ml.sharing.outputs import Outputs
from stream_ml.sharing.owning import OwnedPartition, take
from stream_ml.sharing.places import JournalPlaces
from stream_ml.sharing.restoring import Restorer
from stream_ml.sharing.windows import WindowReader
from stream_ml.streams.log import Writer
from stream_ml.weights.journal import JournalReader, JournalWriter
from stream_ml.weights.lines import Layout
from stream_ml.weights.redis.shards import RedisShards, connect
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
    """Return the variant's shards; waits for Redis as long as for brokers."""
    client = connect(settings.weights, settings.redis_timeout_seconds)
    return RedisShards(client, f"{model}/{variant.name}", variant.layout.number, variant.layout.shards)


def new_loop(
    parties: Parties,
    variant: SharedVariant,
    shards: Shards,
    journal: JournalWriter,
    writer: Writer,
    settings: LearnerSettings,
    clock: Clock,
) -> SharingLoop:
    """Return the loop; nothing runs yet."""
    topic = parties.topics.events.name
    group = parties.log.group(settings.consumer_group or f"{parties.name}.learner", topic)
    plan = Plan(parties.model.plan_bytes)
    places = JournalPlaces(journal, variant.number, variant.name, variant.layout, parties.who)
    mender = Mender(shards, places, Restorer(shards, places, Beginning(variant.events)))
    outputs = Outputs(writer, Source(parties.name, variant.name, topic), settings.message_max_bytes)
    windows = WindowReader(parties.log, topic, parties.model.model_file.learner.duplicate_window)

    def taken(partition: int) -> OwnedPartition:
        def learner() -> PartitionLearner:
            return PartitionLearner(
                plan, partition=partition, shards=shards.count, scan_threads=settings.scan_threads
            )

        def remember(learner: PartitionLearner, end: int) -> None:
            windows.remember(learner, partition, variant.events.get(partition, 0), end)

        return take(shards, mender, partition, parties.who, learner, remember, outputs)

    limits = SharingLimits(
        settings.batch_max_records,
        settings.fetch_queue_batches * settings.batch_max_bytes,
        settings.poll_wait_seconds,
        _LOOK_SECONDS,
        settings.commit_interval_seconds,
        settings.redis_batches_in_flight,
    )
    return SharingLoop(parties.name, parties.log, topic, group, taken, limits, clock)


def layout_of(settings: LearnerSettings) -> Layout | None:
    """Return how the settings deal rows to shards; None where this process's memory has them."""
    return None if settings.weights == "memory" else Layout(0, settings.redis_shards)
