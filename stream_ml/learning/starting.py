"""From nothing to the variant's writer: newest snapshot, replay, waiting for silence, claim."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass

from stream_ml._native import Learner
from stream_ml.errors import CannotContinue, RecoverableError
from stream_ml.learning.beginnings import Beginnings, Parties
from stream_ml.learning.fetching import added_partitions
from stream_ml.learning.outputs import Source
from stream_ml.learning.points import Point
from stream_ml.learning.replaying import Replay, ReplayImpossible
from stream_ml.learning.topics import lost
from stream_ml.runtime.clock import Clock
from stream_ml.runtime.lifecycle import Stop
from stream_ml.streams.log import Reader
from stream_ml.weights.artefact import CorruptSnapshot
from stream_ml.weights.feed import decode_chunk
from stream_ml.weights.journal import JournalReader, JournalWriter
from stream_ml.weights.lines import Announced, Claim, NewerFormat, Seed, Snapshot, place_of
from stream_ml.weights.snapshots import SnapshotStore, load

log = logging.getLogger(__name__)

_POLL_SECONDS = 0.05
_POLL_RECORDS = 1000
_CLAIM_SECONDS = 30.0


class Superseded(RecoverableError):
    """Another process has claimed the variant: this one stops at once, its memory counts for nothing."""


@dataclass(frozen=True, slots=True)
class Started:
    """
    A process that is the variant's writer.

    Attributes:
        replay: at the last valid step, with the outputs since *snapshot_step*.
        snapshot_step: of the snapshot that it began with; 0 if with none.
        has_snapshot: whether there was one.
    """

    variant: str
    epoch: int
    seed: Seed | None
    replay: Replay
    journal: JournalReader
    snapshot_step: int
    has_snapshot: bool


class Start:
    """Makes this process the writer of the variant that serves."""

    def __init__(
        self,
        parties: Parties,
        writer: JournalWriter,
        new_learner: Callable[[], Learner],
        takeover_after_seconds: float,
        clock: Clock,
    ) -> None:
        self._parties, self._writer, self._new_learner = parties, writer, new_learner
        self._takeover_after_seconds, self._clock = takeover_after_seconds, clock

    def run(self, stop: Stop) -> Started | None:
        """
        Return once this process is the writer, or None if *stop* was asked for before.

        Raises:
            ReplayImpossible: what was learned cannot be learned again, and no loss is accepted.
            Superseded: another process claimed at the same moment.
        """
        with JournalReader.open(self._parties.log, self._parties.topics.journal.name) as reader:
            reader.read_to_end()
            beginnings = Beginnings(self._parties, reader, self._writer)
            variant = beginnings.serving_variant()
            try:
                loaded = self._catch_up(reader, variant)
            except ReplayImpossible as error:
                if not self._parties.accept_loss:
                    raise
                best = _best_snapshot(self._parties.store, reader.state.variants[variant].snapshots)
                variant = beginnings.new_variant(best, f"replay is impossible: {error}")
                loaded = self._catch_up(reader, variant)
        return self._become_writer(variant, loaded, stop)

    def _catch_up(self, known: JournalReader, variant: str) -> _Loaded:
        loaded = self._load(known, variant)
        loaded.replay.follow(loaded.journal.read_to_end())
        gone = lost(self._parties.log, self._parties.topics.events, loaded.replay.events)
        if gone:
            raise ReplayImpossible(
                f"{self._parties.topics.events.name}: records that {variant} never learned are gone, "
                f"by partition: {gone}; --accept-loss goes on behind them as a new variant"
            )
        events = self._parties.topics.events
        loaded.replay.events |= added_partitions(self._parties.log, events, loaded.replay.events)
        log.info(
            "caught up",
            extra={"variant": variant, "snapshot_step": loaded.snapshot_step, "step": loaded.replay.step},
        )
        return loaded

    def _load(self, known: JournalReader, variant: str) -> _Loaded:
        """Return a learner as of the newest snapshot that verifies, or of the variant's beginning."""
        state = known.state.variants[variant]
        for snapshot in reversed(state.snapshots):
            try:
                learner = self._loaded(snapshot.name)
            except CorruptSnapshot as error:
                log.error("a snapshot does not verify and is skipped", extra={"reason": str(error)})
                continue
            reader = _reader_after(known, snapshot)
            replay = self._replay(learner, variant, snapshot.step, snapshot.events)
            return _Loaded(replay, reader, state.seed, snapshot.step, has_snapshot=True)
        return self._from_the_beginning(variant)

    def _from_the_beginning(self, variant: str) -> _Loaded:
        reader = JournalReader(self._parties.log, self._parties.topics.journal.name)
        entries = reader.read_to_end()
        line = reader.state.variants[variant].line
        if line is None:
            raise ReplayImpossible(
                f"no snapshot of {variant} verifies, and the journal does not reach back to its beginning; "
                "restore a snapshot, or begin a new variant with --accept-loss"
            )
        try:
            learner = self._new_learner() if line.seed is None else self._loaded(line.seed.name)
        except CorruptSnapshot as error:
            raise ReplayImpossible(
                f"{variant} begins with a snapshot that does not verify: {error}"
            ) from error
        replay = self._replay(learner, variant, 0, line.events)
        replay.follow(entries)
        return _Loaded(replay, reader, line.seed, 0, has_snapshot=False)

    def _loaded(self, name: str) -> Learner:
        learner = self._new_learner()
        with self._parties.store.open(name) as snapshot:
            learner.load_state(load(snapshot, learner).state)
        return learner

    def _replay(self, learner: Learner, variant: str, step: int, events: dict[int, int]) -> Replay:
        events_topic = self._parties.topics.events
        source = Source(self._parties.name, variant, events_topic.name)
        return Replay(self._parties.log, events_topic, learner, source, step, events)

    def _become_writer(self, variant: str, loaded: _Loaded, stop: Stop) -> Started | None:
        self._stand_by(variant, loaded, stop)
        if stop.requested():
            return None
        epoch = self._claim(variant, loaded)
        loaded.replay.close()
        return Started(
            variant=variant,
            epoch=epoch,
            seed=loaded.seed,
            replay=loaded.replay,
            journal=loaded.journal,
            snapshot_step=loaded.snapshot_step,
            has_snapshot=loaded.has_snapshot,
        )

    def _stand_by(self, variant: str, loaded: _Loaded, stop: Stop) -> None:
        """Follow the journal until it names no writer, or the feed was silent for long enough."""
        state = loaded.journal.state.variants[variant]
        if state.writer is None:
            return
        log.info("standing by", extra={"variant": variant, "writer": state.writer})
        topic = self._parties.topics.feed
        ends = {p: self._parties.log.bounds(topic.name, p).next for p in range(topic.partitions)}
        feed = self._parties.log.reader(topic.name, ends)
        try:
            heard_at = self._clock.monotonic()
            while not stop.requested() and state.writer is not None:
                self._follow(loaded)
                if _hears(feed, variant, state.epoch):
                    heard_at = self._clock.monotonic()
                elif self._clock.monotonic() - heard_at >= self._takeover_after_seconds:
                    return
        finally:
            feed.close()

    def _follow(self, loaded: _Loaded) -> None:
        entries = loaded.journal.poll(0)
        loaded.replay.follow(entries)
        for _, line, verdict in entries:
            if isinstance(line, Snapshot) and verdict.valid:
                loaded.replay.forget_outputs(line.step)

    def _claim(self, variant: str, loaded: _Loaded) -> int:
        """Claim, read up to the claim, and return its epoch."""
        who = self._parties.who
        self._writer.append(Claim(variant=variant, who=who, step=loaded.replay.step))
        self._parties.reached(Point.CLAIM_SENT)
        give_up_at = self._clock.monotonic() + _CLAIM_SECONDS
        while self._clock.monotonic() < give_up_at:
            entries = loaded.journal.poll(_POLL_SECONDS)
            loaded.replay.follow(entries)
            for offset, line, _ in entries:
                if isinstance(line, Claim) and line.who == who:
                    epoch = place_of(loaded.journal.state.journal, offset)
                    self._check_newest(variant, epoch, loaded)
                    self._parties.reached(Point.CLAIMED)
                    return epoch
        raise CannotContinue(
            f"the claim of {variant} was sent but does not come back in {_CLAIM_SECONDS:.0f} s"
        )

    def _check_newest(self, variant: str, epoch: int, loaded: _Loaded) -> None:
        newest = loaded.journal.state.variants[variant].epoch
        if newest != epoch:
            raise Superseded(
                f"{variant} was claimed by another process (epoch {newest}) right after us ({epoch})"
            )


@dataclass(frozen=True, slots=True)
class _Loaded:
    """As of `Started`, of a process that is no writer yet."""

    replay: Replay
    journal: JournalReader
    seed: Seed | None
    snapshot_step: int
    has_snapshot: bool


def _hears(feed: Reader, variant: str, epoch: int) -> bool:
    """Return whether the writer of *epoch* said anything."""
    chunks = [
        decode_chunk(value) for fetch in feed.poll(_POLL_RECORDS, _POLL_SECONDS) for value in fetch.values
    ]
    return any(chunk.interval.variant == variant and chunk.interval.epoch == epoch for chunk in chunks)


def _reader_after(known: JournalReader, snapshot: Announced) -> JournalReader:
    try:
        return known.replay(snapshot)
    except NewerFormat:
        raise
    except CannotContinue as error:
        raise ReplayImpossible(str(error)) from error


def _best_snapshot(store: SnapshotStore, snapshots: list[Announced]) -> Announced | None:
    """Return the newest of *snapshots* that verifies."""
    for snapshot in reversed(snapshots):
        try:
            store.verify(snapshot.name)
        except CorruptSnapshot as error:
            log.error("a snapshot does not verify and is skipped", extra={"reason": str(error)})
        else:
            return snapshot
    return None
