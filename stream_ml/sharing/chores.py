"""What a learner does beside learning: publishes shards, takes snapshots, restores shards that are empty."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection
from concurrent.futures import Future, ThreadPoolExecutor

from stream_ml.errors import CannotContinue, RecoverableError
from stream_ml.learning.starting import Superseded
from stream_ml.runtime import metrics
from stream_ml.runtime.clock import Clock
from stream_ml.runtime.lifecycle import Stop
from stream_ml.sharing.events import SharedEvents
from stream_ml.sharing.homes import Homes
from stream_ml.sharing.publishing import SharedPublisher
from stream_ml.sharing.restoring import Source, StoredShards
from stream_ml.sharing.showing import SnapshotFigures, show_failure, show_success
from stream_ml.sharing.snapshotting import SharedSnapshots
from stream_ml.streams.log import Log
from stream_ml.weights.artefact import CorruptSnapshot, Stream
from stream_ml.weights.journal import JournalReader
from stream_ml.weights.lines import Announced, resumed_at
from stream_ml.weights.snapshots import SnapshotName, SnapshotStore
from stream_ml.weights.state import JournalState

log = logging.getLogger(__name__)

_NAP_SECONDS = 0.005
_RETRY_SECONDS = 1.0
# Between two looks at what the journal says.
_LOOK_SECONDS = 1.0
# Who does not own partition 0 waits so long for a snapshot by the one who does.
_PATIENCE_SECONDS = 30.0


class Newest:
    """The newest snapshot of a variant that verifies, looked up anew each time."""

    def __init__(self, log: Log, journal_topic: str, store: SnapshotStore, variant: str) -> None:
        self._log, self._topic, self._store, self._variant = log, journal_topic, store, variant

    def announced(self) -> list[Announced]:
        """Return what the journal announces, oldest first."""
        with JournalReader.open(self._log, self._topic) as reader:
            reader.read_to_end()
            return list(reader.state.variants[self._variant].snapshots)

    def skip(self, partition: int) -> int:
        """Return where a decision says that *partition* goes on; 0 where none does."""
        with JournalReader.open(self._log, self._topic) as reader:
            reader.read_to_end()
            decided = reader.state.skips(self._variant).get(partition)
        return 0 if decided is None else decided.decision.next or 0

    def state(self) -> JournalState:
        """Return what the journal says now."""
        with JournalReader.open(self._log, self._topic) as reader:
            reader.read_to_end()
            return reader.state

    def serves(self, state: JournalState) -> bool:
        """Whether it is this variant that serves."""
        return state.serving == self._variant

    def learns(self, state: JournalState) -> bool:
        """Whether no decision stops the variant."""
        return state.learns(self._variant)

    def resumed_at(self, state: JournalState) -> int:
        """Return the place of the decision that resumed the variant; -1 if none is in force."""
        return resumed_at(state.decisions.values(), self._variant)

    def is_over(self, state: JournalState) -> bool:
        """Whether nobody learns the variant any more: it was stopped, and another one serves."""
        return state.is_over(self._variant)

    def check_serving(self, state: JournalState | None = None) -> None:
        """Raises Superseded: another variant serves, this one's shards may be gone."""
        state = state or self.state()
        if not state.is_alive(self._variant):
            raise Superseded(
                f"{state.serving} serves now, {self._variant} was moved; start again to learn it"
            )

    def streams(self) -> tuple[Stream, ...] | None:
        """Return the streams of the newest one whose header can be read; None without any."""
        for snapshot in reversed(self.announced()):
            try:
                with self._store.open(snapshot.name) as found:
                    return found.manifest.streams
            except CorruptSnapshot as error:
                log.error("a snapshot does not verify and is skipped", extra={"reason": str(error)})
        return None

    def verified(self) -> SnapshotName | None:
        """Return the newest one that verifies as a whole."""
        for snapshot in reversed(self.announced()):
            try:
                self._store.verify(snapshot.name)
            except CorruptSnapshot as error:
                log.error("a snapshot does not verify and is skipped", extra={"reason": str(error)})
            else:
                return SnapshotName.parse(snapshot.name)
        return None


class NewestShards:
    """What shards are restored from: the newest snapshot that verifies, or the variant's beginning."""

    def __init__(self, newest: Newest, store: SnapshotStore, beginning: Source | None, shards: int) -> None:
        """*beginning*: None where the journal does not say any more how the variant began."""
        self._newest, self._store, self._beginning, self._shards = newest, store, beginning, shards

    def choose(self, shard: int) -> Source:
        """
        Return what *shard* is to be restored from now.

        Raises:
            CannotContinue: no snapshot verifies, and the beginning is not known any more.
            Superseded: another variant serves; this shard was given up.
        """
        self._newest.check_serving()
        name = self._newest.verified()
        source = self._beginning if name is None else StoredShards(self._store, str(name), self._shards)
        if source is None:
            raise CannotContinue(
                f"shard {shard} is empty in Redis, and no snapshot verifies: restore one in the store"
            )
        return source


