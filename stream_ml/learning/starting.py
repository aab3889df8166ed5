"""From nothing to the variant's writer: newest snapshot, replay, waiting for silence, claim."""

from __future__ import annotations

import logging
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial

from stream_ml._native import Learner
from stream_ml.errors import InvalidRecord, RecoverableError
from stream_ml.features import CompiledModel
from stream_ml.learning.beginnings import Beginnings
from stream_ml.learning.fetching import added_partitions
from stream_ml.learning.loading import Loaded, Loader
from stream_ml.learning.orders import Order
from stream_ml.learning.parties import Parties, with_model_of
from stream_ml.learning.points import Point
from stream_ml.learning.replaying import AnotherTopic, ReplayImpossible
from stream_ml.learning.topics import lost
from stream_ml.learning.ways_on import ACCEPT_LOSS, skip_to
from stream_ml.runtime.clock import Clock
from stream_ml.runtime.lifecycle import Stop
from stream_ml.streams.log import Reader
from stream_ml.weights.feed import decode_chunk
from stream_ml.weights.journal import JournalReader, JournalWriter
from stream_ml.weights.lines import Claim, Snapshot, place_of

log = logging.getLogger(__name__)

_POLL_SECONDS = 0.05
_POLL_RECORDS = 1000
_CLAIM_SECONDS = 30.0


class Superseded(RecoverableError):
    """Another process has claimed the variant: this one stops at once, its memory counts for nothing."""


@dataclass(frozen=True, slots=True)
class Started:
    """
    A process that is the variant's writer; its replay is at the last valid step.

    Attributes:
        parties: with the variant's own model file.
    """

    variant: str
    epoch: int
    loaded: Loaded
    parties: Parties


