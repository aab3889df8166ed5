"""
The queue of retrain jobs: at least once, with effect once.

A job is taken by a claim that was read back, and kept by signs of life. Who hears none for the lease's
seconds of *its own* time, and has read to the end since, takes the job for free; nobody compares clocks.
What the one that was taken for dead says later is void (`queue_lines`), and it learns that from the topic.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Collection
from dataclasses import dataclass
from threading import RLock
from typing import Any

import orjson

from stream_ml.errors import InvalidRecord, RecoverableError
from stream_ml.retraining.jobs import JOBS_TOPIC, Job, decode_job, encode_job, ensure_jobs
from stream_ml.retraining.queue_lines import (
    WORK_TOPIC,
    Alive,
    Claim,
    End,
    Ended,
    JobState,
    Line,
    Release,
    WorkState,
    decode_line,
    encode_line,
)
from stream_ml.runtime.clock import Clock
from stream_ml.streams.log import Fetch, Log, Reader

log = logging.getLogger(__name__)

_POLL_RECORDS = 5_000
_SILENCE_SECONDS = 30.0


class LeaseLost(RecoverableError):
    """Another retrainer has the job, or it is over: what this one does for it counts no more."""


class JobCancelled(LeaseLost):
    """Somebody cancelled the job."""


class Queue:
    """One process's view of the jobs, and its voice; may be used from several threads."""

    def __init__(
        self,
        log: Log,
        who: str,
        clock: Clock,
        *,
        lease_seconds: float = 30.0,
        models: Collection[str] = (),
    ) -> None:
        """
        Create the topics where they are not there; read nothing yet.

        Args:
            who: unique to one life of a process.
            lease_seconds: of this one's claims.
            models: whose jobs are taken; none named: all.
        """
        ensure_jobs(log)
        log.ensure_topic(WORK_TOPIC, 1, settings={"cleanup.policy": "compact"})
        self.who, self._log, self._clock = who, log, clock
        self._lease_seconds, self._models = lease_seconds, frozenset(models)
        self._writer = log.writer()
        self._next = {topic: log.bounds(topic, 0).first for topic in (JOBS_TOPIC, WORK_TOPIC)}
        self._jobs_reader = log.reader(JOBS_TOPIC, {0: self._next[JOBS_TOPIC]}, keys=True)
        self._work_reader = log.reader(WORK_TOPIC, {0: self._next[WORK_TOPIC]}, keys=True)
        self._jobs: dict[str, Job] = {}
        self._asked_at: dict[str, float] = {}
        self._heard: dict[str, float] = {}
        self._work = WorkState()
        # By job: of the lines that are there, to remove them.
        self._keys: dict[str, set[bytes]] = {}
        self._awaited, self._counts = -1, False
        self._lock = RLock()

    def read(self) -> None:
        """
        Read both topics to where they end now.

        Raises:
            RecoverableError: records are there and do not arrive.
            CannotContinue: a later release writes here, or a topic was made anew.
        """
        with self._lock:
            for fetch in self._come(JOBS_TOPIC, self._jobs_reader):
                records = zip(fetch.offsets, fetch.keys or (), fetch.values, fetch.timestamps_ms, strict=True)
                for offset, key, value, at in records:
                    self._meet(offset, key, value, self._seconds(at))
            for fetch in self._come(WORK_TOPIC, self._work_reader):
                records = zip(fetch.offsets, fetch.keys or (), fetch.values, fetch.timestamps_ms, strict=True)
                for offset, key, value, at in records:
                    self._hear(offset, key, value, self._seconds(at))

    def take(self, ready: Callable[[Job], bool] = lambda job: True) -> Lease | None:
        """
        Claim the oldest job that nobody works at; return None if there is none, or another was faster.

        Args:
            ready: whether a job can be worked at now; others are passed over.

        Raises:
            RecoverableError, CannotContinue: as `read`.
        """
        with self._lock:
            self.read()
            for job in self._jobs.values():
                if self._takeable(job) and ready(job):
                    return self._claim(job)
            return None

    def waiting(self) -> dict[str, int]:
        """Return how many jobs nobody works at, of every model that is named or has had one."""
        with self._lock:
            counts = dict.fromkeys(self._known_models(), 0)
            for name, job in self._jobs.items():
                if self._ours(job):
                    counts[job.model] += self._work.of(name).free
            return counts

    def oldest_seconds(self) -> dict[str, float]:
        """Return the age of the oldest job that is not over, else 0, of every model named or with a job."""
        with self._lock:
            ages = dict.fromkeys(self._known_models(), 0.0)
            for name, job in self._jobs.items():
                if self._ours(job) and self._work.of(name).end is None:
                    ages[job.model] = max(ages[job.model], self.age_seconds(name))
            return ages

    def failed(self) -> dict[str, int]:
        """Return how many jobs failed and are not forgotten, of every model that is named or has had one."""
        with self._lock:
            counts = dict.fromkeys(self._known_models(), 0)
            for name, job in self._jobs.items():
                end = self._work.of(name).end
                if self._ours(job) and end is not None:
                    counts[job.model] += end.ended == "failed"
            return counts

    def _known_models(self) -> set[str]:
        return {*self._models, *(job.model for job in self._jobs.values() if self._ours(job))}

    def jobs(self) -> list[tuple[Job, JobState]]:
        """Return all jobs that were read, oldest first."""
        with self._lock:
            return [(job, self._work.of(name)) for name, job in self._jobs.items()]

    def age_seconds(self, job: str) -> float:
        """Return how long ago *job* was asked for, by the clocks of broker and of this machine."""
        with self._lock:
            return self._clock.now() - self._asked_at.get(job, math.inf)

    def forget(self, seconds: float) -> None:
        """
        Remove all that both topics hold of jobs that are over and were asked for so many *seconds* ago.

        Who asks for one of those again gets it done again.

        Raises:
            Undeliverable: a topic does not take it.
        """
        with self._lock:
            over = [name for name, job in self._jobs.items() if self._ours(job) and self._work.of(name).end]
            for name in [each for each in over if self.age_seconds(each) > seconds]:
                # First the job: one that is there without its end would be done again.
                self._writer.send(JOBS_TOPIC, None, key=name.encode(), partition=0)
                self._writer.flush(_SILENCE_SECONDS)
                for key in sorted(self._keys.get(name, ())):
                    self._writer.send(WORK_TOPIC, None, key=key, partition=0)
                self._writer.flush(_SILENCE_SECONDS)
                log.info("an old job is forgotten", extra={"job": name})

    def cancel(self, job: str, why: str) -> bool:
        """End *job*, whoever has it; return False if it was over before."""
        return self._say(End(job=job, lease=None, ended="cancelled", who=self.who, why=why))

    def state(self, job: str) -> JobState:
        """Return what holds for *job*."""
        with self._lock:
            return self._work.of(job)

    def close(self) -> None:
        """Leave both topics; idempotent."""
        with self._lock:
            self._jobs_reader.close()
            self._work_reader.close()
            self._writer.close()

    def _say(self, line: Line, sent: Callable[[], None] = lambda: None) -> bool:
        """Write *line*, read it back; return whether it counts. *sent* is called in between."""
        with self._lock:
            placed: list[int] = []
            key, value = encode_line(line)
            self._writer.send(
                WORK_TOPIC, value, key=key, partition=0, on_delivered=lambda _, offset: placed.append(offset)
            )
            self._writer.flush(_SILENCE_SECONDS)
            sent()
            self._awaited, self._counts = placed[0], False
            self.read()
            return self._counts

    def _claim(self, job: Job) -> Lease | None:
        replaces = self._work.of(job.job).lease
        claim = Claim(
            job=job.job,
            who=self.who,
            replaces=replaces,
            lease_seconds=self._lease_seconds,
            asked=orjson.loads(encode_job(job)) if replaces is None else None,
        )
        if not self._say(claim):
            return None
        state = self._work.of(job.job)
        assert state.lease is not None, "the claim counts"
        log.info("job taken", extra={"job": job.job, "lease": state.lease, "replaces": replaces})
        return Lease(self, job, state.lease)

    def _takeable(self, job: Job) -> bool:
        state = self._work.of(job.job)
        return self._ours(job) and state.end is None and (state.free or self._silent(job.job, state))

    def _ours(self, job: Job) -> bool:
        return not self._models or job.model in self._models

    def _silent(self, job: str, state: JobState) -> bool:
        assert state.claim is not None, "who has a lease has claimed"
        return self._clock.monotonic() - self._heard[job] >= state.claim.lease_seconds

    def _come(self, topic: str, reader: Reader) -> list[Fetch]:
        end = self._log.bounds(topic, 0).next
        # Also where nothing is due: the reader notices that the topic was made anew.
        fetches = reader.poll(_POLL_RECORDS, 0.0)
        while True:
            if fetches:
                self._next[topic] = fetches[-1].next
            if self._next[topic] >= end:
                return fetches
            came = reader.poll(_POLL_RECORDS, _SILENCE_SECONDS)
            if not came:
                raise RecoverableError(
                    f"{topic}: records up to {end} do not arrive, {self._next[topic]} is next"
                )
            fetches += came

    def _meet(self, offset: int, key: bytes | None, value: bytes | None, at: float) -> None:
        if value is None and key is not None:
            self._jobs.pop(name := key.decode(errors="replace"), None)
            if name not in self._keys:
                self._asked_at.pop(name, None)
            return
        try:
            job = decode_job(key, value)
        except InvalidRecord as error:
            log.error(
                "record %d is no job: %s", offset, error, extra={"offset": offset, "reason": str(error)}
            )
            return
        # The first one counts: a repeat of an id is the same job.
        self._jobs.setdefault(job.job, job)
        self._asked_at.setdefault(job.job, at)

    def _hear(self, offset: int, key: bytes | None, value: bytes | None, at: float) -> None:
        if value is None and key is not None:
            self._unhear(key)
            return
        try:
            line = decode_line(value)
            asked = _asked(line)
        except InvalidRecord as error:
            log.error("line %d is skipped: %s", offset, error, extra={"offset": offset, "reason": str(error)})
            return
        counts = self._work.apply(offset, line)
        self._keys.setdefault(line.job, set()).add(key or b"")
        # Where only its lines are left of a job that was being forgotten.
        self._asked_at.setdefault(line.job, at)
        if offset == self._awaited:
            self._counts = counts
        if counts:
            self._heard[line.job] = self._clock.monotonic()
            if asked is not None:
                self._jobs[line.job] = asked

    def _unhear(self, key: bytes) -> None:
        """A line was removed: with the last one of a job, all is forgotten of it."""
        job = key.decode(errors="replace").partition("/")[0]
        keys = self._keys.get(job, set())
        keys.discard(key)
        if not keys:
            self._jobs.pop(job, None)
            self._work.jobs.pop(job, None)
            for known in (self._keys, self._asked_at, self._heard):
                known.pop(job, None)

    def _seconds(self, timestamp_ms: int) -> float:
        return timestamp_ms / 1000 if timestamp_ms > 0 else self._clock.now()


