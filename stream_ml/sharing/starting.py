"""
A learner that shares begins: with the variant that serves, or, where a loss is accepted, with a new one.

What memory mode learns of a loss while it replays is here compared beforehand: what shards have learned with
what the topic of the events holds.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import replace

from stream_ml.errors import CannotContinue
from stream_ml.learning.beginnings import Beginnings
from stream_ml.learning.orders import Order
from stream_ml.learning.parties import Parties
from stream_ml.learning.topics import first_offsets
from stream_ml.learning.ways_on import ACCEPT_LOSS, skip_to
from stream_ml.runtime.clock import Clock
from stream_ml.runtime.settings import LearnerSettings
from stream_ml.sharing import images
from stream_ml.sharing.events import EventsGone
from stream_ml.sharing.homes import AnotherRedis, Homes
from stream_ml.sharing.standing import TELL
from stream_ml.sharing.variant import KeptShards, SharedVariant
from stream_ml.weights.journal import JournalReader, JournalWriter
from stream_ml.weights.lines import Announced
from stream_ml.weights.shards import Image, Shards, ShardUnavailable, next_offsets

log = logging.getLogger(__name__)


class SharedStart:
    """Chooses the variant that a process shares, and makes its shards."""

    def __init__(
        self,
        parties: Parties,
        journal: JournalWriter,
        new_shards: Callable[[SharedVariant], Shards],
        settings: LearnerSettings,
        clock: Clock,
        order: Order | None = None,
    ) -> None:
        self._parties, self._journal, self._new_shards = parties, journal, new_shards
        self._settings, self._clock, self._order = settings, clock, order

    def run(self) -> tuple[Parties, SharedVariant, Shards]:
        """
        Return the variant to learn and its shards; those may be empty, or known to another server.

        The parties have its own model file.

        Raises:
            EventsGone: what it has learned is not what the topic holds, and no loss is accepted.
            AnotherRedis: these are not the shards that its learners share, and no loss is accepted.
            ConfigError, CannotContinue, ShardUnavailable: as `SharedVariant.begun` and *new_shards*.
        """
        self._parties, variant = SharedVariant.begun(self._parties, self._journal, self._order)
        shards = self._new_shards(variant)
        try:
            self._check(variant, shards)
        except (EventsGone, AnotherRedis) as error:
            if not self._parties.accept_loss or self._order is not None:
                raise
            variant = self._after_loss(variant, shards, error)
            shards = self._new_shards(variant)
        return self._parties, variant, shards

    def _check(self, variant: SharedVariant, shards: Shards) -> None:
        events = variant.events(self._parties, self._clock)
        events.check_topic()
        kept = self._kept(variant, shards)
        topic = self._parties.topics.events
        # Before the fences: others learn meanwhile, and retention follows them.
        firsts = first_offsets(self._parties.log, topic)
        learned = _learned(shards, kept.homes, topic.partitions)
        for partition, fences in learned.items():
            # One that is ahead of brokers only for now is met again, with patience, when it is taken.
            if self._parties.accept_loss:
                events.check_ends(partition, fences, patient=False)
        stands = {p: max(min(fences), kept.newest.skip(p)) for p, fences in learned.items()}
        gone = {p: firsts[p] - stand for p, stand in stands.items() if firsts[p] > stand}
        if gone:
            behind = {p: stands[p] + count for p, count in gone.items()}
            raise EventsGone(
                f"{topic.name}: records that {variant.name} never learned are gone, by partition: {gone}; "
                f"{skip_to(behind)} goes on behind them, {ACCEPT_LOSS} does as a new variant",
                made_anew=False,
            )

    def _kept(self, variant: SharedVariant, shards: Shards) -> KeptShards:
        return KeptShards(self._parties, variant, shards, self._journal, self._settings, self._clock)

    def _after_loss(
        self, variant: SharedVariant, shards: Shards, error: EventsGone | AnotherRedis
    ) -> SharedVariant:
        """Begin a variant with all that the shards of *variant* have, or its newest snapshot, has learned."""
        made_anew = isinstance(error, EventsGone) and error.made_anew
        if isinstance(error, EventsGone):
            self._kept(variant, shards).snapshots.take()
        with JournalReader.open(self._parties.log, self._parties.topics.journal.name) as reader:
            reader.read_to_end()
            beginnings = Beginnings(self._parties, reader, self._journal)
            known = reader.state.variants[variant.name]
            best = beginnings.newest_that_loads(known.snapshots)
            if best is None and (known.snapshots or known.seed is not None):
                raise CannotContinue(
                    f"no snapshot of {variant.name} verifies: there are no rows to go on with"
                ) from error
            why = f"goes on after a loss: {str(error).splitlines()[0]}"
            fences = {} if best is None else _fences_of(self._parties, best)
            # What only some shards have is given up: from the lowest fence the others would learn it twice.
            apart = {p: max(each) - min(each) for p, each in fences.items() if max(each) > min(each)}
            if best is not None:
                best = replace(best, events={p: max(each) for p, each in fences.items()})
            name = beginnings.new_variant(best, why, made_anew=made_anew, apart=apart)
            return SharedVariant.of(name, reader.state)


def _learned(shards: Shards, homes: Homes, partitions: int) -> dict[int, list[int]]:
    """Return where the shards stand, by partition; nothing while one of them cannot say it."""
    try:
        looks = [shards.look(shard) for shard in range(shards.count)]
    except ShardUnavailable as error:
        log.warning("shards cannot be looked at yet", extra={"reason": str(error)})
        return {}
    for shard, look in enumerate(looks):
        homes.check(shard, look)
    if any(look.kind not in TELL for look in looks):
        return {}
    return {p: next_offsets([look.fences for look in looks], p) for p in range(partitions)}


def _fences_of(parties: Parties, snapshot: Announced) -> dict[int, list[int]]:
    """Return where the shards of *snapshot* stand, by partition."""
    with parties.store.open(snapshot.name) as found:
        shards: list[Image] = images.decode(found.parts().state)
    partitions = {partition for shard in shards for partition in shard.fences}
    return {p: next_offsets([shard.fences for shard in shards], p) for p in sorted(partitions)}
