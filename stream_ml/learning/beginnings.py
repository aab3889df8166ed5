"""How a journal and a variant begin: a first start, a broker that forgot, a loss that was accepted."""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping

from stream_ml.errors import CannotContinue, ConfigError
from stream_ml.learning.evolving import changes_since, told
from stream_ml.learning.orders import Order
from stream_ml.learning.parties import Parties, where
from stream_ml.learning.points import Point
from stream_ml.learning.restating import first_line, verified
from stream_ml.learning.topics import first_offsets, going_on, lost
from stream_ml.learning.ways_on import ACCEPT_LOSS
from stream_ml.weights.journal import JournalReader, JournalWriter
from stream_ml.weights.lines import (
    Announced,
    Challenge,
    Decision,
    Layout,
    Seed,
    Variant,
    journal_and_offset,
)
from stream_ml.weights.snapshots import SnapshotName
from stream_ml.weights.state import JournalState
from stream_ml.weights.variant_state import VariantState

log = logging.getLogger(__name__)

_FLUSH_SECONDS = 30.0


class Beginnings:
    """Writes a journal's first lines, and the lines that begin a variant; *reader* is read to its end."""

    def __init__(self, parties: Parties, reader: JournalReader, writer: JournalWriter) -> None:
        self._parties, self._reader, self._writer = parties, reader, writer

    def variant_to_learn(self) -> str:
        """
        Return the variant that this process learns; begins one where there is none.

        It is the one that serves, or its champion as long as that learns beside it; if the model file was
        changed since, one that goes on with its rows.

        Raises:
            ConfigError: the changed model file cannot go on with these rows.
            CannotContinue: no snapshot has them, or events after it are gone.
        """
        if self._reader.state.next_offset == 0:
            self._begin_journal()
        state = self._reader.state
        if state.serving is None:
            return self._first_variant()
        self._check_layout(state.serving, state.variants[state.serving].layout)
        ours, known = self._parties.model.fingerprint, state.variants[state.serving]
        if known.fingerprint == ours:
            return state.serving
        if known.file == ours:
            return state.champion_of(state.serving) or state.serving
        return self._of_changed_model(state.serving)

    def new_variant(
        self,
        seed: Announced | None,
        why: str,
        *,
        made_anew: bool = False,
        apart: Mapping[int, int] | None = None,
    ) -> str:
        """
        Begin a variant with the rows of *seed* that learns on from there, its loss counted; it serves.

        Args:
            made_anew: the events are another topic's than those of *seed*: all of them are to be learned.
            apart: offsets, by partition, that not all shards of *seed* have, and that are given up.
        """
        return self._let_serve(self._begin(seed, why, made_anew=made_anew, apart=apart), why)

    def after_loss(self, variant: str, best: Announced | None, why: str, *, made_anew: bool) -> str:
        """
        Begin a variant that goes on where *variant* cannot be replayed, and return the one to learn.

        It has the rows of *best*. Where there is none and *variant* did not serve yet, it has those that
        serve: an empty table would take their place.
        """
        serving = self._reader.state.serving
        if best is None and serving is not None and serving != variant:
            return self._begin_beside(serving)
        return self.new_variant(best, why, made_anew=made_anew)

    def challenger(self, order: Order) -> str:
        """
        Return the variant that *order* has begun, or begin it.

        Raises:
            ConfigError: nothing serves, or another variant than it was compared with, or this model file
                cannot go on with the rows of what serves.
            CannotContinue: what serves learns another topic, or no snapshot of it verifies.
        """
        state = self._reader.state
        if (begun := self._begun_for(order.job)) is not None:
            return begun
        if state.serving is None:
            raise ConfigError(f"no variant of {self._parties.name} serves yet: there is nothing to challenge")
        if order.champion not in ("", state.serving):
            raise ConfigError(
                f"{state.serving} serves; the challenger of {order.job} was compared with {order.champion}"
            )
        champion = state.variants[state.serving]
        challenge = Challenge(state.serving, champion.file, order.job, order.proof)
        seed = self._seed_of_challenger(state.serving, champion, order)
        variant = self._begin(seed, order.why, challenge=challenge, events=order.events)
        self._read_back()
        if state.variants[variant].challenge != challenge:
            return self.challenger(order)  # another began at the same moment, and has the number
        self._parties.reached(Point.CHALLENGER_BEGUN)
        return variant

    def _begun_for(self, job: str) -> str | None:
        """Return the variant that *job* has begun, if what it begins with is there."""
        for variant, known in self._reader.state.variants.items():
            if known.challenge is not None and known.challenge.job == job:
                if known.fingerprint != self._parties.model.fingerprint:
                    raise ConfigError(
                        f"{variant}, the challenger of {job}, has another model file: who began it came to "
                        f"another winner\n  hint: stream-ml stop LEARNER.toml {variant} ends it"
                    )
                if self._can_begin(known):
                    return variant
        return None

    def _can_begin(self, known: VariantState) -> bool:
        """Whether what a variant begins with is there: it may have gone while its line was on its way."""
        if known.snapshots or known.seed is None:
            return True
        return verified(self._parties.store, known.seed.name) is not None

    def _seed_of_challenger(self, serving: str, champion: VariantState, order: Order) -> Announced | None:
        self._check_layout(serving, champion.layout)
        topic = self._parties.topics.events
        if champion.topic_id not in (topic.id, None):
            raise CannotContinue(f"{topic.name} was made anew since {serving}, which serves, learned from it")
        if not order.warm:
            return None
        named = [each for each in champion.snapshots if each.name == order.base]
        seed = self.newest_that_loads(named) or self.newest_that_loads(champion.snapshots)
        if seed is None:
            raise CannotContinue(f"no snapshot of {serving}, which serves, verifies: no rows to begin with")
        change = changes_since(self._parties.store, seed.name, self._parties.model)
        if change.obstacle:
            raise _cannot_go_on_with(f"{serving}, which serves", change.obstacle)
        return seed

    def _begin(
        self,
        seed: Announced | None,
        why: str,
        *,
        made_anew: bool = False,
        challenge: Challenge | None = None,
        events: Mapping[int, int] | None = None,
        apart: Mapping[int, int] | None = None,
    ) -> str:
        """Begin a variant; one without a seed at *events*, as far as they are still there."""
        first = first_offsets(self._parties.log, self._parties.topics.events)
        events = first | {p: max(first.get(p, 0), next) for p, next in (events or {}).items()}
        gone: dict[int, int] = {}
        if seed is not None and made_anew:
            gone = self._learned_after(seed)
        elif seed is not None and not self._begun_anew(seed):
            gone = lost(self._parties.log, self._parties.topics.events, seed.events)
            events = going_on(
                self._parties.log, self._parties.topics.events, seed.events, learned=self._topic_of(seed)
            )
        gone = {p: gone.get(p, 0) + (apart or {}).get(p, 0) for p in sorted({*gone, *(apart or {})})}
        variant = next_id(self._parties, self._reader.state)
        level = logging.INFO if seed is None else logging.WARNING
        log.log(level, "a new variant begins", extra={"variant": variant, "why": why, "lost": gone})
        line = Variant(
            variant=variant,
            fingerprint=self._parties.model.fingerprint,
            seed=None if seed is None else seed_of(seed),
            topic_id=self._parties.topics.events.id,
            events=events,
            why=why,
            lost=gone or None,
            layout=self._parties.layout,
            challenge=challenge,
        )
        self._writer.append(line)
        return variant

    def _check_layout(self, serving: str, layout: Layout | None) -> None:
        """See that the rows of the variant that serves are where the settings say."""
        if not self._is_ours(layout):
            raise ConfigError(
                f"weights: the rows of {serving}, which serves, are {where(layout)}, by the settings "
                f"{where(self._parties.layout)}\n  hint: stop its learners, then `stream-ml snapshot copy` "
                "moves them"
            )

    def _is_ours(self, layout: Layout | None) -> bool:
        """Whether rows dealt like this are where the settings say."""
        wanted = self._parties.layout
        return (layout and layout.shards) == (wanted and wanted.shards)

    def _of_changed_model(self, serving: str) -> str:
        """Return the variant that the changed model file has begun since *serving* serves, or begin it."""
        if self._parties.layout is not None:
            raise ConfigError(
                f"the model file was changed, and the rows of {serving}, which serves, are in Redis: only a "
                "learner's memory goes on with them\n  hint: undo the change; `stream-ml snapshot copy` to "
                "memory, start a learner with the changed file, stop it, copy back"
            )
        state = self._reader.state
        known = variant_of(state, self._parties.model.fingerprint)
        if known is not None and state.is_over(known):
            given_up = state.decisions[f"learn {known}"].decision
            raise ConfigError(
                f"{known}, which this model file began, was given up by {given_up.who}: {given_up.why}\n"
                f"  hint: put the model file of {serving} back, which serves, or change this one"
            )
        return known or self._begin_beside(serving)

    def _begin_beside(self, serving: str) -> str:
        """Begin a variant of the changed model file with the rows of *serving*, which serves on."""
        state = self._reader.state
        seed = self.newest_that_loads(state.variants[serving].snapshots)
        if seed is None:
            raise CannotContinue(
                f"the model file was changed, but no snapshot of {serving}, which serves, verifies: there "
                "are no rows to go on with. Undo the change, let it take a snapshot, then change it again"
            )
        change = changes_since(self._parties.store, seed.name, self._parties.model)
        if change.obstacle:
            raise _cannot_go_on_with(f"{serving}, which serves", change.obstacle)
        events = self._parties.topics.events
        learned = state.variants[serving].topic_id
        made_anew = learned not in (events.id, None)
        if made_anew and not self._parties.accept_loss:
            raise CannotContinue(
                f"the model file was changed, and {events.name} was made anew: {serving}, which serves, "
                f"learned topic {learned}, it is now {events.id}; {ACCEPT_LOSS} learns all of it"
            )
        gone = lost(self._parties.log, events, seed.events)
        if gone and not self._parties.accept_loss:
            raise CannotContinue(
                f"{events.name}: records after {seed.name} are gone, by partition: "
                f"{gone}; {ACCEPT_LOSS} goes on behind them, the loss is counted"
            )
        variant = self._begin(seed, told(change), made_anew=made_anew)
        self._read_back()
        self._parties.reached(Point.CHANGED_VARIANT_BEGUN)
        return variant

    def _first_variant(self) -> str:
        """
        Return a variant that was begun but not decided for, or begin one.

        Where the journal was lost it goes on with the newest stored rows that can be gone on with.

        Raises:
            ConfigError: there are such rows, and none that this model file can go on with.
        """
        state, fingerprint = self._reader.state, self._parties.model.fingerprint
        for variant, known in state.variants.items():
            begun = known.line is not None and known.fingerprint == fingerprint
            if begun and self._is_ours(known.layout):
                return self._let_serve(variant, "first start")
        stored = [
            (known.snapshots[-1], known.fingerprint) for known in state.variants.values() if known.snapshots
        ]
        stored.sort(key=lambda each: (each[0].epoch, each[0].step), reverse=True)
        obstacles = []
        for newest, learned_with in stored:
            why = f"the journal was lost; goes on from {newest.name}"
            if learned_with == fingerprint:
                return self.new_variant(newest, why)
            change = changes_since(self._parties.store, newest.name, self._parties.model)
            obstacle = change.obstacle
            if self._parties.layout is not None:
                obstacle = obstacle or "rows in Redis go on with an unchanged model file only"
            if not obstacle:
                return self.new_variant(newest, f"{why}; {told(change)}")
            obstacles.append(obstacle)
        if obstacles:
            # Never an empty table in silence, as where the journal is still there.
            raise _cannot_go_on_with(stored[0][0].name, obstacles[0])
        return self.new_variant(None, "first start")

    def _let_serve(self, variant: str, why: str) -> str:
        decided = self._reader.state.decisions.get("serve")
        self._writer.append(
            Decision(
                kind="serve",
                variant=variant,
                who=self._parties.who,
                why=why,
                replaces=decided.place if decided else None,
            )
        )
        self._read_back()
        self._parties.reached(Point.VARIANT_BEGUN)
        serving = self._reader.state.serving
        assert serving is not None, "a decision was just read"
        if self._reader.state.variants[serving].fingerprint != self._parties.model.fingerprint:
            raise ConfigError(
                f"another process, with another model file, has just decided that {serving} serves; "
                "give all learners of a model one file, then start again"
            )
        return serving

    def _begin_journal(self) -> None:
        self._writer.append(first_line(self._parties))
        self._read_back()

    def newest_that_loads(self, snapshots: list[Announced]) -> Announced | None:
        """Return the last of *snapshots* that verifies."""
        return next((each for each in reversed(snapshots) if verified(self._parties.store, each.name)), None)

    def _learned_after(self, snapshot: Announced) -> dict[int, int]:
        """Return how many offsets its variant has learned since *snapshot*, of each partition with any."""
        known = self._reader.state.variants[SnapshotName.parse(snapshot.name).variant]
        since = {p: end - snapshot.events.get(p, 0) for p, end in known.events.items()}
        return {partition: count for partition, count in since.items() if count > 0}

    def _topic_of(self, snapshot: Announced) -> str | None:
        known = self._reader.state.variants.get(SnapshotName.parse(snapshot.name).variant)
        return None if known is None else known.topic_id

    def _begun_anew(self, snapshot: Announced) -> bool:
        """Whether *snapshot* is of an earlier journal, and its offsets may be of another topic than ours."""
        if journal_and_offset(snapshot.epoch)[0] == self._reader.state.journal:
            return False
        events = self._parties.topics.events
        return not events.id or self._topic_of(snapshot) != events.id

    def _read_back(self) -> None:
        self._writer.flush(_FLUSH_SECONDS)
        self._reader.read_to_end()


