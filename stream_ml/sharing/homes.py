"""
Which Redis has a variant's rows: its *home*, named in the journal and in every shard.

Any Redis that is empty looks like the right one that has lost everything. So whoever finds a shard with
another home than the journal's stops, and an empty Redis becomes the home only where none was before, or
where the learners of the other one are silent: nobody publishes its rows.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Sequence

from stream_ml.errors import CannotContinue
from stream_ml.learning.parties import Parties
from stream_ml.learning.starting import hears
from stream_ml.learning.ways_on import ACCEPT_LOSS
from stream_ml.runtime.clock import Clock
from stream_ml.weights.journal import JournalReader, JournalWriter
from stream_ml.weights.lines import Decided, Decision
from stream_ml.weights.shards import Answer, Shards, ShardUnavailable
from stream_ml.weights.state import JournalState

log = logging.getLogger(__name__)

_POLL_SECONDS = 0.05
_FLUSH_SECONDS = 30.0
# Deltas may still be on their way when a Redis has just lost everything; learners at work go on for longer.
_LISTENS = 3
# Epoch of the deltas of learners that share.
_EPOCH = 0


class AnotherRedis(CannotContinue):
    """It is not the one that the variant's learners share."""


class Homes:
    """The home of one variant's rows. Thread-safe."""

    def __init__(
        self,
        parties: Parties,
        variant: str,
        shards: Shards,
        journal: JournalWriter,
        silence_seconds: float,
        clock: Clock,
    ) -> None:
        """*silence_seconds*: of a home's learners, after which another Redis may become the home."""
        self._parties, self._variant, self._shards, self._journal = parties, variant, shards, journal
        self._silence_seconds, self._clock = silence_seconds, clock
        self._home: str | None = None
        self._choosing = threading.Lock()

    def check(self, shard: int, answer: Answer) -> None:
        """
        See that *answer*, of a look at *shard*, is of the variant's home.

        Raises:
            AnotherRedis: it is not.
        """
        if answer.home == self._home or (answer.kind in {"empty", "evicts"} and not answer.home):
            return
        self._home = home_of(self._variant, self._state())
        if answer.home != self._home:
            told = f"is {self._home}" if self._home else f"knows nothing of rows of {self._variant} in Redis"
            raise AnotherRedis(
                f"shard {shard} of {self._variant} in this Redis belongs to {answer.home or 'nobody'}, the "
                f"journal {told}: other learners share the rows in another Redis, or these are what another "
                f"Kafka's learners left\n  hint: see `weights`, all learners of a model name one Redis; "
                f"{ACCEPT_LOSS} begins a new variant in this one from the newest snapshot"
            )

    def follow(self, state: JournalState) -> None:
        """
        Take notice of a home that the journal has named since.

        Raises:
            AnotherRedis: it is not where our shards are.
            ShardUnavailable: one does not answer.
        """
        named = home_of(self._variant, state)
        if self._home is not None and named != self._home:
            self._home = named
            self._look_at_all()

    def choose(self) -> str:
        """
        Return the home that an empty shard is to be restored with: this Redis is it, or becomes it.

        Raises:
            AnotherRedis: another one is.
            ShardUnavailable: a shard does not answer, or somebody else is choosing; safe to retry.
        """
        with self._choosing:
            if self._settled():
                assert self._home, "was compared with what is there"
                return self._home
            known = home_of(self._variant, self._state())
            silent = known is None or self._is_silent()
            # Another learner with this Redis may have been quicker, and is at work by now.
            if self._settled():
                assert self._home, "was compared with what is there"
                return self._home
            if not silent:
                raise AnotherRedis(
                    f"all shards of {self._variant} in this Redis are empty, and its learners are at work "
                    f"with another one ({known})\n  hint: see `weights`, all learners of a model name one "
                    "Redis"
                )
            return self._decide(known)

    def _settled(self) -> bool:
        """Whether a shard is here whose home the journal names; the others are given the name too."""
        looks = self._look_at_all()
        if not any(look.home for look in looks):
            return False
        self._settle([shard for shard, look in enumerate(looks) if not look.home])
        return True

    def _look_at_all(self) -> list[Answer]:
        looks = [self._shards.look(shard) for shard in range(self._shards.count)]
        for shard, look in enumerate(looks):
            self.check(shard, look)
        return looks

    def _decide(self, known: str | None) -> str:
        state = self._state()
        if home_of(self._variant, state) != known:
            raise ShardUnavailable("another learner has just chosen where the rows are; looked at again")
        replaced = state.decisions.get(f"home {self._variant}")
        self._journal.append(
            Decision(
                kind="home",
                variant=self._variant,
                who=self._parties.who,
                why="all shards are empty" if known else "first rows",
                replaces=replaced.place if replaced else None,
            )
        )
        self._journal.flush(_FLUSH_SECONDS)
        decided = self._state().decisions[f"home {self._variant}"]
        if decided.decision.who != self._parties.who:
            raise ShardUnavailable("another learner has just chosen where the rows are; looked at again")
        self._home = _name_of(decided)
        log.info("this Redis has the rows from now on", extra={"variant": self._variant, "home": self._home})
        self._settle(range(self._shards.count))
        return self._home

    def _settle(self, shards: Sequence[int]) -> None:
        assert self._home is not None
        for shard in shards:
            self._shards.settle(shard, self._home)

    def _is_silent(self) -> bool:
        """Listen to the feed; return whether nobody publishes the variant's rows."""
        topic, log_ = self._parties.topics.feed, self._parties.log
        feed = log_.reader(topic.name, {p: log_.bounds(topic.name, p).next for p in range(topic.partitions)})
        log.warning("all shards are empty; listens whether another Redis has them")
        silent = heard = 0.0
        try:
            while silent < self._silence_seconds and silent + heard < _LISTENS * self._silence_seconds:
                polled_at = self._clock.monotonic()
                speaks = hears(feed, self._variant, _EPOCH)
                took = min(self._clock.monotonic() - polled_at, 2 * _POLL_SECONDS)
                heard, silent = (heard + silent + took, 0.0) if speaks else (heard, silent + took)
        finally:
            feed.close()
        return silent >= self._silence_seconds

    def _state(self) -> JournalState:
        with JournalReader.open(self._parties.log, self._parties.topics.journal.name) as reader:
            reader.read_to_end()
            return reader.state


def home_of(variant: str, state: JournalState) -> str | None:
    """Return the home of *variant* that the journal names, if any."""
    decided = state.decisions.get(f"home {variant}")
    return None if decided is None else _name_of(decided)


def _name_of(decided: Decided) -> str:
    # The place alone would be the same in the journals of two Kafkas.
    return f"{decided.place}@{decided.decision.who}"
