"""What everything that learns a model works with."""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace

from stream_ml.errors import CannotContinue
from stream_ml.features import CompiledModel
from stream_ml.learning.evolving import model_of
from stream_ml.learning.points import Reached
from stream_ml.learning.topics import Topics
from stream_ml.streams.log import Log
from stream_ml.weights.artefact import CorruptSnapshot
from stream_ml.weights.lines import Layout
from stream_ml.weights.snapshots import SnapshotStore
from stream_ml.weights.state import JournalState

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Parties:
    """
    What beginning and starting work with.

    Attributes:
        who: unique to this life of the process.
        accept_loss: whether to go on from the newest snapshot where replay is impossible. An embedded broker
            forgets with its process: there it is always so.
        layout: of the rows in Redis, where a variant is begun; None where this process's memory has them.
    """

    log: Log
    store: SnapshotStore
    topics: Topics
    model: CompiledModel
    who: str
    accept_loss: bool
    reached: Reached
    layout: Layout | None = None

    @property
    def name(self) -> str:
        """The model's."""
        return self.model.model_file.name


def with_model_of(variant: str, state: JournalState, parties: Parties) -> Parties:
    """
    Return *parties* with the model file of *variant*: theirs, or the one inside of its snapshots or its seed.

    Raises:
        CannotContinue: none of them verifies.
    """
    known = state.variants[variant]
    if known.fingerprint == parties.model.fingerprint:
        return parties
    names = [snapshot.name for snapshot in reversed(known.snapshots)]
    for name in names + ([known.seed.name] if known.seed is not None else []):
        try:
            model = model_of(parties.store, name)
            if model.fingerprint == known.fingerprint:
                return replace(parties, model=model)
        except CorruptSnapshot as error:
            log.error("a snapshot does not verify and is skipped", extra={"reason": str(error)})
    raise CannotContinue(
        f"no snapshot of {variant} verifies, and its model file is nowhere else\n"
        "  hint: `stream-ml rollback` lets the variant before it serve again"
    )


def of_variant(parties: Parties, state: JournalState, variant: str | None = None) -> Parties:
    """
    Return *parties* with the model file of *variant*, or of the one that serves, if it is their challenger.

    Any other variant is left to who is asked to work with it: the file is another one, and that is an error.
    """
    name = variant or state.serving
    known = state.variants.get(name or "")
    if name is None or known is None or known.file != parties.model.fingerprint:
        return parties
    return with_model_of(name, state, parties)


def where(layout: Layout | None) -> str:
    """Return for people where rows are."""
    return "in a learner's memory" if layout is None else f"in {layout.shards} shards in Redis"
