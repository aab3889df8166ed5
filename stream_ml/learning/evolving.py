"""A changed model file goes on with the rows of the old one: what differs, and what a learner inherits."""

from __future__ import annotations

import numpy
import xxhash

from stream_ml._native import Learner, Plan
from stream_ml.features import CompiledModel, compile_model
from stream_ml.features.differences import Differences, differences
from stream_ml.weights.artefact import Parts
from stream_ml.weights.snapshots import SnapshotStore

# What a line of the journal tells at most; a rewritten model file may have 65,535 slots.
_MOST_TOLD = 500


def model_of(store: SnapshotStore, name: str) -> CompiledModel:
    """
    Return the model file inside of the snapshot *name*.

    Raises:
        CorruptSnapshot: it does not verify.
    """
    with store.open(name) as snapshot:
        return _model_of(snapshot.parts())


def changes_since(store: SnapshotStore, name: str, model: CompiledModel) -> Differences:
    """Return what differs between the model file inside of the snapshot *name* and *model*."""
    return differences(model_of(store, name), model)


def told(found: Differences) -> str:
    """Return what differs in one line, for log and journal."""
    every = [str(difference) for difference in found]
    rest = [f"and {len(every) - _MOST_TOLD} more"] if len(every) > _MOST_TOLD else []
    return "the model file was changed: " + "; ".join(
        every[:_MOST_TOLD] + rest or ["compiled by another release"]
    )


def inherit(learner: Learner, parts: Parts, model: CompiledModel) -> None:
    """
    Let *learner*, which has the rows of a snapshot of another model file, begin a variant of *model*.

    Every weight stays what it was. Rows of slots that were removed or changed are dropped where their ids can
    be told: a number has one; ids of categories are hashes of values that nobody keeps.
    """
    old = _model_of(parts)
    found = differences(old, model)
    learner.begin_with(
        Plan(parts.plan),
        parts.state,
        same_ids=not found.has("event_id"),
        same_times=not found.has("timestamp"),
    )
    gone = {difference.name for difference in found.slots}
    ids = [_number_id(slot.seed) for slot in old.slots if slot.kind == "number" and slot.name in gone]
    learner.load_removed(numpy.array(ids, "<u8").tobytes())


def state_of_shared(parts: Parts) -> Parts:
    """Return *parts* of a snapshot of shards with the state of a learner that has their score state."""
    learner = Learner(Plan(parts.plan))
    learner.load_score_state(parts.score_state)
    learner.begin_image()
    while learner.take_image(1):
        pass
    return parts._replace(state=learner.seal_image().state)


def _model_of(parts: Parts) -> CompiledModel:
    return compile_model(parts.model.decode())


def _number_id(seed: str) -> int:
    """The only feature id of a number slot: see "Feature ids" in ``schemas/plan.md``."""
    return xxhash.xxh3_64_intdigest(b"", seed=int(seed, 16)) or 1
