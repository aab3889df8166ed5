"""A snapshot of a variant, loaded aside and verified; nothing that is served is touched."""

from __future__ import annotations

import os
import threading
from concurrent.futures import Future
from dataclasses import dataclass

from stream_ml._native import Plan, Replica
from stream_ml.errors import StreamMlError
from stream_ml.weights.artefact import CorruptSnapshot, Manifest, SnapshotGone
from stream_ml.weights.lines import Announced
from stream_ml.weights.snapshots import SnapshotStore, load

_NICEST = 19


class RefusedSnapshot(StreamMlError):
    """
    A snapshot must not be served; an older one may do.

    Attributes:
        reason: "corrupt", "fingerprint", "gone" or "plan".
    """

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Loaded:
    """A verified snapshot, as of its step."""

    plan: Plan
    replica: Replica
    manifest: Manifest
    score_state: bytes


def load_snapshot(store: SnapshotStore, announced: Announced, fingerprint: str) -> Loaded:
    """
    Load the snapshot *announced*; the plan comes from inside it.

    Args:
        fingerprint: of the variant, from the journal.

    Raises:
        RefusedSnapshot: damaged, gone, of another fingerprint, or of a plan that this release cannot run.
        StoreUnavailable: safe to retry.
    """
    try:
        with store.open(announced.name) as snapshot:
            manifest = snapshot.manifest
            plan = _checked_plan(snapshot.parts().plan, manifest, fingerprint)
            replica = Replica(plan, expected_rows=manifest.total_rows)
            parts = load(snapshot, replica)
            replica.apply(b"", b"", parts.score_state, manifest.step, manifest.learned_at)
    except SnapshotGone as error:
        raise RefusedSnapshot("gone", str(error)) from error
    except CorruptSnapshot as error:
        raise RefusedSnapshot("corrupt", str(error)) from error
    except ValueError as error:
        raise RefusedSnapshot("corrupt", f"snapshot {announced.name}: {error}") from error
    return Loaded(plan, replica, manifest, parts.score_state)


def load_in_background(store: SnapshotStore, announced: Announced, fingerprint: str) -> Future[Loaded]:
    """
    Return the outcome of `load_snapshot`, which runs in a thread that never delays the process's end.

    On a shared core that thread, and the one that reads ahead for it, take what the others leave.
    """
    future: Future[Loaded] = Future()

    def work() -> None:
        os.nice(_NICEST)  # of this thread alone, as Linux has it
        try:
            future.set_result(load_snapshot(store, announced, fingerprint))
        except BaseException as error:  # handed to whoever asks for the result
            future.set_exception(error)

    threading.Thread(target=work, name="load-snapshot", daemon=True).start()
    return future


def _checked_plan(source: bytes, manifest: Manifest, fingerprint: str) -> Plan:
    name = f"snapshot {manifest.variant} step {manifest.step}"
    try:
        plan = Plan(source)
    except ValueError as error:
        raise RefusedSnapshot(
            "plan", f"{name}: its plan cannot be run: {error}; upgrade this process"
        ) from error
    for said, by in ((manifest.fingerprint, "manifest"), (plan.fingerprint, "plan")):
        if said != fingerprint:
            raise RefusedSnapshot(
                "fingerprint", f"{name}: its {by} has fingerprint {said}, the journal says {fingerprint}"
            )
    return plan
