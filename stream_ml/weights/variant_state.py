"""What is in force for one variant, by the journal's lines so far."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Self

from stream_ml.weights.lines import Announced, Challenge, Claimed, Layout, Seed, Step, Variant, VariantInForce


@dataclass(slots=True)
class VariantState:
    """
    What is in force for one variant.

    Attributes:
        step: last valid step.
        events: per partition, the offset where the next range must begin.
        claims: by epoch, oldest first; the last one is the newest.
        writer: who holds the newest claim; None if nobody, or after a release.
        snapshots: announced, oldest first; at most the last 16.
        layout: of the rows in Redis; None where a learner's memory has them.
        topic_id: of the topic that `events` are offsets of; None where only a snapshot tells of the variant.
        challenge: what it was begun for; None where it was to serve once it could.
        recent: the last valid lines by step, to know a repeat by.
    """

    fingerprint: str
    seed: Seed | None
    step: int
    events: dict[int, int]
    claims: list[Claimed] = field(default_factory=list)
    writer: str | None = None
    snapshots: list[Announced] = field(default_factory=list)
    topic_id: str | None = None
    layout: Layout | None = None
    challenge: Challenge | None = None
    line: Variant | None = None
    recent: dict[int, Step] = field(default_factory=dict)

    @property
    def epoch(self) -> int:
        """Of the newest claim; -1 before the first."""
        return self.claims[-1].epoch if self.claims else -1

    @property
    def file(self) -> str:
        """Fingerprint of the model file that its learners are given: its own, or its first champion's."""
        return self.fingerprint if self.challenge is None else self.challenge.file

    def last_step_of(self, epoch: int) -> int | None:
        """Return the last step up to which deltas of *epoch* are valid; None: no later claim bounds them."""
        return next((claim.step for claim in self.claims if claim.epoch > epoch), None)

    @classmethod
    def stated(cls, said: VariantInForce) -> Self:
        """Return the state that *said* is the statement of."""
        return cls(
            fingerprint=said.fingerprint,
            seed=said.seed,
            step=said.step,
            events=dict(said.events),
            claims=list(said.claims),
            writer=said.writer,
            snapshots=list(said.snapshots),
            topic_id=said.topic_id,
            layout=said.layout,
            challenge=said.challenge,
        )

    def statement(self, variant: str) -> VariantInForce:
        """Return all of this as a part of a line."""
        return VariantInForce(
            variant=variant,
            fingerprint=self.fingerprint,
            seed=self.seed,
            step=self.step,
            events=dict(self.events),
            claims=tuple(self.claims),
            writer=self.writer,
            snapshots=tuple(self.snapshots),
            topic_id=self.topic_id,
            layout=self.layout,
            challenge=self.challenge,
        )