class Chores:
    """
    Does the chores of one process, in two threads beside learning: publishing, and snapshots.

    Which are its own follows from the partitions it owns: who owns partition ``s mod P`` publishes shard s,
    who owns partition 0 takes the snapshots. Where two believe so for a while, no harm is done.

    Attributes:
        learns, serves: no decision in the journal stops the variant; it is the one that serves. Both are
            False until the journal was read.
    """

    def __init__(
        self,
        model: str,
        shards: int,
        partitions: int,
        owned: Callable[[], Collection[int]],
        publisher: SharedPublisher,
        snapshots: SharedSnapshots,
        newest: Newest,
        homes: Homes,
        events: SharedEvents,
        snapshot_seconds: float,
        retain: Callable[[list[Announced]], None],
        figures: SnapshotFigures,
        resumed: Callable[[], None],
        clock: Clock,
    ) -> None:
        """
        Do nothing yet.

        Args:
            partitions: of the events.
            owned: the partitions that this process owns now.
            retain: removes what is older than the snapshots that are kept.
            resumed: called when a decision lets learning go on.
        """
        self._model, self._shards, self._partitions, self._owned = model, shards, partitions, owned
        self._publisher, self._snapshots = publisher, snapshots
        self._newest, self._homes, self._events = newest, homes, events
        self._snapshot_seconds, self._retain, self._clock = snapshot_seconds, retain, clock
        self._figures = figures
        self._resumed, self._resumed_at = resumed, -1
        self.learns = self.serves = False
        self._known: tuple[Stream, ...] | None = None
        self._mine: set[int] = set()
        self._wanted_since: float | None = None
        self._taken_at = self._look_at = clock.monotonic()
        self._taking: Future[tuple[Stream, ...]] | None = None

    def run(self, stop: Stop) -> None:
        """
        Do chores until *stop*, or nobody learns the variant any more; what fails is tried again.

        Raises:
            Superseded: another variant serves; this process is to start again.
            EventsGone: the topic of the events was made anew.
            AnotherRedis: another Redis has the rows now.
        """
        with ThreadPoolExecutor(1, "snapshot") as thread:
            while not stop.requested():
                try:
                    if self._is_over():
                        return
                    self._turn(thread, stop)
                except Superseded:
                    raise
                except RecoverableError as error:
                    log.warning("a chore waits", extra={"reason": str(error)})
                    stop.wait(_RETRY_SECONDS)
                stop.wait(_NAP_SECONDS)

    def _turn(self, thread: ThreadPoolExecutor, stop: Stop) -> None:
        owned = self._owned()
        if self._taking is not None and self._taking.done():
            taking, self._taking = self._taking, None
            self._known = taking.result()
            self._publisher.snapshot_taken(dict(enumerate(self._known)))
            self._figures.taken()
        self._figures.turn(0 in owned)
        if self._due(owned) and self._taking is None:
            self._taken_at = self._clock.monotonic()
            self._taking = thread.submit(self._take, stop)
        mine = {shard for shard in range(self._shards) if shard % self._partitions in owned}
        if mine - self._mine or (mine and self._known is None):
            # A shard that is ours now goes on from what others took meanwhile.
            self._read_newest()
        self._mine = mine
        if self._known is not None:
            self._publisher.begin({shard: self._known[shard] for shard in mine})
            self._publisher.turn(stop.requested)

    def _is_over(self) -> bool:
        """Look, from time to time, at what the journal says; return whether nobody learns the variant."""
        if self._clock.monotonic() < self._look_at:
            return False
        self._look_at = self._clock.monotonic() + _LOOK_SECONDS
        state = self._newest.state()
        learned, self.learns = self.learns, self._newest.learns(state)
        self.serves = self._newest.serves(state)
        if learned != self.learns:
            log.info("learns" if self.learns else "learning is stopped", extra={"model": self._model})
            metrics.LEARNER_STOPPED.labels(self._model).set(not self.learns)
        resumed_at = self._newest.resumed_at(state)
        if resumed_at > self._resumed_at:
            # A stop and its resume may be read at once.
            self._resumed_at = resumed_at
            self._resumed()
        if self._newest.is_over(state):
            return True
        self._newest.check_serving(state)
        self._events.check_topic()
        self._homes.follow(state)
        if self._publisher.snapshot_wanted:
            self._read_newest()
        return False

    def _read_newest(self) -> None:
        known = self._newest.streams()
        if known is not None and known != self._known:
            self._known = known
            self._publisher.snapshot_taken(dict(enumerate(known)))

    def _due(self, owned: Collection[int]) -> bool:
        now, wanted = self._clock.monotonic(), self._publisher.snapshot_wanted
        since = now - self._taken_at
        self._wanted_since = (self._wanted_since or now) if wanted else None
        if not owned or since < _RETRY_SECONDS:
            return False
        if 0 not in owned:
            # Who takes one holds all rows: of many learners that are told of another server, one is enough.
            return self._wanted_since is not None and now - self._wanted_since >= _PATIENCE_SECONDS
        # One at once where there is none, so that predictors can start.
        return (
            wanted
            or self._known is None
            or self._publisher.others_began_anew(self._known)
            or since >= self._snapshot_seconds
        )

    def _take(self, stop: Stop) -> tuple[Stream, ...]:
        try:
            streams = self._snapshots.take(stop.requested)
        except RecoverableError as error:
            show_failure(self._model, error)
            raise
        show_success(self._model, self._clock.now())
        self._retain(self._newest.announced())
        return streams
