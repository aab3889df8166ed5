"""Every stop of the protocol names what differs, and a command; the command goes on."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from stream_ml.errors import CannotContinue
from stream_ml.learning.points import Point
from stream_ml.learning.skipping import skip
from stream_ml.learning.ways_on import ACCEPT_LOSS, naming, skip_to
from stream_ml.weights.lines import Snapshot, Step, Variant
from tests.clicks import MODEL, events
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


def event_rewritten(rig: Rig) -> str:
    half_replayed(rig)
    rig.log.rewrite("events", 0, 7, events(1, first=1000)[0])
    return r"\[0, 20\) of partition 0 held 20 records with checksum [0-9a-f]{16}; now they end at 20"


def topic_made_anew_before_a_replay(rig: Rig) -> str:
    half_replayed(rig)
    return made_anew(rig, 200)


def topic_made_anew_longer_with_nothing_to_replay(rig: Rig) -> str:
    rig.run_to_the_end()
    return made_anew(rig, 250)


def topic_made_anew_shorter_with_nothing_to_replay(rig: Rig) -> str:
    rig.run_to_the_end()
    return made_anew(rig, 150)


def topic_made_anew_before_the_first_step(rig: Rig) -> str:
    rig.run_to_the_end(EndAt(Point.VARIANT_BEGUN))
    return made_anew(rig, 250)


def made_anew(rig: Rig, count: int) -> str:
    rig.log.delete_topic("events")
    rig.log.ensure_topic("events", 1)
    rig.send(events(count, first=1000))
    return r"their topic was [0-9a-f]{32}, it is now [0-9a-f]{32}"


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
        event_rewritten,
        topic_made_anew_before_a_replay,
        topic_made_anew_longer_with_nothing_to_replay,
        topic_made_anew_shorter_with_nothing_to_replay,
        topic_made_anew_before_the_first_step,
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


@pytest.mark.parametrize("count", [150, 250])
def test_of_a_topic_that_was_made_anew_every_event_is_learned_and_what_was_learned_since_is_counted(
    rig: Rig, count: int
) -> None:
    rig.send(events(100))
    rig.run_to_the_end()
    rig.overrides["snapshot_interval_seconds"] = 1000.0
    rig.send(events(100, first=100))
    assert rig.run_to_the_end(EndAt(Point.LINE_READ_BACK, 3)).killed
    learned = max(
        e.line.ranges[0].next for e in rig.journal() if isinstance(e.line, Step) and e.verdict.valid
    )
    made_anew(rig, count)
    rig.accept_loss = True
    life = rig.run_to_the_end()
    assert life.counts["records"] == count
    (line,) = [e.line for e in rig.journal() if isinstance(e.line, Variant) and e.line.variant == "v2"]
    assert (line.events, line.lost) == ({0: 0}, {0: learned - 100})
    assert learned > 100


@pytest.mark.parametrize("count", [150, 250])
def test_a_changed_model_file_and_a_topic_made_anew_in_one_restart_are_a_stop(rig: Rig, count: int) -> None:
    rig.send(events(200))
    rig.run_to_the_end()
    made_anew(rig, count)
    rig.model_text = MODEL.replace("alpha = 0.3", "alpha = 0.2")
    with pytest.raises(
        CannotContinue, match="the model file was changed, and events was made anew: v1"
    ) as stopped:
        rig.run_to_the_end()
    assert ACCEPT_LOSS in str(stopped.value)
    rig.accept_loss = True
    life = rig.run_to_the_end()
    assert life.started is not None
    assert life.started.variant == "v2"
    assert life.counts["records"] == count


def test_a_topic_made_anew_after_a_changed_model_began_its_variant_is_a_stop(rig: Rig) -> None:
    rig.send(events(200))
    rig.run_to_the_end()
    rig.model_text = MODEL.replace("alpha = 0.3", "alpha = 0.2")
    assert rig.run_to_the_end(EndAt(Point.CHANGED_VARIANT_BEGUN)).killed
    made_anew(rig, 250)
    with pytest.raises(CannotContinue, match="their topic was"):
        rig.run_to_the_end()
    rig.accept_loss = True
    life = rig.run_to_the_end()
    assert life.started is not None
    assert life.started.variant == "v3"
    assert life.counts["records"] == 250


def test_the_skip_that_a_stop_names_goes_on_with_the_same_variant(rig: Rig) -> None:
    rig.send(events(200))
    unread_events_trimmed(rig)
    with pytest.raises(CannotContinue) as stopped:
        rig.run_to_the_end()
    assert skip_to({0: 250}) in str(stopped.value)
    places = re.findall(r"--to (\d+):(\d+)", str(stopped.value))
    skip(parties(rig), {int(partition): int(offset) for partition, offset in places})
    life = rig.run_to_the_end()
    assert life.started is not None
    assert life.started.variant == "v1"
    assert life.counts["records"] == 250


def test_the_command_names_every_partition() -> None:
    assert skip_to({3: 7, 1: 20}) == "`stream-ml skip SETTINGS --to 1:20 --to 3:7 --accept-loss`"


@pytest.mark.parametrize(
    ("path", "named"),
    [("/etc/learner.toml", "/etc/learner.toml"), ("my file", "'my file'"), ("a\\1", "'a\\1'")],
)
def test_commands_name_the_settings_file_where_it_is_known(path: str, named: str) -> None:
    message = f"gone; {skip_to({0: 5})} goes on, {ACCEPT_LOSS} too; SETTINGS is a word"
    with pytest.raises(CannotContinue) as stopped, naming(Path(path)):
        raise CannotContinue(message)
    assert str(stopped.value) == (
        f"gone; `stream-ml skip {named} --to 0:5 --accept-loss` goes on, "
        f"`stream-ml learn {named} --accept-loss` too; SETTINGS is a word"
    )
    with pytest.raises(CannotContinue) as unnamed, naming(None):
        raise CannotContinue(message)
    assert str(unnamed.value) == message
