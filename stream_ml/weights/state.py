"""
What the journal says: a pure fold over its lines, the same for every reader.

Whether a line is valid is decided by the lines before it alone, so all readers agree without speaking to each
other.
"""

from __future__ import annotations

from typing import Self

from stream_ml.weights.line_bytes import line_checksum
from stream_ml.weights.lines import (
    Begin,
    Chore,
    Claim,
    Claimed,
    Decided,
    Decision,
    Incarnation,
    InForce,
    Line,
    Release,
    Snapshot,
    Step,
    Variant,
    journal_and_offset,
    learns,
    place_of,
)
from stream_ml.weights.variant_state import VariantState
from stream_ml.weights.verdicts import REPEAT, VALID, Verdict, void

# A producer may repeat what it had in flight, which is at most five requests.
_REPEATS_KNOWN = 16
# Deltas of a writer that long ago have left the feed; a claim is one restart.
_CLAIMS_KEPT = 64
SNAPSHOTS_KEPT = 16
# Those that are needed and those begun last; a statement of the journal, and a start from it, grow with each.
VARIANTS_KEPT = 4


class JournalState:
    """
    The journal's meaning up to `next_offset`.

    Attributes:
        journal: number of the journal.
        next_offset: of the line to apply next.
        variants: by id.
        decisions: in force, by the thing decided.
    """

    def __init__(self) -> None:
        self.journal = 0
        self.next_offset = 0
        self.variants: dict[str, VariantState] = {}
        self.decisions: dict[str, Decided] = {}
        self._last_line: Line | None = None
        self._last_line_stated = 0

    @classmethod
    def as_of(cls, snapshot: Snapshot) -> Self:
        """Return the state that *snapshot* states, at the offset where reading is to go on."""
        state = cls()
        state.journal, state.next_offset = journal_and_offset(snapshot.as_of)
        state.variants = {said.variant: VariantState.stated(said) for said in snapshot.in_force.variants}
        state.decisions = {decided.decision.thing: decided for decided in snapshot.in_force.decisions}
        state._last_line_stated = snapshot.in_force.last_line
        return state

    @property
    def place(self) -> int:
        """The place that `in_force` is as of."""
        return place_of(self.journal, self.next_offset)

    @property
    def serving(self) -> str | None:
        """The variant that serves, or None before the first decision."""
        decided = self.decisions.get("serve")
        return decided.decision.variant if decided else None

    def learns(self, variant: str) -> bool:
        """Whether no decision stops *variant*."""
        return learns(self.decisions.values(), variant)

    def champion_of(self, variant: str | None) -> str | None:
        """Return the variant that *variant* challenged, if that one learns on; None otherwise."""
        known = self.variants.get(variant or "")
        champion = known.challenge.champion if known is not None and known.challenge is not None else None
        return champion if champion in self.variants and self.learns(champion) else None

    def before(self, variant: str | None) -> str | None:
        """Return the variant whose place *variant* took: its champion, or the one that it began with."""
        known = self.variants.get(variant or "")
        if known is None:
            return None
        seed = known.seed.variant if known.seed is not None else None
        before = known.challenge.champion if known.challenge is not None else seed
        return before if before in self.variants else None

    def challengers(self) -> list[str]:
        """Return the variants that learn to take the place of what serves."""
        return [
            variant
            for variant, known in self.variants.items()
            if known.challenge is not None
            and known.challenge.champion == self.serving
            and variant != self.serving
            and self.learns(variant)
        ]

    def is_alive(self, variant: str) -> bool:
        """Whether *variant* serves, still learns beside what took its place, or challenges either of them."""
        current = {self.serving, self.champion_of(self.serving)}
        known = self.variants.get(variant)
        if known is None or known.challenge is None or not self.learns(variant):
            return variant in current
        return variant in current or known.challenge.champion in current

    def is_over(self, variant: str) -> bool:
        """Whether nobody learns *variant* any more: it was stopped, and another one serves."""
        return variant != self.serving and not self.learns(variant)

    def skips(self, variant: str) -> dict[int, Decided]:
        """Return the skips of *variant* that no step has taken yet, by partition."""
        events = self.variants[variant].events
        every = (
            each for each in self.decisions.values() if each.decision.thing.startswith(f"skip {variant} ")
        )
        return {
            each.decision.partition: each
            for each in every
            if each.decision.partition is not None
            and each.decision.next is not None
            and each.decision.next > events.get(each.decision.partition, 0)
        }

    def in_force(self) -> InForce:
        """
        Return what holds now, for a snapshot line whose ``as_of`` is `place`.

        Take both at one moment, when no later step than the sealing one has been read: as an image begins.
        """
        variants = tuple(state.statement(name) for name, state in self.variants.items())
        last_line = line_checksum(self._last_line) if self._last_line else self._last_line_stated
        return InForce(variants=variants, decisions=tuple(self.decisions.values()), last_line=last_line)

    def apply(self, offset: int, line: Line | None) -> Verdict:
        """
        Take the line at *offset* in, and say whether it counts.

        Args:
            offset: higher than that of any line applied before.
            line: None where the record is damaged; void, for everyone alike.
        """
        assert offset >= self.next_offset, "the journal is applied in its order"
        first = self.next_offset == 0 and not self.variants
        self.next_offset = offset + 1
        self._last_line, self._last_line_stated = line, 0
        match line:
            case Step():
                return self._step(line)
            case Claim():
                return self._claim(offset, line)
            case Release():
                return self._release(line)
            case Snapshot():
                return self._snapshot(offset, line)
            case Decision():
                return self._decision(offset, line)
            case Variant():
                return self._variant(line)
            case Chore() | Incarnation():
                return VALID if line.variant in self.variants else _unknown(line.variant)
            case Begin():
                return self._begin(line) if first else void("a journal begins once")
            case None:
                return void("a damaged line")

    def _begin(self, line: Begin) -> Verdict:
        self.journal = line.journal
        self.variants = {said.variant: VariantState.stated(said) for said in line.variants}
        for state in self.variants.values():
            state.writer = None
        return VALID

    def _variant(self, line: Variant) -> Verdict:
        known = self.variants.get(line.variant)
        if known is not None:
            return REPEAT if known.line == line else void(f"variant {line.variant} exists already")
        self.variants[line.variant] = VariantState(
            line.fingerprint,
            line.seed,
            0,
            dict(line.events),
            topic_id=line.topic_id,
            layout=line.layout,
            challenge=line.challenge,
            line=line,
        )
        self._forget_variants()
        return VALID

    def _forget_variants(self) -> None:
        """
        Forget the oldest variants that nobody needs; from now on their lines are void.

        Needed are what serves, the one to go back to, challengers that learn, and the one that just began.
        """
        just_begun = next(reversed(self.variants))
        needed = {self.serving, self.before(self.serving), *self.challengers(), just_begun}
        idle = [variant for variant in self.variants if variant not in needed]
        for variant in idle[: max(0, len(self.variants) - VARIANTS_KEPT)]:
            del self.variants[variant]
        self.decisions = {
            thing: decided
            for thing, decided in self.decisions.items()
            if decided.decision.variant in self.variants
        }

    def _claim(self, offset: int, line: Claim) -> Verdict:
        state = self.variants.get(line.variant)
        if state is None:
            return _unknown(line.variant)
        state.claims.append(Claimed(place_of(self.journal, offset), state.step))
        del state.claims[:-_CLAIMS_KEPT]
        state.writer = line.who
        return VALID

    def _release(self, line: Release) -> Verdict:
        state = self.variants.get(line.variant)
        if state is None:
            return _unknown(line.variant)
        if line.epoch != state.epoch or state.writer is None:
            return _superseded(line.epoch, state)
        state.writer = None
        return VALID

    def _step(self, line: Step) -> Verdict:
        state = self.variants.get(line.variant)
        if state is None:
            return _unknown(line.variant)
        if state.recent.get(line.step) == line:
            return REPEAT
        if line.epoch != state.epoch or state.writer is None:
            return _superseded(line.epoch, state)
        if line.step != state.step + 1:
            return void(f"step {line.step} after step {state.step}")
        events = dict(state.events)
        problem = (line.decisions and self._skips(line, events)) or _ranges(line, events)
        if problem:
            return void(problem)
        state.step, state.events, state.topic_id = line.step, events, line.topic_id
        state.recent[line.step] = line
        state.recent.pop(line.step - _REPEATS_KNOWN, None)
        return VALID

    def _skips(self, line: Step, events: dict[int, int]) -> str:
        """Move *events* to where the skips quoted go on; return what is wrong with them, or ""."""
        for place in line.decisions:
            decision = next(
                (known.decision for known in self.decisions.values() if known.place == place), None
            )
            if decision is None or decision.variant != line.variant:
                return f"quotes {place}, which is no decision in force"
            if decision.partition is not None and decision.next is not None:
                events[decision.partition] = max(decision.next, events.get(decision.partition, 0))
        return ""

    def _snapshot(self, offset: int, line: Snapshot) -> Verdict:
        state = self.variants.get(line.variant)
        if state is None:
            return _unknown(line.variant)
        if any(line.name == known.name for known in state.snapshots):
            return REPEAT
        if state.layout is not None:
            return self._shared_snapshot(line, state)
        if line.epoch != state.epoch:
            return _superseded(line.epoch, state)
        if line.step > state.step or line.as_of > place_of(self.journal, offset):
            return void("announced before its steps were valid")
        state.snapshots.append(line.announced)
        del state.snapshots[:-SNAPSHOTS_KEPT]
        return VALID

    def _shared_snapshot(self, line: Snapshot, state: VariantState) -> Verdict:
        """Take in a snapshot of rows in Redis: its epoch and step are the place of the chore that took it."""
        if state.snapshots and line.epoch <= state.snapshots[-1].epoch:
            return void("another snapshot, begun later, was announced before")
        state.step, state.events = line.step, dict(line.events)
        state.snapshots.append(line.announced)
        del state.snapshots[:-SNAPSHOTS_KEPT]
        return VALID

    def _decision(self, offset: int, line: Decision) -> Verdict:
        if line.variant not in self.variants:
            return _unknown(line.variant)
        known = self.decisions.get(line.thing)
        if line.replaces != (known.place if known else None):
            return void(f"another decision came between: {known}")
        self.decisions[line.thing] = Decided(place_of(self.journal, offset), line)
        return VALID


def _ranges(line: Step, events: dict[int, int]) -> str:
    """Move *events* over the ranges of *line*; return what is wrong with them, or ""."""
    for part in line.ranges:
        # A partition that was added to the topic starts at its beginning.
        expected = events.get(part.partition, 0)
        if part.first != expected:
            return f"partition {part.partition} from {part.first}, but {expected} is next"
        if part.next <= part.first:
            return f"partition {part.partition}: [{part.first}, {part.next}) is empty"
        events[part.partition] = part.next
    return ""


def _unknown(variant: str) -> Verdict:
    return void(f"variant {variant} is unknown")


def _superseded(epoch: int, state: VariantState) -> Verdict:
    if state.writer is None and epoch == state.epoch:
        return void(f"epoch {epoch} was released")
    return void(f"epoch {epoch} is not the newest claim, {state.epoch}")
