from dataclasses import replace
from pathlib import Path

import pytest

from stream_ml import _native
from stream_ml.features import compile_model
from stream_ml.learning.outputs import Source
from stream_ml.learning.replaying import Replay, ReplayImpossible
from stream_ml.streams.log import Topic
from stream_ml.streams.memory import MemoryLog
from stream_ml.streams.scan_cache import ScanCache
from stream_ml.weights.journal import Entry
from stream_ml.weights.lines import Range, Step
from stream_ml.weights.verdicts import VALID, void
from tests.clicks import MODEL, events, is_broken
from tests.unit.learning.rig import new_learner

VALUES: list[bytes | None] = list(events(300))


@pytest.fixture
def log() -> MemoryLog:
    log = MemoryLog()
    log.ensure_topic("events", 1)
    for value in VALUES:
        log.writer().send("events", value, partition=0)
    return log


def replay_of(log: MemoryLog, step: int = 0, first: int = 0, scans: ScanCache | None = None) -> Replay:
    topic = log.topic("events")
    assert topic is not None
    learner = new_learner(compile_model(MODEL))
    return Replay(log, topic, learner, Source("clicks", "v1", "events"), step, {0: first}, scans)


def line(log: MemoryLog, step: int, first: int, next: int) -> Step:
    topic = log.topic("events")
    assert topic is not None
    values = VALUES[first:next]
    part = Range(0, first, next, len(values), _native.checksum(values))
    return Step(variant="v1", epoch=1, step=step, topic_id=topic.id, ranges=(part,))


def entry(said: Step) -> Entry:
    return Entry(0, said, VALID)


def test_steps_are_learned_as_they_were_whatever_the_polls_then_were(log: MemoryLog) -> None:
    lines = [line(log, 1, 0, 7), line(log, 2, 7, 150), line(log, 3, 150, 300)]
    replay = replay_of(log)
    replay.follow(map(entry, lines))
    whole = new_learner(compile_model(MODEL))
    whole.learn([(0, VALUES, [0] * 300)])
    assert (replay.step, replay.events) == (3, {0: 300})
    assert replay.learner.digest() == whole.digest()


def test_steps_whose_scans_were_kept_are_learned_between_those_that_are_read(
    log: MemoryLog, tmp_path: Path
) -> None:
    topic = log.topic("events")
    assert topic is not None
    plan = _native.Plan(compile_model(MODEL).plan_bytes)
    lines = [line(log, 1, 0, 7), line(log, 2, 7, 150), line(log, 3, 150, 200), line(log, 4, 200, 300)]
    for before in (0, 2):
        with ScanCache(tmp_path, plan, topic) as scans:
            only = lines[before]
            replay_of(log, before, only.ranges[0].first, scans).follow([entry(only)])
    with ScanCache(tmp_path, plan, topic) as scans:
        replay = replay_of(log, scans=scans)
        replay.follow(map(entry, lines))
    straight = replay_of(log)
    straight.follow(map(entry, lines))
    assert (scans.found, scans.kept) == (2, 2)
    assert replay.learner.digest() == straight.learner.digest()
    assert replay.newest_at == straight.newest_at > 0


def test_void_lines_other_variants_and_steps_that_are_learned_do_not_count(log: MemoryLog) -> None:
    replay = replay_of(log, step=1, first=10)
    replay.follow(
        [
            entry(line(log, 1, 0, 10)),
            entry(replace(line(log, 2, 10, 30), variant="v2")),
            Entry(0, line(log, 2, 10, 20), void("superseded")),
            entry(line(log, 2, 10, 15)),
        ]
    )
    assert (replay.step, replay.events) == (2, {0: 15})


def test_it_stops_at_the_step_that_was_asked_for(log: MemoryLog) -> None:
    replay = replay_of(log)
    replay.follow([entry(line(log, 1, 0, 10)), entry(line(log, 2, 10, 20))], to_step=1)
    assert replay.step == 1


def test_outputs_are_kept_until_a_snapshot_has_them(log: MemoryLog) -> None:
    replay = replay_of(log)
    replay.follow([entry(line(log, 1, 0, 150)), entry(line(log, 2, 150, 300))])
    letters = [letter.offset for outputs in replay.outputs for letter in outputs.dead_letters]
    assert letters == [offset for offset in range(300) if is_broken(offset)]
    replay.forget_outputs(1)
    assert [outputs.step for outputs in replay.outputs] == [2]


def test_a_range_that_was_skipped_by_a_decision_is_not_read(log: MemoryLog) -> None:
    replay = replay_of(log)
    replay.follow([entry(line(log, 1, 0, 10)), entry(line(log, 2, 50, 60))])
    assert replay.learner.metrics()["records"] == 20


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"topic_id": "another"}, "their topic was another"),
        ({"ranges": (Range(0, 0, 10, 10, 12345),)}, "with checksum 0000000000003039"),
        ({"ranges": (Range(0, 290, 310, 20, 0),)}, "partition 0 ends at 300, 310 was learned"),
        ({"step": 3}, "goes on with step 3 after 0"),
    ],
)
def test_what_differs_from_the_journal_is_named_with_the_way_on(
    log: MemoryLog, change: dict[str, object], message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("stream_ml.learning.replaying._SILENCE_SECONDS", 0.01)
    with pytest.raises(ReplayImpossible, match=message):
        replay_of(log).follow([entry(replace(line(log, 1, 0, 10), **change))])


def test_events_that_were_dropped_are_named(log: MemoryLog) -> None:
    log.delete_records("events", 0, 3)
    with pytest.raises(ReplayImpossible, match=r"offset 0 is gone.*--accept-loss"):
        replay_of(log).follow([entry(line(log, 1, 0, 10))])


def test_another_topic_under_the_same_name_is_refused(log: MemoryLog) -> None:
    topic = Topic("events", "new", 1)
    replay = Replay(
        log, topic, new_learner(compile_model(MODEL)), Source("clicks", "v1", "events"), 0, {0: 0}
    )
    with pytest.raises(ReplayImpossible, match="it is now new"):
        replay.follow([entry(line(log, 1, 0, 10))])
