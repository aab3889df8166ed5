"""How a journal and a variant begin: a first start, a broker that forgot, a loss that was accepted."""

from __future__ import annotations

import logging
import re
from dataclasses import dataclass

from stream_ml.errors import CannotContinue, ConfigError
from stream_ml.features import CompiledModel
from stream_ml.learning.points import Point, Reached
from stream_ml.learning.topics import Topics, first_offsets, going_on, lost
from stream_ml.streams.log import Log
from stream_ml.weights.artefact import CorruptSnapshot, Manifest
from stream_ml.weights.journal import JournalReader, JournalWriter
from stream_ml.weights.lines import (
    Announced,
    Begin,
    Decision,
    Seed,
    Variant,
    VariantInForce,
    journal_and_offset,
    place_of,
)
from stream_ml.weights.snapshots import SnapshotName, SnapshotStore
from stream_ml.weights.state import VariantState

log = logging.getLogger(__name__)

_FLUSH_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class Parties:
    """
    What beginning and starting work with.

    Attributes:
        who: unique to this life of the process.
        accept_loss: whether to go on from the newest snapshot where replay is impossible. An embedded broker
            forgets with its process: there it is always so.
    """

    log: Log
    store: SnapshotStore
    topics: Topics
    model: CompiledModel
    who: str
    accept_loss: bool
    reached: Reached

    @property
    def name(self) -> str:
        """The model's."""
        return self.model.model_file.name


class Beginnings:
    """Writes a journal's first lines, and the lines that begin a variant; *reader* is read to its end."""

    def __init__(self, parties: Parties, reader: JournalReader, writer: JournalWriter) -> None:
        self._parties, self._reader, self._writer = parties, reader, writer

    def serving_variant(self) -> str:
        """
        Return the variant that serves; begins one where none does.

        Raises:
            ConfigError: the model file is not that variant's.
        """
        if self._reader.state.next_offset == 0:
            self._begin_journal()
        state = self._reader.state
        if state.serving is None:
            return self._first_variant()
        self._check_fingerprint(state.serving, state.variants[state.serving])
        return state.serving

    def new_variant(self, seed: Announced | None, why: str) -> str:
        """Begin a variant with the rows of *seed* that learns on from there, its loss counted; it serves."""
        events = first_offsets(self._parties.log, self._parties.topics.events)
        gone: dict[int, int] = {}
        if seed is not None and not self._begun_anew(seed):
            gone = lost(self._parties.log, self._parties.topics.events, seed.events)
            events = going_on(self._parties.log, self._parties.topics.events, seed.events)
        variant = self._next_id()
        level = logging.INFO if seed is None else logging.WARNING
        log.log(level, "a new variant begins", extra={"variant": variant, "why": why, "lost": gone})
        line = Variant(
            variant=variant,
            fingerprint=self._parties.model.fingerprint,
            seed=None if seed is None else seed_of(seed),
            events=events,
            why=why,
            lost=gone or None,
        )
        self._writer.append(line)
        return self._let_serve(variant, why)

    def _first_variant(self) -> str:
        """Return a variant that was begun but not decided for, or begin one."""
        state, fingerprint = self._reader.state, self._parties.model.fingerprint
        for variant, known in state.variants.items():
            if known.line is not None and known.fingerprint == fingerprint:
                return self._let_serve(variant, "first start")
        stored = [(known.snapshots[-1], known) for known in state.variants.values() if known.snapshots]
        fitting = [snapshot for snapshot, known in stored if known.fingerprint == fingerprint]
        if stored and not fitting:
            return self.new_variant(
                None, "the journal was lost, and no stored snapshot is of this model file"
            )
        if fitting:
            newest = max(fitting, key=lambda snapshot: (snapshot.epoch, snapshot.step))
            return self.new_variant(newest, f"the journal was lost; goes on from {newest.name}")
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
        self._check_fingerprint(serving, self._reader.state.variants[serving])
        return serving

    def _begin_journal(self) -> None:
        stored = self._parties.store.names(self._parties.name)
        if stored and not self._parties.accept_loss:
            raise CannotContinue(
                f"{self._parties.topics.journal.name} is empty, but the store holds snapshots of "
                f"{self._parties.name} such as {stored[0]}: the journal was lost, or the store is another "
                "cluster's. --accept-loss goes on from the newest one as a new variant; or set snapshot_store"
            )
        number = 1 + max((journal_and_offset(name.epoch)[0] for name in stored), default=-1)
        self._writer.append(Begin(journal=number, variants=self._stored_variants(stored, number)))
        self._read_back()

    def _stored_variants(self, stored: list[SnapshotName], number: int) -> tuple[VariantInForce, ...]:
        """Return every variant of the store with its newest snapshot that verifies."""
        variants = []
        for variant in sorted({name.variant for name in stored}):
            newest = self._newest_that_verifies([name for name in stored if name.variant == variant])
            if newest is not None:
                variants.append(self._restated(*newest, number))
        return tuple(variants)

    def _newest_that_verifies(self, names: list[SnapshotName]) -> tuple[SnapshotName, Manifest] | None:
        for name in sorted(names, key=lambda name: (name.epoch, name.step), reverse=True):
            try:
                return name, self._parties.store.verify(name)
            except CorruptSnapshot as error:
                log.error("a snapshot does not verify and is skipped", extra={"reason": str(error)})
        return None

    def _restated(self, name: SnapshotName, manifest: Manifest, number: int) -> VariantInForce:
        announced = Announced(
            epoch=name.epoch,
            step=name.step,
            name=str(name),
            checksum=name.checksum,
            events=manifest.events,
            # The feed began anew too.
            feed=dict.fromkeys(range(self._parties.topics.feed.partitions), 0),
            as_of=place_of(number, 0),
        )
        return VariantInForce(
            variant=name.variant,
            fingerprint=manifest.fingerprint,
            seed=manifest.seed,
            step=name.step,
            events=manifest.events,
            claims=(),
            writer=None,
            snapshots=(announced,),
        )

    def _begun_anew(self, snapshot: Announced) -> bool:
        """Whether *snapshot* is of an earlier journal, so that its offsets are of other topics."""
        return journal_and_offset(snapshot.epoch)[0] != self._reader.state.journal

    def _check_fingerprint(self, variant: str, known: VariantState) -> None:
        if known.fingerprint != self._parties.model.fingerprint:
            raise ConfigError(
                f"the model file compiles to fingerprint {self._parties.model.fingerprint}, but variant "
                f"{variant} of {self._parties.name}, which serves, has {known.fingerprint}: a variant keeps "
                "one model file for life. Undo the change, or give the changed model another name"
            )

    def _next_id(self) -> str:
        stored = {name.variant for name in self._parties.store.names(self._parties.name)}
        numbers = (re.fullmatch(r"v(\d+)", known) for known in stored | set(self._reader.state.variants))
        return f"v{1 + max((int(number[1]) for number in numbers if number), default=0)}"

    def _read_back(self) -> None:
        self._writer.flush(_FLUSH_SECONDS)
        self._reader.read_to_end()


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
