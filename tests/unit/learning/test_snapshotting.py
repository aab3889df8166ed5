import sys
from collections.abc import Iterable
from pathlib import Path
from typing import cast

import pytest

from stream_ml.learning.points import Point
from stream_ml.streams.log import Log
from stream_ml.weights.artefact import Manifest, Parts
from stream_ml.weights.lines import Snapshot, Step
from stream_ml.weights.snapshots import SnapshotName, SnapshotStore, SnapshotWriter, StoreUnavailable
from tests.clicks import events, expected_counts
from tests.servers.processes import wait_until
from tests.unit.learning.rig import EndAt, HoldingLog, Rig


@pytest.fixture
def rig(tmp_path: Path) -> Rig:
    return Rig(tmp_path)


def announced(rig: Rig) -> list[int]:
    return [entry.line.step for entry in rig.journal() if isinstance(entry.line, Snapshot)]


def test_the_first_one_does_not_wait_for_its_interval(rig: Rig) -> None:
    rig.overrides["snapshot_interval_seconds"] = 1000.0
    life = rig.in_background()
    wait_until(lambda: rig.log.topic("clicks.journal") is not None and announced(rig) == [0])
    life.end()
    assert announced(rig) == [0], "nothing was learned, so the end needs no other"


def test_none_is_stored_before_every_dead_letter_of_its_steps_is_acknowledged(rig: Rig) -> None:
    log = HoldingLog(rig.log, "clicks.dead-letters", acknowledgements=True)
    seen = EndAt()
    life = rig.in_background(seen, log=cast(Log, log))
    wait_until(lambda: seen.seen.count(Point.SNAPSHOT_READ_BACK) == 1)
    log.holding = True
    rig.send(events(300))
    life.wait_until_learned()
    wait_until(lambda: len(log.held) == expected_counts(300)[2])
    wait_for_turns(seen)
    assert seen.seen.count(Point.IMAGE_SEALED) == 2
    assert seen.seen.count(Point.SNAPSHOT_STORED) == 1
    log.let_go()
    life.end()
    assert life.loop is not None
    assert announced(rig)[-1] == life.loop.step


def test_none_is_stored_before_the_lines_of_its_steps_are_read_back(rig: Rig) -> None:
    log = HoldingLog(rig.log, "clicks.journal")
    seen = EndAt()
    life = rig.in_background(seen, log=cast(Log, log))
    wait_until(lambda: seen.seen.count(Point.SNAPSHOT_READ_BACK) == 1)
    log.holding = True
    rig.send(events(50))
    life.wait_until_learned()
    wait_for_turns(seen)
    assert seen.seen.count(Point.IMAGE_SEALED) == 2
    assert seen.seen.count(Point.SNAPSHOT_STORED) == 1
    log.let_go()
    life.end()


def wait_for_turns(seen: EndAt) -> None:
    """Wait until an image was sealed and the loop has gone round some times since."""
    wait_until(lambda: seen.seen.count(Point.IMAGE_SEALED) == 2)
    commits = seen.seen.count(Point.OFFSETS_COMMITTED)
    wait_until(lambda: seen.seen.count(Point.OFFSETS_COMMITTED) >= commits + 10)


def test_its_line_names_where_its_own_steps_ended_though_learning_went_on(rig: Rig) -> None:
    rig.overrides["snapshot_interval_seconds"] = 0.001
    rig.overrides["snapshot_rows_per_batch"] = 20
    rig.send(events(1000))
    rig.run_to_the_end()
    ends, seen = {0: {0: 0}}, 0
    for _, line, verdict in rig.journal():
        if isinstance(line, Step) and verdict.valid:
            ends[line.step] = ends[line.step - 1] | {part.partition: part.next for part in line.ranges}
        elif isinstance(line, Snapshot) and verdict.valid:
            assert line.events == ends[line.step]
            seen += max(ends) > line.step
    assert seen, "learning never went on while one was taken"


def test_a_stored_one_that_nobody_announced_does_not_exist(rig: Rig) -> None:
    rig.send(events(200))
    rig.run_to_the_end(EndAt(Point.SNAPSHOT_STORED, 2))
    names = {entry.line.name for entry in rig.journal() if isinstance(entry.line, Snapshot)}
    orphans = [path for path in rig.snapshots if path.name not in {name.rsplit("/")[-1] for name in names}]
    assert len(orphans) == 1
    orphans[0].write_bytes(b"damaged")
    rig.run_to_the_end()


def test_older_ones_are_removed_and_three_are_kept(rig: Rig) -> None:
    for part in range(6):
        rig.send(events(50, first=50 * part))
        rig.run_to_the_end()
    assert len(announced(rig)) >= 6
    assert len(rig.snapshots) == 3


class WatchedStore(SnapshotStore):
    """A store that, when one is begun, counts who else holds what it wrote last; its second write fails."""

    def __init__(self, folder: Path) -> None:
        super().__init__(str(folder))
        self.pieces: list[bytes] = []
        self.held: list[int] = []

    def writer(self, model: str, variant: str) -> SnapshotWriter:
        if self.pieces:
            self.held.append(sys.getrefcount(self.pieces[-1]) - 2)  # the list's, and of the call that counts
        writer = super().writer(model, variant)
        finish = writer.finish

        def watched(manifest: Manifest, rows: bytes, parts: Parts, state: Iterable[bytes]) -> SnapshotName:
            self.pieces.append(parts.score_state)
            if len(self.pieces) == 2:
                raise StoreUnavailable("no space left")
            return finish(manifest, rows, parts, state)

        writer.finish = watched  # type: ignore[assignment, method-assign]
        return writer


def test_what_was_written_or_given_up_is_not_held_until_the_next_one(rig: Rig) -> None:
    rig.store = store = WatchedStore(rig.folder / "snapshots")
    life = rig.in_background()
    for number in range(1, 4):
        rig.send(events(50, first=50 * number))
        wait_until(lambda number=number: len(store.held) >= number)  # type: ignore[misc]
    life.end()
    assert not any(store.held)


class FailingStore(SnapshotStore):
    """A store that is full from the second snapshot to the fourth."""

    def __init__(self, folder: Path) -> None:
        super().__init__(str(folder))
        self.begun = 0

    def writer(self, model: str, variant: str) -> SnapshotWriter:
        self.begun += 1
        writer = super().writer(model, variant)
        if 2 <= self.begun <= 4:
            writer.add_rows = self.refuse  # type: ignore[method-assign]
        return writer

    def refuse(self, rows: object) -> None:
        raise StoreUnavailable("no space left")


def test_a_full_store_stops_no_learning_and_the_next_one_is_whole(
    rig: Rig, caplog: pytest.LogCaptureFixture
) -> None:
    store = FailingStore(rig.folder / "snapshots")
    rig.store = store
    rig.overrides.update(snapshot_rows_per_batch=10, snapshot_interval_seconds=0.01)
    rig.send(events(100))
    life = rig.in_background()
    life.wait_until_learned()
    wait_until(lambda: store.begun > 4 and life.loop is not None and announced(rig)[-1] == life.loop.step)
    life.end()
    reasons = [record.__dict__.get("reason") for record in caplog.records]
    assert reasons.count("no space left") == 3
    assert rig.run_to_the_end().digest == life.digest
    assert not list(rig.folder.rglob("*.partial"))
