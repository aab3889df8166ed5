"""A snapshot that a person names: by its file, or as the newest one of a store."""

from __future__ import annotations

import time
from pathlib import Path

from stream_ml.errors import ConfigError
from stream_ml.local.running import EMBEDDED_SNAPSHOT_SECONDS, Running
from stream_ml.weights.snapshots import SnapshotName, SnapshotStore


def find_snapshot(
    target: str, model: str | None = None, variant: str | None = None
) -> tuple[SnapshotStore, SnapshotName]:
    """
    Return the snapshot that *target* names, and its store.

    Args:
        target: a snapshot's file, or the folder or URL of a store, of which the newest is taken.

    Raises:
        ConfigError: there is none, or the store holds several models.
    """
    if target.endswith(".safetensors"):
        path = target if "://" in target else str(Path(target).absolute())
        root, *name = path.rsplit("/", 3)
        try:
            return SnapshotStore(root), SnapshotName.parse("/".join(name))
        except ValueError as error:
            raise ConfigError(str(error)) from error
    store = SnapshotStore(target)
    names = store.names(model or "*", variant)
    models = sorted({name.model for name in names})
    if not models:
        raise ConfigError(f"{target} holds no snapshot of {model or 'any model'}")
    if len(models) > 1:
        raise ConfigError(f"{target} holds several models\n  hint: --model " + " or ".join(models))
    return store, max(names, key=lambda name: (name.epoch, name.step))


def newest_of(
    directory: Path, model: str | None = None, variant: str | None = None
) -> tuple[SnapshotStore, SnapshotName]:
    """
    Return the newest snapshot of the service that runs, or last ran, from *directory*.

    Where that is the one of the service's start, in which nothing is learned, it waits for the next: whoever
    has just sent the first events wants to see what came of them.

    Raises:
        ConfigError: as `find_snapshot`, `store_of`.
    """
    running = Running.find(directory)
    waits = running is not None and running.embedded
    end = time.monotonic() + (2 * EMBEDDED_SNAPSHOT_SECONDS if waits else 0)
    while True:
        store, name = find_snapshot(store_of(directory), model, variant)
        if name.step or time.monotonic() >= end:
            return store, name
        time.sleep(0.1)


def store_of(directory: Path) -> str:
    """Return the store of the service that runs, or last ran, from *directory*."""
    running = Running.find(directory)
    if running is not None:
        return running.snapshot_store
    store = directory / "snapshots"
    if not store.is_dir():
        raise ConfigError(
            f"nothing ran from {directory}\n  hint: give a snapshot, or the folder or URL of a store"
        )
    return str(store)
