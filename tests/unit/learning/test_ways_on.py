"""Every stop of the protocol names what differs, and a command; the command goes on."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from stream_ml.errors import CannotContinue
from stream_ml.learning.points import Point
from stream_ml.learning.skipping import decide
from stream_ml.learning.ways_on import ACCEPT_LOSS, skip_to
from stream_ml.weights.lines import Snapshot
from tests.clicks import events
from tests.unit.learning.rig import EndAt, Rig
from tests.unit.learning.test_skipping import parties


@pytest.fixture
def rig(tmp_path: Path) -> Rig:
    return Rig(tmp_path)


def half_replayed(rig: Rig) -> None:
    """Leave steps to replay behind the only snapshot, of step 0."""
    rig.overrides["snapshot_interval_seconds"] = 1000.0
    rig.run_to_the_end(EndAt(Point.LINE_READ_BACK, 5))


def needed_events_trimmed(rig: Rig) -> str:
    half_replayed(rig)
    rig.log.delete_records("events", 0, 10)
    return r"events\[0\]: offset 0 is gone"


def unread_events_trimmed(rig: Rig) -> str:
    rig.run_to_the_end()
    rig.send(events(100, first=200))
    rig.log.delete_records("events", 0, 250)
    return r"records that v1 never learned are gone, by partition: \{0: 50\}"


def no_snapshot_and_a_trimmed_journal(rig: Rig) -> str:
    rig.run_to_the_end()
    last = next(e.line for e in reversed(rig.journal()) if isinstance(e.line, Snapshot))
    rig.log.delete_records("clicks.journal", 0, last.as_of)
    for path in rig.snapshots:
        path.write_bytes(path.read_bytes()[:-1])
    return "the journal does not reach back to the beginning of v1"


def journal_lost(rig: Rig) -> str:
    rig.run_to_the_end()
    rig.forget_broker()
    rig.send(events(200))
    return "clicks.journal is empty, but the store holds snapshots of clicks such as clicks/v1/"


@pytest.mark.parametrize(
    "spoil",
    [
        needed_events_trimmed,
        unread_events_trimmed,
        no_snapshot_and_a_trimmed_journal,
        journal_lost,
    ],
)
def test_a_stop_says_what_differs_and_accepting_the_loss_goes_on(
    rig: Rig, spoil: Callable[[Rig], str]
) -> None:
    rig.send(events(200))
    differs = spoil(rig)
    with pytest.raises(CannotContinue, match=differs) as stopped:
        rig.run_to_the_end()
    assert ACCEPT_LOSS in str(stopped.value)
    rig.accept_loss = True
    life = rig.run_to_the_end()
    assert life.started is not None
    assert life.started.variant == "v2"
    assert life.all_learned()
    rig.accept_loss = False
    assert rig.run_to_the_end().digest == life.digest


def test_the_skip_that_a_stop_names_goes_on_with_the_same_variant(rig: Rig) -> None:
    rig.send(events(200))
    unread_events_trimmed(rig)
    with pytest.raises(CannotContinue) as stopped:
        rig.run_to_the_end()
    assert skip_to({0: 250}) in str(stopped.value)
    places = re.findall(r"--to (\d+):(\d+)", str(stopped.value))
    decide(parties(rig), {int(partition): int(offset) for partition, offset in places})
    life = rig.run_to_the_end()
    assert life.started is not None
    assert life.started.variant == "v1"
    assert life.counts["records"] == 250


def test_the_command_names_every_partition() -> None:
    assert skip_to({3: 7, 1: 20}) == "`stream-ml skip SETTINGS --to 1:20 --to 3:7 --accept-loss`"
