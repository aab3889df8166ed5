"""The variant whose rows are shared, its shards, and what mends and saves them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

from stream_ml._native import Learner, PartitionLearner, Plan
from stream_ml.errors import ConfigError
from stream_ml.learning.beginnings import Beginnings
from stream_ml.learning.loading import Loader
from stream_ml.learning.orders import Order
from stream_ml.learning.parties import Parties, with_model_of
from stream_ml.runtime.clock import Clock
from stream_ml.runtime.settings import LearnerSettings
from stream_ml.sharing.chores import Newest, NewestShards
from stream_ml.sharing.events import SharedEvents
from stream_ml.sharing.homes import Homes
from stream_ml.sharing.mending import Mender
from stream_ml.sharing.places import JournalPlaces
from stream_ml.sharing.restoring import AdaptedBeginning, Beginning, Restorer
from stream_ml.sharing.snapshotting import SharedSnapshots
from stream_ml.weights.journal import JournalReader, JournalWriter
from stream_ml.weights.lines import Challenge, Layout, Variant
from stream_ml.weights.redis.access import Access, connect
from stream_ml.weights.redis.shards import RedisShards
from stream_ml.weights.shards import Shards
from stream_ml.weights.state import JournalState

# Times the silence after which a writer of memory mode is replaced: publishers of shards are heard less often
# while there is much to say.
_SILENCES = 3


@dataclass(frozen=True, slots=True)
class SharedVariant:
    """
    A variant whose rows are shared.

    Attributes:
        number: of the journal.
        line: that began the variant; None where only a statement of the journal tells of it: then there are
            snapshots.
        topic_id: of the events that it learns; None where nothing tells it any more.
    """

    name: str
    number: int
    layout: Layout
    line: Variant | None
    topic_id: str | None
    challenge: Challenge | None = None

    @classmethod
    def of(cls, name: str, state: JournalState) -> Self:
        """Return the variant *name* as the journal has it."""
        known = state.variants[name]
        assert known.layout is not None, "its rows are shared"
        return cls(name, state.journal, known.layout, known.line, known.topic_id, known.challenge)

    def group(self, base: str) -> str:
        """Return the consumer group that divides its partitions: *base*, or a challenger's own."""
        return base if self.challenge is None else f"{base}.{self.name}"

    @classmethod
    def begun(
        cls, parties: Parties, journal: JournalWriter, order: Order | None = None
    ) -> tuple[Parties, Self]:
        """
        Return the one that *order* begins, or that serves; begin a journal and a variant where there is none.

        With it come *parties* that have the variant's own model file.

        Raises:
            ConfigError: a learner's memory has the variant's rows, or they are dealt to other shards; or the
                model asks for what rows that are shared cannot do.
        """
        try:
            PartitionLearner(Plan(parties.model.plan_bytes), partition=0, shards=1, scan_threads=0)
        except ValueError as error:
            raise ConfigError(f"{parties.name}: weights in Redis: {error}") from error
        with JournalReader.open(parties.log, parties.topics.journal.name) as reader:
            reader.read_to_end()
            beginnings = Beginnings(parties, reader, journal)
            name = beginnings.variant_to_learn() if order is None else beginnings.challenger(order)
            return with_model_of(name, reader.state, parties), cls.of(name, reader.state)

    def events(self, parties: Parties, clock: Clock) -> SharedEvents:
        """Return what tells whether its events are still there."""
        return SharedEvents(parties.log, parties.topics.events.name, self.name, self.topic_id, clock)


def redis_shards(variant: SharedVariant, model: str, url: str, settings: LearnerSettings) -> RedisShards:
    """
    Return the variant's shards in the Redis at *url*.

    Raises:
        ConfigError: Redis does not let this learner in.
        ShardUnavailable: it does not answer.
    """
    access = Access(
        url,
        settings.redis_user,
        settings.password(),
        str(settings.redis_ca_file or ""),
        settings.redis_timeout_seconds,
        settings.redis_connections,
    )
    layout = variant.layout
    return RedisShards(
        connect(access), f"{model}/{variant.name}", layout.number, layout.shards, lambda: connect(access)
    )


class KeptShards:
    """
    A variant's shards, in the care of this process.

    Attributes:
        newest: the snapshots that there are. homes: says whether they are where they should be.
        mender: of shards. snapshots: takes further ones.
    """

    def __init__(
        self,
        parties: Parties,
        variant: SharedVariant,
        shards: Shards,
        journal: JournalWriter,
        settings: LearnerSettings,
        clock: Clock,
    ) -> None:
        places = JournalPlaces(journal, variant.number, variant.name, variant.layout, parties.who)
        self.newest = Newest(parties.log, parties.topics.journal.name, parties.store, variant.name)
        source = NewestShards(self.newest, parties.store, _beginning(parties, variant), shards.count)
        silence = _SILENCES * settings.takeover_after_seconds
        self.homes = Homes(parties, variant.name, shards, journal, silence, clock)
        restorer = Restorer(shards, places, source.choose, self.homes.choose)
        self.mender = Mender(shards, places, restorer, self.homes.check)
        self.snapshots = SharedSnapshots(
            parties.log,
            parties.topics,
            parties.store,
            parties.model,
            variant.name,
            variant.layout,
            shards,
            self.mender,
            places,
            journal,
            clock,
        )


def _beginning(parties: Parties, variant: SharedVariant) -> Beginning | None:
    line = variant.line
    if line is None:
        return None
    seed, shards = line.seed.name if line.seed else None, variant.layout.shards
    if seed is not None and variant.challenge is not None:
        # A challenger has a model file of its own.
        loader = Loader(parties, lambda: Learner(Plan(parties.model.plan_bytes)))
        return AdaptedBeginning(line.events, lambda: loader.begun_with(seed), shards)
    return Beginning(line.events, parties.store, seed, shards)
