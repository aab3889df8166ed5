"""When the writer takes a snapshot, and which ones stay: its own decisions about what `Snapshots` does."""

from __future__ import annotations

import math
from collections.abc import Callable

from stream_ml._native import Learner
from stream_ml.learning.margins import RetentionMargins
from stream_ml.learning.points import Point, Reached
from stream_ml.learning.reporting import Report
from stream_ml.learning.snapshotting import AsOf, Position, Snapshots
from stream_ml.runtime.clock import Clock
from stream_ml.runtime.settings import LearnerSettings
from stream_ml.weights.lines import Announced, Line, Snapshot


class Keeper:
    """
    Lets the snapshots of *variant* be taken when they are due, and removed when they are old.

    Attributes:
        as_of: what the journal says, as last read; a snapshot that is begun states it.
    """

    def __init__(
        self,
        variant: str,
        snapshots: Snapshots,
        margins: RetentionMargins,
        as_of: AsOf,
        settings: LearnerSettings,
        report: Report,
        clock: Clock,
        reached: Reached,
    ) -> None:
        self._variant, self.snapshots, self._margins, self.as_of = variant, snapshots, margins, as_of
        self._settings, self._report, self._clock, self._reached = settings, report, clock, reached

    def turn(
        self,
        learner: Learner,
        position: Position,
        acknowledged: Callable[[int], bool],
        append: Callable[[Line], None],
        *,
        may_begin: bool,
    ) -> None:
        """
        Begin one if it is due, or take the next piece of the one that is being taken.

        Args:
            acknowledged: whether all lines and outputs of the steps up to one are.
            append: to the journal.
        """
        failed = self.snapshots.failed
        if may_begin and self.snapshots.idle and self._due(position.step):
            self.begin(learner)
        sealed = self.snapshots.sealed_step
        line = self.snapshots.turn(learner, position, acknowledged=sealed >= 0 and acknowledged(sealed))
        if line is not None:
            append(line)
            self._reached(Point.SNAPSHOT_ANNOUNCED)
        if self.snapshots.failed > failed:
            self._report.snapshot_failed()

    def begin(self, learner: Learner) -> None:
        """Begin one now."""
        self.snapshots.begin(learner, self.as_of)
        self._margins.begin_snapshot()

    def read_back(self, line: Snapshot) -> None:
        """Take notice of the line of a snapshot; if it was ours, older ones go."""
        if self.snapshots.read_back(
            line.name,
            [*(each.name for each in self._announced()), line.name],
            self._settings.snapshots_kept,
            self._settings.snapshots_kept_seconds,
            self.as_of.in_force.seeds,
            self._variants_in_force(),
        ):
            self._margins.end_snapshot()
            self._report.snapshot_announced(self.snapshots)

    @property
    def oldest(self) -> Announced | None:
        """The oldest snapshot that is kept for its number."""
        kept = self._announced()[-self._settings.snapshots_kept :]
        return kept[0] if kept else None

    def _announced(self) -> list[Announced]:
        variants = self.as_of.in_force.variants
        return [each for known in variants if known.variant == self._variant for each in known.snapshots]

    def _due(self, step: int) -> bool:
        if self.snapshots.step < 0 and not self.snapshots.failed:
            return True  # the first one at once, so that predictors can start
        since = self._clock.monotonic() - self.snapshots.begun_at
        took = self.snapshots.ended_at - self.snapshots.begun_at
        interval = self._settings.snapshot_interval_seconds if step > self.snapshots.step else math.inf
        # It names its places in the logs: without anything new it grows old all the same.
        return since >= interval or self._margins.snapshot_due(since, took)

    def _variants_in_force(self) -> list[str] | None:
        """Return all variants, if ours is the one that serves: its writer looks after those that do not."""
        in_force = self.as_of.in_force
        serving = {each.decision.variant for each in in_force.decisions if each.decision.kind == "serve"}
        return [said.variant for said in in_force.variants] if self._variant in serving else None
