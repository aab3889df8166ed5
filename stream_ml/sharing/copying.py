"""
Moves the rows of the variant that serves: from a learner's memory to Redis, back, or to more or fewer shards.

What is moved is a new variant that begins with a snapshot and at its offsets, so nothing is lost or learned
twice, and predictors change over as to any variant.
"""

from __future__ import annotations

from collections.abc import Callable

from stream_ml._native import reserved_rows
from stream_ml.errors import CannotContinue, ConfigError
from stream_ml.learning.beginnings import Beginnings
from stream_ml.learning.parties import Parties, where
from stream_ml.sharing import images
from stream_ml.weights.artefact import CorruptSnapshot
from stream_ml.weights.journal import JournalReader, JournalWriter
from stream_ml.weights.lines import Announced
from stream_ml.weights.shards import Image, next_offsets
from stream_ml.weights.variant_state import VariantState


def move(parties: Parties, journal: JournalWriter, take_snapshot: Callable[[str], None]) -> tuple[str, str]:
    """
    Move the variant that serves to where the settings say its rows are to be; its learners must be stopped.

    Args:
        take_snapshot: of a variant whose rows are in Redis; it is announced when it returns.

    Returns:
        the variant that served, and the new one, which serves.

    Raises:
        ConfigError: there is nothing to move, or not to there.
        CannotContinue: a learner is still at work, or what it learned is in no snapshot.
    """
    with JournalReader.open(parties.log, parties.topics.journal.name) as reader:
        reader.read_to_end()
        serving = reader.state.serving
        if serving is None:
            raise ConfigError(f"no variant of {parties.name} serves yet: there are no rows to move")
        known = reader.state.variants[serving]
        _check(parties, serving, known)
        if known.layout is not None:
            take_snapshot(serving)
            reader.read_to_end()
        snapshot = _drained(parties, serving, known)
        beginnings = Beginnings(parties, reader, journal)
        return serving, beginnings.new_variant(snapshot, f"moved; it was {where(known.layout)}")


def _check(parties: Parties, serving: str, known: VariantState) -> None:
    if (known.layout and known.layout.shards) == (parties.layout and parties.layout.shards):
        raise ConfigError(f"the rows of {serving} are {where(known.layout)} already; change the settings")
    if known.fingerprint != parties.model.fingerprint:
        raise ConfigError(f"the model file is not that of {serving}, which serves; undo the change first")
    if known.layout is None and known.writer is not None:
        raise CannotContinue(
            f"{known.writer} still learns {serving}, or was killed; start it with its old settings if need "
            "be, and stop it"
        )


def _drained(parties: Parties, serving: str, known: VariantState) -> Announced:
    """Return the newest snapshot, if it has all that was learned."""
    if not known.snapshots or known.snapshots[-1].step != known.step:
        raise CannotContinue(
            f"step {known.step} of {serving} is in no snapshot; start its learner with its old settings, and "
            "stop it: it takes one as it ends"
        )
    newest = known.snapshots[-1]
    try:
        with parties.store.open(newest.name) as snapshot:
            snapshot.verify()
            parts = snapshot.parts()
    except CorruptSnapshot as error:
        raise CannotContinue(f"the newest snapshot of {serving} does not verify: {error}") from error
    if known.layout is not None:
        _check_fences(serving, images.decode(parts.state))
    try:
        reserved_rows(parts.score_state)
    except ValueError as error:
        raise ConfigError(f"the rows of {serving} cannot be shared: {error}") from error
    return newest


def _check_fences(serving: str, shards: list[Image]) -> None:
    partitions = {partition for shard in shards for partition in shard.fences}
    stand = {p: sorted(set(next_offsets((shard.fences for shard in shards), p))) for p in partitions}
    apart = {partition: fences for partition, fences in sorted(stand.items()) if len(fences) > 1}
    if apart:
        raise CannotContinue(
            f"the shards of {serving} disagree how far partitions are learned: {apart}; start its learners "
            "with the old settings until they have caught up, and stop them"
        )
