"""The first line of a journal: which variants the snapshot store has, where one before it was lost."""

from __future__ import annotations

import logging
from itertools import islice

from stream_ml.errors import CannotContinue
from stream_ml.learning.parties import Parties
from stream_ml.learning.ways_on import ACCEPT_LOSS
from stream_ml.weights.artefact import CorruptSnapshot, Manifest
from stream_ml.weights.lines import Announced, Begin, VariantInForce, journal_and_offset, place_of
from stream_ml.weights.snapshots import SnapshotName, SnapshotStore
from stream_ml.weights.state import VARIANTS_KEPT

log = logging.getLogger(__name__)


def first_line(parties: Parties) -> Begin:
    """
    Return the line that begins the journal of *parties*, which is empty.

    Raises:
        CannotContinue: there were journals before it, and no loss is accepted.
    """
    stored = parties.store.names(parties.name)
    if stored and not parties.accept_loss:
        raise CannotContinue(
            f"{parties.topics.journal.name} is empty, but the store holds snapshots of "
            f"{parties.name} such as {stored[0]}: the journal was lost, or the store is another "
            f"cluster's. {ACCEPT_LOSS} goes on from the newest as a new variant; or set snapshot_store"
        )
    number = 1 + max((journal_and_offset(name.epoch)[0] for name in stored), default=-1)
    return Begin(journal=number, variants=_stored_variants(parties, stored, number))


def verified(store: SnapshotStore, name: SnapshotName | str) -> Manifest | None:
    """Return the manifest of the snapshot *name*, or None, and say so, if it does not verify."""
    try:
        return store.verify(name)
    except CorruptSnapshot as error:
        log.error("a snapshot does not verify and is skipped", extra={"reason": str(error)})
        return None


def _stored_variants(parties: Parties, stored: list[SnapshotName], number: int) -> tuple[VariantInForce, ...]:
    """Return the variants begun last, in their order, each with its newest snapshot that verifies."""
    by_variant: dict[str, list[SnapshotName]] = {}
    for name in sorted(stored, key=lambda name: name.epoch, reverse=True):
        by_variant.setdefault(name.variant, []).append(name)
    every = (_newest_that_verifies(parties.store, names) for names in by_variant.values())
    feed_partitions = parties.topics.feed.partitions
    newest = [
        _restated(*each, number, feed_partitions) for each in islice(filter(None, every), VARIANTS_KEPT)
    ]
    return tuple(reversed(newest))


def _newest_that_verifies(
    store: SnapshotStore, names: list[SnapshotName]
) -> tuple[SnapshotName, Manifest] | None:
    for name in sorted(names, key=lambda name: (name.epoch, name.step), reverse=True):
        if manifest := verified(store, name):
            return name, manifest
    return None


def _restated(name: SnapshotName, manifest: Manifest, number: int, feed_partitions: int) -> VariantInForce:
    announced = Announced(
        epoch=name.epoch,
        step=name.step,
        name=str(name),
        checksum=name.checksum,
        events=manifest.events,
        # The feed began anew too.
        feed=dict.fromkeys(range(feed_partitions), 0),
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
        topic_id=manifest.topic_id,
        # Its rows are a file now; whoever begins with them puts them where it has its own.
        layout=None,
    )