class Start:
    """Makes this process the writer of the variant that it is to learn: *order* says it, or what serves."""

    def __init__(
        self,
        parties: Parties,
        writer: JournalWriter,
        new_learner: Callable[[CompiledModel], Learner],
        takeover_after_seconds: float,
        clock: Clock,
        order: Order | None = None,
        caught_up: Callable[[], object] = lambda: None,
    ) -> None:
        """*caught_up* is called once this process could be the writer, if its turn came."""
        self._parties, self._writer, self._new_learner, self._order = parties, writer, new_learner, order
        self._takeover_after_seconds, self._clock = takeover_after_seconds, clock
        self._caught_up = caught_up

    def run(self, stop: Stop) -> Started | None:
        """
        Return once this process is the writer; None if before *stop* was asked for, or the variant was over.

        Raises:
            ReplayImpossible: what was learned cannot be learned again, and no loss is accepted.
            Superseded: another process claimed at the same moment.
        """
        with JournalReader.open(self._parties.log, self._parties.topics.journal.name) as reader:
            reader.read_to_end()
            beginnings = Beginnings(self._parties, reader, self._writer)
            order = self._order
            variant = beginnings.variant_to_learn() if order is None else beginnings.challenger(order)
            self._parties = with_model_of(variant, reader.state, self._parties)
            try:
                loaded = self._catch_up(reader, variant)
            except ReplayImpossible as error:
                if not self._parties.accept_loss or order is not None:
                    raise
                best = self._loader.best_snapshot(reader.state.variants[variant].snapshots)
                made_anew = isinstance(error, AnotherTopic)
                why = f"replay is impossible: {error}"
                variant = beginnings.after_loss(variant, best, why, made_anew=made_anew)
                loaded = self._catch_up(reader, variant)
        return self._become_writer(variant, loaded, stop)

    @property
    def _loader(self) -> Loader:
        return Loader(self._parties, partial(self._new_learner, self._parties.model))

    def _catch_up(self, known: JournalReader, variant: str) -> Loaded:
        loaded = self._loader.newest(known, variant)
        loaded.replay.follow(loaded.journal.read_to_end())
        # Where no step was learned again: is it today's topic that the next one is to be read of?
        if learned := loaded.journal.state.variants[variant].topic_id:
            loaded.replay.check_topic(learned)
        loaded.skip(variant)
        gone = lost(self._parties.log, self._parties.topics.events, loaded.replay.events)
        if gone:
            behind = {p: loaded.replay.events.get(p, 0) + count for p, count in gone.items()}
            raise ReplayImpossible(
                f"{self._parties.topics.events.name}: records that {variant} never learned are gone, "
                f"by partition: {gone}; {skip_to(behind)} goes on behind them, {ACCEPT_LOSS} does as a new "
                "variant"
            )
        events = self._parties.topics.events
        loaded.replay.events |= added_partitions(self._parties.log, events, loaded.replay.events)
        log.info(
            "caught up",
            extra={"variant": variant, "snapshot_step": loaded.snapshot_step, "step": loaded.replay.step},
        )
        return loaded

    def _become_writer(self, variant: str, loaded: Loaded, stop: Stop) -> Started | None:
        self._caught_up()
        self._stand_by(variant, loaded, stop)
        if stop.requested() or loaded.journal.state.is_over(variant):
            return None
        epoch = self._claim(variant, loaded)
        loaded.replay.close()
        return Started(variant, epoch, loaded, self._parties)

    def _stand_by(self, variant: str, loaded: Loaded, stop: Stop) -> None:
        """Follow the journal until it names no writer, or the feed was silent for long enough."""
        state = loaded.journal.state.variants[variant]
        if state.writer is None:
            return
        log.info("standing by", extra={"variant": variant, "writer": state.writer})
        topic = self._parties.topics.feed
        ends = {p: self._parties.log.bounds(topic.name, p).next for p in range(topic.partitions)}
        feed = self._parties.log.reader(topic.name, ends)
        try:
            silent_seconds = 0.0
            while not stop.requested() and state.writer is not None:
                self._follow(loaded)
                if loaded.journal.state.is_over(variant):
                    return
                polled_at = self._clock.monotonic()
                if hears(feed, variant, state.epoch):
                    silent_seconds = 0.0
                    continue
                # A clock goes on while this process is frozen; no poll counts for more than it may take.
                silent_seconds += min(self._clock.monotonic() - polled_at, 2 * _POLL_SECONDS)
                if silent_seconds >= self._takeover_after_seconds:
                    return
        finally:
            feed.close()

    def _follow(self, loaded: Loaded) -> None:
        entries = loaded.journal.poll(0)
        loaded.replay.follow(entries)
        for _, line, verdict in entries:
            if isinstance(line, Snapshot) and verdict.valid:
                loaded.replay.forget_outputs(line.step)

    def _claim(self, variant: str, loaded: Loaded) -> int:
        """Claim, read up to the claim, and return its epoch."""
        who = self._parties.who
        self._writer.append(Claim(variant=variant, who=who, step=loaded.replay.step))
        self._parties.reached(Point.CLAIM_SENT)
        # Polls that found nothing are counted, not seconds: a clock goes on while a process is frozen.
        empty_polls = 0
        while empty_polls * _POLL_SECONDS < _CLAIM_SECONDS:
            entries = loaded.journal.poll(_POLL_SECONDS)
            empty_polls += not entries
            loaded.replay.follow(entries)
            for offset, line, _ in entries:
                if isinstance(line, Claim) and line.who == who:
                    epoch = place_of(loaded.journal.state.journal, offset)
                    self._check_newest(variant, epoch, loaded)
                    self._check_reached(variant, loaded)
                    self._parties.reached(Point.CLAIMED)
                    return epoch
        raise RecoverableError(
            f"the claim of {variant} was sent but does not come back in {_CLAIM_SECONDS:.0f} s: are the "
            f"brokers well? Start again: nothing was learned meanwhile"
        )

    def _check_newest(self, variant: str, epoch: int, loaded: Loaded) -> None:
        newest = loaded.journal.state.variants[variant].epoch
        if newest != epoch:
            raise Superseded(
                f"{variant} was claimed by another process (epoch {newest}) right after us ({epoch})"
            )

    def _check_reached(self, variant: str, loaded: Loaded) -> None:
        """An election can lose lines after the snapshot that they led to was loaded."""
        reached = loaded.journal.state.variants[variant].step
        if reached < loaded.replay.step:
            raise RecoverableError(
                f"{variant}: steps {reached + 1} to {loaded.replay.step}, which our snapshot holds, are no "
                "longer in the journal: its broker lost acknowledged lines (unclean leader election?); "
                "the next start goes on from an older snapshot"
            )


def hears(feed: Reader, variant: str, epoch: int) -> bool:
    """Return whether the writer of *epoch* said anything; what is no chunk of ours says nothing."""
    heard = False
    for fetch in feed.poll(_POLL_RECORDS, _POLL_SECONDS):
        for value in fetch.values:
            with suppress(InvalidRecord):
                interval = decode_chunk(value).interval
                heard |= interval.variant == variant and interval.epoch == epoch
    return heard
