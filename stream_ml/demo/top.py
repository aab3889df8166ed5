"""The strongest weights of the last snapshot, by name."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from stream_ml._native import Plan
from stream_ml.weights.inspection import names_in, strongest, weights_of
from stream_ml.weights.snapshots import SnapshotStore

COUNT = 12


def top_features(store_url: str, events: Iterable[bytes]) -> list[dict[str, Any]]:
    """
    Return the strongest weights whose feature occurs in *events*, strongest first.

    A feature id is a hash: only a sample of events can say which feature it was.
    """
    store = SnapshotStore(store_url)
    newest = max(store.names("*"), key=lambda name: (name.epoch, name.step))
    with store.open(newest) as reader:
        names = names_in(events, Plan(reader.parts().plan))
        weights = weights_of(reader)
    named = [weight for weight in strongest(weights, len(weights.ids), names) if weight.slot is not None]
    return [{"slot": each.slot, "value": each.value or "", "weight": each.w} for each in named[:COUNT]]
