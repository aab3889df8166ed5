"""
The loop of a learner that shares its weights: which partitions are its own, and whose turn it is.

One thread asks the group, reads events, and hands each owned partition's next batch to a worker; a partition
has one batch in flight, so that its pushes are in order. Several partitions are in flight at a time.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field

from stream_ml.errors import CannotContinue, RecoverableError
from stream_ml.learning.starting import Superseded
from stream_ml.learning.ways_on import ACCEPT_LOSS, skip_to
from stream_ml.runtime import metrics
from stream_ml.runtime.clock import Clock
from stream_ml.sharing import counting
from stream_ml.sharing.owning import OwnedPartition, OwnershipEnded, Pushed
from stream_ml.sharing.queue import Waiting
from stream_ml.sharing.sizing import BatchSize
from stream_ml.streams.group import Group
from stream_ml.streams.log import Fetch, Log, LogTruncated, Reader

log = logging.getLogger(__name__)

# Before a partition is taken again, doubled from time to time while that fails.
_RETRY_SECONDS = 0.1
_LONGEST_RETRY_SECONDS = 0.5
_NAP_SECONDS = 0.005


@dataclass(frozen=True, slots=True)
class SharingLimits:
    """
    How much at a time, and how often.

    Attributes:
        batch_records: of a batch, at first. most_records: of one, while learning is behind.
        call_seconds: what a call of a shard may take for a batch to become larger.
        waiting_bytes: of events read ahead or being learned, of all partitions together.
        poll_seconds: longest wait for a record.
        look_seconds: time between two looks at the fences of a partition with nothing to learn.
        commit_seconds: time between two commits of offsets, which are advice.
        workers: batches in flight.
    """

    batch_records: int
    most_records: int
    call_seconds: float
    waiting_bytes: int
    poll_seconds: float
    look_seconds: float
    commit_seconds: float
    workers: int


@dataclass(slots=True)
class _Assigned:
    """
    A partition of ours.

    Attributes:
        owned: once it was taken. busy: while a worker has it.
        taken: bytes of the batch that the worker has, or waits for.
        leaving: it is not ours any more; what is in flight may end. anew: it is to be taken again.
        read_to: offset of the next record to read.
        why: it is not owned; empty while it is, and before the first try. retry_seconds: to the next one.
    """

    owned: OwnedPartition | None = None
    busy: Future[OwnedPartition | Pushed | None] | None = None
    taken: int = 0
    leaving: bool = False
    anew: bool = False
    waiting: Waiting = field(default_factory=Waiting)
    read_to: int = 0
    why: str = ""
    retry_seconds: float = _RETRY_SECONDS
    retry_at: float = 0.0
    look_at: float = 0.0


class SharingLoop:
    """
    Learns what the group assigns until it is asked to stop.

    Attributes:
        learned: events that this process has learned and the home shards have counted.
        owned: the partitions that are its own, by number; for other threads too.
    """

    def __init__(
        self,
        model: str,
        log: Log,
        topic: str,
        group: Group,
        take: Callable[[int], OwnedPartition],
        learns: Callable[[], bool],
        pushed: Callable[[Pushed], None],
        limits: SharingLimits,
        clock: Clock,
    ) -> None:
        """
        Read nothing yet.

        Args:
            take: becomes the owner of a partition; called in a worker.
            learns: whether no decision stops learning; while one does, partitions stay owned.
            pushed: called with every batch that counts.
        """
        self._model, self._log, self._topic, self._group = model, log, topic, group
        self._take, self._learns, self._pushed = take, learns, pushed
        self._limits, self._clock = limits, clock
        self._learned = True
        self._assigned: dict[int, _Assigned] = {}
        self._reader: Reader | None = None
        self._read: frozenset[int] = frozenset()
        self._commit_at = clock.monotonic()
        self._threads = ThreadPoolExecutor(limits.workers, "share")
        self._size = BatchSize(limits.batch_records, limits.most_records, limits.call_seconds)
        counting.show(model)
        metrics.LEARNER_WAITING_LIMIT.labels(model).set(limits.waiting_bytes)
        self.learned = 0
        self.owned: Mapping[int, OwnedPartition] = {}

    def run(self, stopping: Callable[[], bool]) -> None:
        """
        Learn until *stopping*; then let what is in flight end, and leave the group.

        Raises:
            CannotContinue, Undeliverable, Superseded: the process must end.
        """
        try:
            while not stopping():
                self._turn()
            self._drain()
        finally:
            self._threads.shutdown(wait=True, cancel_futures=True)
            if self._reader is not None:
                self._reader.close()
            self._group.close()

    @property
    def fences(self) -> Mapping[int, int]:
        """Per owned partition, up to where all shards have its events."""
        return {partition: owned.next for partition, owned in self.owned.items()}

    def _turn(self) -> None:
        self._follow_group()
        for partition, each in self._assigned.items():
            if each.busy is not None and each.busy.done():
                self._finish(partition, each, each.busy)
        self._follow_decisions()
        self.owned = {p: each.owned for p, each in self._assigned.items() if each.owned is not None}
        self._read_events()
        for partition, each in self._assigned.items():
            if each.busy is None and not each.leaving:
                self._employ(partition, each)
        self._commit()

    def _follow_group(self) -> None:
        mine = self._group.poll()
        for partition in mine - self._assigned.keys():
            self._assigned[partition] = _Assigned()
        for partition, each in list(self._assigned.items()):
            each.leaving = partition not in mine
            # A push in flight may still come; if another has taken the partition by then it is refused.
            if each.leaving and each.busy is None:
                del self._assigned[partition]

    def _follow_decisions(self) -> None:
        learned, self._learned = self._learned, self._learns()
        if self._learned and not learned:
            # Perhaps behind events that are skipped: who takes a partition goes on there.
            for each in self._assigned.values():
                each.anew = each.owned is not None
        for each in self._assigned.values():
            if each.anew and each.busy is None:
                each.owned, each.anew = None, False
                each.waiting.clear()

    def _finish(self, partition: int, each: _Assigned, done: Future[OwnedPartition | Pushed | None]) -> None:
        """Take what a worker did."""
        each.busy, each.taken = None, 0
        try:
            result = done.result()
        except Superseded:
            raise
        except RecoverableError as error:
            self._end_ownership(partition, each, error)
            return
        if isinstance(result, OwnedPartition):
            each.owned, each.read_to = result, result.next
            each.why, each.retry_seconds = "", _RETRY_SECONDS
            if partition in self._read and self._reader is not None:
                self._reader.seek(partition, result.next)
            log.info("partition taken", extra={"partition": partition, "next": result.next})
        elif result is not None:
            self._report(result)

    def _end_ownership(self, partition: int, each: _Assigned, error: RecoverableError) -> None:
        why = _why(error)
        if each.owned is not None:
            metrics.LEARNER_OWNERSHIPS_ENDED.labels(self._model, why).inc()
        # Tries go on many times a second while a shard is away: they are told once.
        level = logging.DEBUG if each.why == why else logging.WARNING
        log.log(level, "partition not owned", extra={"partition": partition, "reason": str(error)})
        each.owned, each.why = None, why
        each.waiting.clear()
        self._size.failed()
        each.retry_at = self._clock.monotonic() + each.retry_seconds
        each.retry_seconds = min(2 * each.retry_seconds, _LONGEST_RETRY_SECONDS)

    def _report(self, pushed: Pushed) -> None:
        self._size.took(pushed.records, pushed.call_seconds)
        if pushed.counted:
            self.learned += pushed.learned.learned
            self._pushed(pushed)
            counting.count(self._model, pushed)
        stages = {"pull": pushed.pull_seconds, "learn": pushed.learn_seconds, "push": pushed.push_seconds}
        for stage, seconds in stages.items():
            metrics.LEARNER_STAGE_SECONDS.labels(self._model, stage).observe(seconds)

    def _read_events(self) -> None:
        if not self.owned.keys() <= self._read or not self._read <= self._assigned.keys():
            self._open_reader(frozenset(self.owned))
        held = sum(each.waiting.size + each.taken for each in self._assigned.values())
        metrics.LEARNER_WAITING.labels(self._model).set(held)
        full = held >= self._limits.waiting_bytes
        if self._reader is None or full or not self.owned:
            # Nothing to read, no room before a worker ends, or nobody to read it for.
            time.sleep(min(self._limits.poll_seconds, _NAP_SECONDS))
            return
        for fetch in self._poll(self._reader):
            each = self._assigned.get(fetch.partition)
            if each is not None and each.owned is not None:
                each.waiting.add(fetch)
                each.read_to = fetch.next

    def _poll(self, reader: Reader) -> list[Fetch]:
        try:
            return reader.poll(self._limits.batch_records, self._limits.poll_seconds)
        except LogTruncated as error:
            if error.why or error.wanted > error.next:
                raise CannotContinue(f"{error}; {ACCEPT_LOSS} goes on with what there is") from error
            raise CannotContinue(
                f"{error}: records were dropped before they were learned; "
                f"{skip_to({error.partition: error.first})} goes on behind them, their number is kept"
            ) from error

    def _open_reader(self, owned: frozenset[int]) -> None:
        if self._reader is not None:
            self._reader.close()
        self._read = owned
        starts = {partition: self._assigned[partition].read_to for partition in owned}
        self._reader = self._log.reader(self._topic, starts) if owned else None

    def _employ(self, partition: int, each: _Assigned) -> None:
        """Give a worker what there is to do for a partition, if anything."""
        now = self._clock.monotonic()
        owned = each.owned
        if owned is None:
            if now >= each.retry_at:
                each.busy = self._threads.submit(self._take, partition)
            return
        take = each.waiting.take if self._learned and not each.anew else _nothing
        batch = take(owned.next, owned.limit, self._size.records)
        if batch is not None:
            each.busy, each.taken = self._threads.submit(owned.learn, batch), batch.size
        elif now >= each.look_at:
            each.busy = self._threads.submit(owned.look_again)
        else:
            return
        each.look_at = now + self._limits.look_seconds

    def _commit(self) -> None:
        if self._clock.monotonic() >= self._commit_at:
            self._commit_at = self._clock.monotonic() + self._limits.commit_seconds
            self._group.commit(self.fences)

    def _drain(self) -> None:
        """Let what is in flight end."""
        for partition, each in self._assigned.items():
            if each.busy is not None:
                wait([each.busy])
                self._finish(partition, each, each.busy)
        self._group.commit(self.fences)


def _nothing(_next: int, _limit: int | None, _records: int) -> None:
    """Take no batch."""


def _why(error: RecoverableError) -> str:
    """Return what ended an ownership, in one of a few words."""
    return error.answer.kind if isinstance(error, OwnershipEnded) else "unavailable"