def _asked(line: Line) -> Job | None:
    """Return the job that a first claim makes fast, whatever its record says to who reads it later."""
    if not isinstance(line, Claim) or line.replaces is not None or line.asked is None:
        return None
    return decode_job(line.job.encode(), orjson.dumps(line.asked))


@dataclass(frozen=True, slots=True)
class Lease:
    """A job that this process has, until it ends it or is taken for dead."""

    queue: Queue
    job: Job
    number: int

    @property
    def failures(self) -> int:
        """How often it was tried before and went wrong."""
        return self.queue.state(self.job.job).failures

    def alive(self, progress: float, doing: str) -> None:
        """
        Give a sign of life.

        Raises:
            LeaseLost: somebody else has the job, or it is over.
        """
        self._say(Alive(job=self.job.job, lease=self.number, progress=progress, doing=doing))

    def done(self, outcome: dict[str, Any], sent: Callable[[], None] = lambda: None) -> None:
        """
        End the job; *sent* is called once that is written, before it is read back.

        Raises:
            LeaseLost: it does not count, as another one has the job or has ended it.
        """
        self._say(self._end("done", "", outcome), sent)

    def failed(self, why: str) -> None:
        """End the job for good; raises LeaseLost as `done`."""
        self._say(self._end("failed", why, None))

    def release(self, why: str, *, failed: bool) -> None:
        """Let anyone go on with it; raises LeaseLost as `done`."""
        self._say(Release(job=self.job.job, lease=self.number, why=why, failed=failed))

    def _end(self, ended: Ended, why: str, outcome: dict[str, Any] | None) -> End:
        who = self.queue.who
        return End(job=self.job.job, lease=self.number, ended=ended, who=who, why=why, outcome=outcome)

    def _say(self, line: Line, sent: Callable[[], None] = lambda: None) -> None:
        if self.queue._say(line, sent):
            return
        state = self.queue.state(self.job.job)
        if state.end is not None and state.end.ended == "cancelled":
            raise JobCancelled(f"job {self.job.job} was cancelled by {state.end.who}: {state.end.why}")
        by = state.end.who if state.end is not None else state.claim.who if state.claim else "nobody"
        raise LeaseLost(f"job {self.job.job} is {by}'s now: what this retrainer does for it counts no more")
