"""The real journal state and assembler, and the same with one of their rules broken."""

from __future__ import annotations

from dataclasses import replace

from stream_ml.weights.feed import Action, Assembler, Chunk, Delta, Outcome
from stream_ml.weights.lines import Decision, Snapshot, Step
from stream_ml.weights.state import JournalState
from stream_ml.weights.variant_state import VariantState
from stream_ml.weights.verdicts import VALID, Verdict
from tests.property.protocol.rules import Rules
from tests.property.protocol.world import FINGERPRINT, VARIANT


def journal_state(rules: Rules, begin_at: Snapshot | None = None) -> JournalState:
    kind = JournalState if rules == RIGHT else BrokenJournalState
    state = kind() if begin_at is None else kind.as_of(begin_at)
    if isinstance(state, BrokenJournalState):
        state.rules = rules
    return state


def assembler(rules: Rules) -> Assembler:
    made = Assembler(VARIANT, FINGERPRINT) if rules == RIGHT else BrokenAssembler(VARIANT, FINGERPRINT)
    if isinstance(made, BrokenAssembler):
        made.rules = rules
    return made


RIGHT = Rules()


class BrokenJournalState(JournalState):
    """Makes a line fit the rule that is broken, and judges it by the others."""

    rules = RIGHT

    def _step(self, line: Step) -> Verdict:
        state, fitted = self.variants[line.variant], line
        if not self.rules.a_step_has_the_newest_epoch:
            fitted = replace(fitted, epoch=state.epoch)
        if not self.rules.a_step_follows_the_last_valid_one and line not in state.recent.values():
            fitted = replace(fitted, step=state.step + 1)
        if not self.rules.a_range_begins_where_the_last_one_ended:
            parts = [part._replace(first=state.events[part.partition]) for part in line.ranges]
            fitted = replace(fitted, ranges=tuple(part for part in parts if part.first < part.next))
        return super()._step(fitted)

    def _decision(self, offset: int, line: Decision) -> Verdict:
        known = self.decisions.get(line.thing)
        if not self.rules.a_decision_names_the_one_it_replaces:
            line = replace(line, replaces=known.place if known else None)
        return super()._decision(offset, line)

    def _snapshot(self, offset: int, line: Snapshot) -> Verdict:
        verdict = super()._snapshot(offset, line)
        if verdict is VALID and not self.rules.a_restatement_never_overrides_a_later_line:
            self.decisions = {decided.decision.thing: decided for decided in line.in_force.decisions}
        return verdict


class BrokenAssembler(Assembler):
    """Decides as the real one but for the rule that is broken."""

    rules = RIGHT

    def _completed(self, chunk: Chunk) -> Delta | None:
        if not self.rules.nothing_of_an_incomplete_delta_counts:
            return Delta(chunk.interval, chunk.score_state, chunk.rows, chunk.removed)
        if not self.rules.chunks_are_keyed_by_everything:
            chunk = replace(chunk, interval=replace(chunk.interval, epoch=0, from_step=0))
        return super()._completed(chunk)

    def _decide(self, delta: Delta, state: VariantState) -> Outcome:
        interval, rules = delta.interval, self.rules
        last = state.last_step_of(interval.epoch)
        if not rules.an_old_epoch_counts_up_to_there and last is not None:
            return Outcome(Action.DROP)
        if not rules.an_old_epoch_ends_where_the_next_claim_went_on:
            state = VariantState("", None, 0, {})
        outcome = super()._decide(delta, state)
        if outcome.action is Action.SKIP and not rules.what_is_known_is_skipped:
            return Outcome(Action.APPLY, delta=delta)
        if outcome.action is Action.RESYNC and not rules.a_gap_resyncs:
            return Outcome(Action.APPLY, delta=delta)
        return outcome
