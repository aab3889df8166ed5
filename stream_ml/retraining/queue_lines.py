"""
What the topic ``retrain-work`` says of jobs: who works at each, how far, and how it ended.

One partition, so that there is one order. A *claim* gives its writer the job until a later one does; its
offset is the *lease*. Of two claims that replace the same thing the first counts. Whatever else is written
under a lease counts only while that is the newest: a retrainer that was taken for dead changes nothing by
what it says later.

The topic is compacted. Keys are such that all which can alter a verdict stays: of each lease only the last
sign of life, but every claim, release and end.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, Any, ClassVar, Literal

import orjson
from pydantic import ConfigDict, Discriminator, TypeAdapter, ValidationError

from stream_ml.errors import CannotContinue, InvalidRecord

FORMAT = 1
WORK_TOPIC = "retrain-work"
Ended = Literal["done", "failed", "cancelled"]


class _Strict:
    __slots__ = ()
    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid")


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim(_Strict):
    """
    *who* takes the job.

    Attributes:
        who: unique to one life of a process.
        replaces: the lease in force when it was written; None if there was none.
        lease_seconds: silence after which others may take it for dead.
        asked: the job, as who claimed it first has read it. Of a record that was repeated under its id the
            log keeps the last only, and a job must not change for who comes later.
    """

    line: Literal["claim"] = "claim"
    job: str
    who: str
    replaces: int | None
    lease_seconds: float
    asked: dict[str, Any] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Alive(_Strict):
    """
    A sign of life.

    Attributes:
        progress: 0 to 1.
        doing: what, for people.
    """

    line: Literal["alive"] = "alive"
    job: str
    lease: int
    progress: float
    doing: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Release(_Strict):
    """
    Nobody works at it any more, and anyone may go on at once.

    Attributes:
        failed: it was tried, and something went wrong that may pass; else the retrainer was asked to stop.
    """

    line: Literal["release"] = "release"
    job: str
    lease: int
    why: str
    failed: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class End(_Strict):
    """
    The job is over.

    Attributes:
        lease: None where nobody had it: a cancel, or a record that is no job.
        outcome: of one that is done: what it found.
        why: of one that is not.
        who: who says so.
    """

    line: Literal["end"] = "end"
    job: str
    lease: int | None
    ended: Ended
    who: str
    why: str = ""
    outcome: dict[str, Any] | None = None


Line = Claim | Alive | Release | End
_LINE: TypeAdapter[Line] = TypeAdapter(Annotated[Line, Discriminator("line")])


def encode_line(line: Line) -> tuple[bytes, bytes]:
    """Return key and value of the record of *line*."""
    of = line.lease if isinstance(line, Alive | Release) else _unique(line)
    value = orjson.dumps({"format": FORMAT, **orjson.loads(orjson.dumps(line))})
    return f"{line.job}/{line.line}/{of}".encode(), value


def _unique(line: Claim | End) -> str:
    """Return what no other claim or end of the job has, or compaction could leave a void one in its place."""
    return f"{line.who}/{line.replaces if isinstance(line, Claim) else line.lease}"


def decode_line(value: bytes | None) -> Line:
    """
    Return the line that a record holds.

    Raises:
        InvalidRecord: it is none of ours.
        CannotContinue: a later release wrote it.
    """
    try:
        said = orjson.loads(value or b"")
        format_ = said.pop("format")
    except (orjson.JSONDecodeError, KeyError, AttributeError, TypeError) as error:
        raise InvalidRecord(f"{WORK_TOPIC}: not a line of ours: {(value or b'')[:80]!r}") from error
    if format_ != FORMAT:
        raise CannotContinue(
            f"{WORK_TOPIC}: a line has format {format_}, we read {FORMAT}; upgrade this process"
        )
    try:
        return _LINE.validate_json(orjson.dumps(said), strict=True)
    except ValidationError as error:
        raise InvalidRecord(f"{WORK_TOPIC}: {error}") from error


@dataclass(slots=True)
class JobState:
    """
    What holds for one job.

    Attributes:
        lease: of whoever has it, and its claim; None before the first.
        failures: leases that ended without a release or with a failed one.
        released: nobody works at it though it is claimed.
        alive: the newest sign of life of the lease.
        end: None while it is not over.
    """

    lease: int | None = None
    claim: Claim | None = None
    failures: int = 0
    released: bool = False
    alive: Alive | None = None
    end: End | None = None

    @property
    def free(self) -> bool:
        """Whether anyone may claim it without waiting."""
        return self.end is None and (self.lease is None or self.released)


@dataclass(slots=True)
class WorkState:
    """What the topic says up to what was applied."""

    jobs: dict[str, JobState] = field(default_factory=dict)

    def of(self, job: str) -> JobState:
        """Return what holds for *job*, of which nothing may have been said yet."""
        return self.jobs.setdefault(job, JobState())

    def apply(self, offset: int, line: Line) -> bool:
        """Take the line at *offset* in; return whether it counts."""
        state = self.of(line.job)
        if state.end is not None:
            return False
        if isinstance(line, Claim):
            return _claimed(state, offset, line)
        if line.lease != state.lease and not (isinstance(line, End) and line.lease is None):
            return False
        if isinstance(line, Alive):
            # A record that was delivered late does not take a release back.
            state.alive = line
        elif isinstance(line, Release):
            state.failures += line.failed and not state.released
            state.released = True
        else:
            state.end = line
        return True


def _claimed(state: JobState, offset: int, line: Claim) -> bool:
    if line.replaces != state.lease:
        return False
    state.failures += state.lease is not None and not state.released
    state.lease, state.claim, state.released, state.alive = offset, line, False, None
    return True
