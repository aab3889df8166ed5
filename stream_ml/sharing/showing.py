"""What whoever takes a shared model's snapshots shows of them; who does so no more shows nothing."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from stream_ml.errors import RecoverableError
from stream_ml.runtime import metrics
from stream_ml.runtime.clock import Clock
from stream_ml.streams.log import LogUnavailable
from stream_ml.weights.artefact import Manifest
from stream_ml.weights.snapshots import StoreUnavailable

# Between two looks at where the logs begin: several calls to the brokers.
_LOOK_SECONDS = 10.0
_ROW_BYTES = 16
_OF_LAST = (
    metrics.LEARNER_SNAPSHOT_SECONDS,
    metrics.LEARNER_SNAPSHOT_STEP,
    metrics.LEARNER_SNAPSHOT_BYTES,
    metrics.LEARNER_ROWS,
)


def show_snapshot(manifest: Manifest, seconds: float) -> None:
    """Show what a snapshot is that took so long."""
    values = (seconds, manifest.step, _ROW_BYTES * manifest.total_rows, manifest.total_rows)
    for gauge, value in zip(_OF_LAST, values, strict=True):
        gauge.labels(manifest.model).set(value)


def show_success(model: str, now: float) -> None:
    """Show that a snapshot is there."""
    metrics.LEARNER_STORE_FAILS.labels(model).set(0)
    metrics.LEARNER_SNAPSHOTS.labels(model).inc()
    metrics.LEARNER_SNAPSHOT_AT.labels(model).set(now)


def show_failure(model: str, error: RecoverableError) -> None:
    """Show that none is there, but for brokers that are away: it waits as all do, and others tell of them."""
    if isinstance(error, LogUnavailable):
        return
    metrics.LEARNER_SNAPSHOT_FAILURES.labels(model).inc()
    if isinstance(error, StoreUnavailable):
        metrics.LEARNER_STORE_FAILS.labels(model).set(1)


def show_bad(model: str, count: int) -> None:
    """Show how many of those that are kept do not verify."""
    metrics.LEARNER_SNAPSHOTS_BAD.labels(model).set(count)


def show_no_trouble(model: str) -> None:
    """Show that nothing is wrong, as far as this process looks."""
    for gauge in (metrics.LEARNER_STORE_FAILS, metrics.LEARNER_SNAPSHOTS_BAD):
        gauge.labels(model).set(0)


class SnapshotFigures:
    """Belongs to one thread; nothing is shown of a model whose snapshots another process takes."""

    def __init__(self, model: str, margins: Callable[[], Mapping[str, int]], clock: Clock) -> None:
        """*margins*: by log, the offsets that it still has before the oldest snapshot that is kept."""
        self._model, self._margins, self._clock = model, margins, clock
        self._look_at = clock.monotonic()
        self._takes = False
        self._logs: set[str] = set()

    def taken(self) -> None:
        """Look soon: there is another snapshot."""
        self._look_at = self._clock.monotonic()

    def turn(self, takes: bool) -> None:
        """
        Show, now and then, how far the logs are from dropping what the oldest kept snapshot needs.

        Args:
            takes: whether this process is to take the snapshots.
        """
        if self._takes and not takes:
            self._hide()
        self._takes = takes
        if takes and self._clock.monotonic() >= self._look_at:
            self._look_at = self._clock.monotonic() + _LOOK_SECONDS
            for name, offsets in self._margins().items():
                self._logs.add(name)
                metrics.LEARNER_OLDEST_SNAPSHOT_MARGIN.labels(self._model, name).set(offsets)

    def _hide(self) -> None:
        """Take back what would ring for ever, or be taken for what is now."""
        for name in self._logs:
            metrics.LEARNER_OLDEST_SNAPSHOT_MARGIN.remove(self._model, name)
        self._logs.clear()
        for gauge in _OF_LAST:
            gauge.labels(self._model)  # one that was never shown could not be removed
            gauge.remove(self._model)
        show_no_trouble(self._model)