def next_id(parties: Parties, state: JournalState) -> str:
    """Return a variant's id that neither journal nor snapshot store knows."""
    stored = {name.variant for name in parties.store.names(parties.name)}
    numbers = (re.fullmatch(r"v(\d+)", known) for known in stored | set(state.variants))
    return f"v{1 + max((int(number[1]) for number in numbers if number), default=0)}"


def variant_of(state: JournalState, fingerprint: str) -> str | None:
    """
    Return the variant that a learner with this model file learns; None if there is none yet.

    It is the one that serves, or one begun with its rows; of several the last: those before could not go on.
    """
    serving = state.serving
    if serving is None or fingerprint in (state.variants[serving].fingerprint, state.variants[serving].file):
        return serving
    begun = (
        variant
        for variant, known in reversed(state.variants.items())
        if known.fingerprint == fingerprint
        and known.challenge is None
        and known.seed is not None
        and known.seed.variant == serving
    )
    return next(begun, None)


def _cannot_go_on_with(rows: str, obstacle: str) -> ConfigError:
    return ConfigError(
        f"the model file cannot go on with the rows of {rows}: {obstacle}. "
        "Undo the change, or give the changed model another name\n"
        "  hint: stream-ml diff SNAPSHOT_STORE MODEL shows what differs"
    )


def seed_of(snapshot: Announced) -> Seed:
    """Return *snapshot* as what a variant begins with."""
    variant = SnapshotName.parse(snapshot.name).variant
    return Seed(
        variant=variant,
        epoch=snapshot.epoch,
        step=snapshot.step,
        name=snapshot.name,
        checksum=snapshot.checksum,
    )
