"""
The journal's lines: what each says (``line_bytes`` has their bytes).

A *place* is one number for (journal number, offset), ``journal * 2**40 + offset``: in a model's first journal
it is the offset. Epochs, decisions and statements are named by their places: they stay in order when a
journal is begun anew.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar, Literal, NamedTuple

from pydantic import ConfigDict

from stream_ml.errors import CannotContinue

_PLACES_PER_JOURNAL = 1 << 40


class NewerFormat(CannotContinue):
    """Written by a newer release; upgrade this process before it goes on."""


def place_of(journal: int, offset: int) -> int:
    """Return the place of *offset* in journal number *journal*."""
    return journal * _PLACES_PER_JOURNAL + offset


def journal_and_offset(place: int) -> tuple[int, int]:
    """Return the journal number and the offset that *place* names."""
    return divmod(place, _PLACES_PER_JOURNAL)


class _Strict:
    __slots__ = ()
    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid")


class Range(NamedTuple):
    """
    The records ``[first, next)`` of one partition of the events, as one batch learned them.

    Attributes:
        records: how many there are; fewer than ``next - first`` where the log has holes.
        checksum: ``_native.checksum`` of their values.
        leader_epoch: of the last record; -1 where unknown.
    """

    partition: int
    first: int
    next: int
    records: int
    checksum: int
    leader_epoch: int = -1


@dataclass(frozen=True, slots=True, kw_only=True)
class Announced(_Strict):
    """
    A snapshot that exists.

    Attributes:
        epoch, step: of the writer that took it, and the last step it holds.
        checksum: xxh3-128 of the file, 32 hex digits.
        events, feed: per partition, the next offset; of the feed, the first record of the first delta whose
            end lies beyond *step*.
        as_of: place from where the journal's lines are read on; no later step was valid before it.
    """

    epoch: int
    step: int
    name: str
    checksum: str
    events: dict[int, int]
    feed: dict[int, int]
    as_of: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Seed(_Strict):
    """The snapshot of another variant that a variant began with."""

    variant: str
    epoch: int
    step: int
    name: str
    checksum: str


class Layout(NamedTuple):
    """How rows are dealt to the shards of Redis: number of the layout, count of its shards."""

    number: int
    shards: int


class Challenge(NamedTuple):
    """
    What a challenger is begun for: to take the place of the variant that serves, if it is better.

    Attributes:
        champion: the variant that it challenges.
        file: fingerprint of the model file that the champion's learners are given; that of a challenger that
            takes the place is another, and they learn it all the same.
        job: of the retraining that began it; of one job there is one challenger.
        proof: what the gate said when it was compared offline; "" where nobody proved it to be better.
    """

    champion: str
    file: str
    job: str
    proof: str = ""


class Claimed(NamedTuple):
    """A claim in force once: its epoch, and the last valid step before it, after which it went on."""

    epoch: int
    step: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision(_Strict):
    """
    Which variant serves, whether it learns, how far it skips, or which Redis is the home of its rows.

    Attributes:
        replaces: place of the decision about the same thing in force when this one was taken, or None.
        partition, next: of a skip: the offset where learning goes on.
        lost: of a skip: how many records are given up.
    """

    line: Literal["decision"] = "decision"
    kind: Literal["serve", "stop", "resume", "skip", "home"]
    variant: str
    who: str
    why: str
    replaces: int | None = None
    partition: int | None = None
    next: int | None = None
    lost: int | None = None

    @property
    def thing(self) -> str:
        """What is decided; of two decisions about one thing the later replaces the earlier."""
        if self.kind == "serve":
            return "serve"
        if self.kind == "skip":
            return f"skip {self.variant} {self.partition}"
        if self.kind == "home":
            return f"home {self.variant}"
        return f"learn {self.variant}"


class Decided(NamedTuple):
    """A decision in force, and the place of its line."""

    place: int
    decision: Decision


def learns(decisions: Iterable[Decided], variant: str) -> bool:
    """Whether none of *decisions*, which are in force, stops *variant*."""
    stopped = {each.decision.variant for each in decisions if each.decision.kind == "stop"}
    return variant not in stopped


def resumed_at(decisions: Iterable[Decided], variant: str) -> int:
    """Return the place of the decision, among those in force, that resumed *variant*; -1 if none did."""
    places = [
        each.place
        for each in decisions
        if each.decision.kind == "resume" and each.decision.variant == variant
    ]
    return max(places, default=-1)


@dataclass(frozen=True, slots=True, kw_only=True)
class VariantInForce(_Strict):
    """What holds for one variant; see `VariantState`, of which this is the statement."""

    variant: str
    fingerprint: str
    seed: Seed | None
    step: int
    events: dict[int, int]
    claims: tuple[Claimed, ...]
    writer: str | None
    snapshots: tuple[Announced, ...]
    topic_id: str | None
    layout: Layout | None = None
    challenge: Challenge | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class InForce(_Strict):
    """
    Everything that the journal says up to a place.

    Attributes:
        last_line: `line_checksum` of the line before that place. A broker that lost acknowledged lines has
            another one there, and then nothing of this is true. 0 where unknown.
    """

    variants: tuple[VariantInForce, ...]
    decisions: tuple[Decided, ...]
    last_line: int = 0

    @property
    def seeds(self) -> frozenset[str]:
        """Names of the snapshots that variants began with: they may still load them, a replay does."""
        return frozenset(said.seed.name for said in self.variants if said.seed is not None)

    def learns(self, variant: str) -> bool:
        """Whether no decision stops *variant*."""
        return learns(self.decisions, variant)

    def is_over(self, variant: str) -> bool:
        """Whether nobody learns *variant* any more: it was stopped, and another one serves."""
        return not self.serves(variant) and not self.learns(variant)

    def serves(self, variant: str) -> bool:
        """Whether *variant* serves."""
        return any(
            each.decision.kind == "serve" and each.decision.variant == variant for each in self.decisions
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot(_Strict):
    """
    A snapshot is complete, and its outputs are acknowledged.

    Attributes:
        in_force: what the journal said up to ``as_of``, for followers that begin there.
        Others: as of `Announced`.
    """

    line: Literal["snapshot"] = "snapshot"
    variant: str
    epoch: int
    step: int
    name: str
    checksum: str
    events: dict[int, int]
    feed: dict[int, int]
    as_of: int
    in_force: InForce

    @property
    def announced(self) -> Announced:
        """The snapshot by itself."""
        return Announced(
            epoch=self.epoch,
            step=self.step,
            name=self.name,
            checksum=self.checksum,
            events=self.events,
            feed=self.feed,
            as_of=self.as_of,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Begin(_Strict):
    """
    First line of a journal.

    Attributes:
        journal: one above any number in the snapshot store; 0 for a model's first.
        variants: each with the stored snapshots that verify, which exist from here on.
    """

    line: Literal["begin"] = "begin"
    journal: int
    variants: tuple[VariantInForce, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Variant(_Strict):
    """
    A new learning line of the model.

    Attributes:
        fingerprint: of its plan.
        seed: None begins with an empty table.
        topic_id: of the events; a topic made anew under the same name has another.
        events: next offset of every partition.
        why: for people.
        lost: events given up by beginning here, per partition; None if nothing is.
        layout: of its rows in Redis; None where a learner's memory has them.
        challenge: what it is begun for; None where it is to serve once it can.
    """

    line: Literal["variant"] = "variant"
    variant: str
    fingerprint: str
    seed: Seed | None
    topic_id: str
    events: dict[int, int]
    why: str
    lost: dict[int, int] | None = None
    layout: Layout | None = None
    challenge: Challenge | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim(_Strict):
    """
    *who* becomes the variant's writer; the line's place is its epoch.

    Attributes:
        who: unique to one life of a process.
        step: how far it has replayed; where it goes on is decided by what is valid before this line.
    """

    line: Literal["claim"] = "claim"
    variant: str
    who: str
    step: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Release(_Strict):
    """The writer of *epoch* stopped cleanly after *step*; anyone may claim at once."""

    line: Literal["release"] = "release"
    variant: str
    who: str
    epoch: int
    step: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Chore(_Strict):
    """
    *who* does a chore in Redis: the line's place is its lease.

    Attributes:
        chore: what, for people.
        shard: None where it is about all shards.
    """

    line: Literal["chore"] = "chore"
    variant: str
    layout: int
    shard: int | None
    chore: str
    who: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Incarnation(_Strict):
    """
    Another server answers for a shard in Redis; the line's place is the incarnation of its rows from now on.

    Attributes:
        process, reign: the server's ``run_id`` and ``master_replid``.
        why: for people.
    """

    line: Literal["incarnation"] = "incarnation"
    variant: str
    layout: int
    shard: int
    process: str
    reign: str
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Step(_Strict):
    """
    One batch: which records, in which order.

    Attributes:
        topic_id: the broker's identity of the events topic; "" where it has none.
        ranges: in the order of learning.
        decisions: places of the decisions that take effect with this batch.
    """

    line: Literal["step"] = "step"
    variant: str
    epoch: int
    step: int
    topic_id: str
    ranges: tuple[Range, ...]
    decisions: tuple[int, ...] = ()


Line = Begin | Variant | Claim | Release | Step | Snapshot | Decision | Chore | Incarnation
