"""The weights of any step, from journal and events alone."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from stream_ml._native import Learner
from stream_ml.errors import ConfigError
from stream_ml.features import CompiledModel
from stream_ml.learning.loading import Loader
from stream_ml.learning.parties import Parties
from stream_ml.streams.scan_cache import ScanCache
from stream_ml.weights.artefact import Manifest, Parts
from stream_ml.weights.journal import Entry, JournalReader, first_after
from stream_ml.weights.lines import Seed, Step
from stream_ml.weights.snapshots import SnapshotName, SnapshotStore

_ROWS_PER_PIECE = 1 << 20


@dataclass(frozen=True, slots=True)
class Rebuilt:
    """
    A learner as of *step*, brought there from the variant's beginning, or a snapshot.

    Attributes:
        events: per partition, the ``[first, next)`` that was learned, without gap or overlap.
        seed, epoch: what the variant began with, and its newest claim.
        newest_at: timestamp of the newest record learned, unix seconds; 0 if there is none.
    """

    variant: str
    step: int
    events: dict[int, tuple[int, int]]
    learner: Learner
    seed: Seed | None
    epoch: int
    newest_at: float

    def described(self) -> dict[str, Any]:
        """Return what scripts read."""
        totals = self.learner.metrics()
        counts = {
            name: int(totals[name]) for name in ("learned", "duplicates", "refused", "skipped", "empty")
        }
        ranges = {str(partition): list(both) for partition, both in self.events.items()}
        return {
            "variant": self.variant,
            "step": self.step,
            "events": ranges,
            **counts,
            **self.learner.digest(),
        }

    def figures(self) -> dict[str, float]:
        """Return what learning by label times is judged by."""
        totals = self.learner.metrics()
        return {name: totals[name] for name in ("auc", "log_loss", "calibration", "labels_early")}

    def store_in(self, store: SnapshotStore, model: CompiledModel, created_at: float) -> SnapshotName:
        """
        Put it into *store* as a snapshot, and return its name.

        No journal announces it: for who follows the journal it does not exist, for who reads it, it does. It
        names no place in the feed.

        Args:
            created_at: unix seconds, now.

        Raises:
            StoreUnavailable: it is not there.
        """
        with store.writer(model.model_file.name, self.variant) as writer:
            self.learner.begin_image()
            while rows := self.learner.take_image(_ROWS_PER_PIECE):
                writer.add_rows(rows)
            seal = self.learner.seal_image()
            manifest = Manifest(
                model=model.model_file.name,
                variant=self.variant,
                fingerprint=model.fingerprint,
                seed=self.seed,
                epoch=self.epoch,
                step=self.step,
                events={partition: end for partition, (_, end) in self.events.items()},
                feed={},
                total_rows=seal.total_rows,
                rows_hash=seal.rows_hash,
                learned_at=self.newest_at,
                created_at=created_at,
            )
            text = model.model_file.text.encode()
            parts = Parts(seal.removed, seal.state, seal.score_state, text, model.plan_bytes)
            return writer.finish(manifest, seal.rows, parts)


def rebuild(
    parties: Parties,
    new_learner: Callable[[], Learner],
    variant: str | None = None,
    to_step: int | None = None,
    *,
    to_time: float | None = None,
    from_snapshot: bool = False,
    watched: Callable[[list[Entry]], Iterable[Entry]] = iter,
    scans: ScanCache | None = None,
) -> Rebuilt:
    """
    Replay *variant* (or the one that serves) from its beginning up to *to_step* (or the journal's end).

    Args:
        to_time: unix seconds; learn no step whose line came to the journal later.
        from_snapshot: begin with the newest snapshot that is not later, instead of an empty table.
        watched: hands on the journal's lines, one by one as they are followed.
        scans: what it holds is not read and scanned again; what it lacks is added.

    Raises:
        ConfigError: there is no such variant or step, or the model file is not its own.
        ReplayImpossible: says what differs.
    """
    with JournalReader.open(parties.log, parties.topics.journal.name) as known:
        known.read_to_end()
        variant = variant or known.state.serving
        if to_time is not None:
            to_step = _step_at(parties, variant, to_time, to_step)
        variant = _checked(parties, known, variant, to_step)
        loader = Loader(parties, new_learner, scans)
        loaded = loader.newest(known, variant, to_step) if from_snapshot else loader.beginning(variant)
    first = dict(loaded.replay.events)
    with loaded.journal as journal:
        loaded.replay.follow(watched(journal.read_to_end()), to_step)
    loaded.replay.close()
    loaded.replay.learner.learn_waiting()  # of a learner that waits for labels
    events = {partition: (first.get(partition, 0), end) for partition, end in loaded.replay.events.items()}
    replay, epoch = loaded.replay, known.state.variants[variant].epoch
    return Rebuilt(variant, replay.step, events, replay.learner, loaded.seed, epoch, replay.newest_at)


def _checked(parties: Parties, known: JournalReader, variant: str | None, to_step: int | None) -> str:
    state = known.state.variants.get(variant or "")
    if variant is None or state is None:
        raise ConfigError(f"{parties.name} has no variant {variant or 'that serves'}")
    if state.fingerprint != parties.model.fingerprint:
        raise ConfigError(
            f"variant {variant} was learned with fingerprint {state.fingerprint}, the model file compiles to "
            f"{parties.model.fingerprint}; use the file that lies in the variant's snapshots"
        )
    if state.layout is not None:
        raise ConfigError(
            f"variant {variant} is learned with rows in Redis, by several learners in no order that is "
            "written down: there are no steps to learn again\n  hint: its snapshots are in the store, "
            "`stream-ml inspect` reads them"
        )
    if to_step is not None and to_step > state.step:
        raise ConfigError(f"variant {variant} has {state.step} steps, there is no step {to_step} yet")
    return variant


def _step_at(parties: Parties, variant: str | None, to_time: float, to_step: int | None) -> int:
    """Return the last valid step of *variant* that the journal had at *to_time*, *to_step* at most."""
    topic = parties.topics.journal.name
    end = first_after(parties.log, topic, to_time)
    last = 0
    with JournalReader(parties.log, topic) as journal:
        for offset, line, verdict in journal.read_to_end():
            if offset < end and isinstance(line, Step) and line.variant == variant and verdict.valid:
                last = line.step
    return last if to_step is None else min(last, to_step)
