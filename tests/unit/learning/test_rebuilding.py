import shutil
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import orjson
import pytest

from stream_ml._native import Learner, Plan
from stream_ml.errors import ConfigError
from stream_ml.learning.parties import Parties
from stream_ml.learning.points import Point, go_on
from stream_ml.learning.rebuilding import Rebuilt, rebuild
from stream_ml.learning.replaying import ReplayImpossible
from stream_ml.learning.topics import ensure_topics
from stream_ml.streams.scan_cache import ScanCache
from stream_ml.weights.journal import Entry
from stream_ml.weights.lines import Step
from stream_ml.weights.snapshots import SnapshotStore, load
from tests.clicks import MODEL, events, expected_counts
from tests.unit.learning.rig import EndAt, Rig, new_learner


@pytest.fixture
def rig(tmp_path: Path) -> Rig:
    return Rig(tmp_path, partitions=2)


def rebuilt(
    rig: Rig,
    variant: str | None = None,
    to_step: int | None = None,
    store: str = "snapshots",
    new: Callable[[], Learner] | None = None,
    **how: Any,
) -> Rebuilt:
    parties = Parties(
        log=rig.log,
        store=SnapshotStore(str(rig.folder / store)),
        topics=ensure_topics(rig.log, "clicks", "events", 2, 60.0),
        model=rig.model,
        who="replay",
        accept_loss=False,
        reached=go_on,
    )
    new = new or partial(new_learner, rig.model)
    return rebuild(parties, new, variant, to_step, watched=seen_by(rig), **how)


def seen_by(rig: Rig) -> Callable[[list[Entry]], Iterator[Entry]]:
    """Return what notes the lines that a replay follows, one by one, in a file of the rig."""

    def watched(lines: list[Entry]) -> Iterator[Entry]:
        for number, line in enumerate(lines, 1):
            yield line
            (rig.folder / "watched").write_text(f"{number} of {len(lines)}")

    return watched


def send(rig: Rig) -> None:
    rig.send(events(200), partition=0)
    rig.send(events(200), partition=1)


def test_a_replay_into_an_empty_table_has_the_bits_of_the_learner_and_covers_each_partition(rig: Rig) -> None:
    send(rig)
    life = rig.run_to_the_end()
    found = rebuilt(rig).described()
    assert {name: found[name] for name in life.digest} == life.digest
    assert found["events"] == {"0": [0, 200], "1": [0, 200]}
    lines = len(rig.journal())
    assert (rig.folder / "watched").read_text() == f"{lines} of {lines}"
    assert (found["learned"], found["duplicates"], found["refused"]) == tuple(
        2 * count for count in expected_counts(200)
    )


def test_a_replay_may_learn_each_event_when_its_label_was_known(tmp_path: Path) -> None:
    late = MODEL.replace("[features]", 'timestamp = "at"\nlabel_time = "known_at"\n[features]', 1)
    rig = Rig(tmp_path, model_text=late)
    clicks = [orjson.loads(event) for event in events(80)]
    rig.send([orjson.dumps(each | {"at": at, "known_at": at + 30}) for at, each in enumerate(clicks)])
    life = rig.run_to_the_end()

    def waiting() -> Learner:
        return Learner(Plan(rig.model.plan_bytes), waiting_labels=20)

    honest = rebuilt(rig, new=waiting)
    assert honest.described()["learned"] == rebuilt(rig).described()["learned"] == 80
    assert honest.figures()["labels_early"] == 10 + 50, "thirty would wait for theirs at any time"
    assert honest.learner.digest()["rows_hash"] == life.digest["rows_hash"], "the order is the same"
    assert honest.figures()["log_loss"] != rebuilt(rig).learner.metrics()["log_loss"]


def test_a_step_of_the_past_is_what_the_learner_was_then(rig: Rig) -> None:
    send(rig)
    first = rig.run_to_the_end()
    assert first.loop is not None
    step = first.loop.step
    rig.send(events(100, first=200), partition=1)
    rig.run_to_the_end()
    found = rebuilt(rig, to_step=step)
    assert found.step == step
    assert found.learner.digest() == first.digest


def test_every_step_from_a_copy_of_the_store_has_the_bits_of_a_replay_into_an_empty_table(rig: Rig) -> None:
    rig.overrides["snapshot_interval_seconds"] = 1000.0  # one at the first start, one at each end
    rig.send(events(200), partition=0)
    rig.run_to_the_end()
    rig.send(events(200), partition=1)
    life = rig.run_to_the_end()
    shutil.copytree(rig.folder / "snapshots", rig.folder / "copy")
    assert life.loop is not None
    begun_with = set()
    for step in (*range(1, life.loop.step, 3), life.loop.step):
        late = rebuilt(rig, to_step=step, store="copy", from_snapshot=True)
        assert late.step == step
        assert late.learner.digest() == rebuilt(rig, to_step=step).learner.digest()
        begun_with.add(late.events[1][0])
    assert {0, 200} <= begun_with, "a later step begins with a later snapshot"


def test_from_a_snapshot_events_before_it_are_not_needed(rig: Rig) -> None:
    send(rig)
    life = rig.run_to_the_end()
    rig.log.delete_records("events", 1, 150)
    assert rebuilt(rig, from_snapshot=True).learner.digest() == life.digest


def test_a_step_of_the_past_is_put_into_a_store_with_its_bits_and_what_it_stands_for(rig: Rig) -> None:
    send(rig)
    rig.run_to_the_end()
    past = rebuilt(rig, to_step=7)
    store = SnapshotStore(str(rig.folder / "past"))
    name = past.store_in(store, rig.model, created_at=5.0)
    assert store.names("clicks") == [name]
    again = new_learner(rig.model)
    with store.open(name) as snapshot:
        parts = load(snapshot, again)
        said = snapshot.manifest
    again.load_state(parts.state)
    assert again.digest() == past.learner.digest() == rebuilt(rig, to_step=7).learner.digest()
    assert (said.variant, said.step, said.epoch) == ("v1", 7, name.epoch)
    assert said.events == {partition: end for partition, (_, end) in past.events.items()}
    assert (parts.model, parts.plan) == (rig.model_text.encode(), rig.model.plan_bytes)


def test_a_time_names_the_last_step_whose_line_was_there(rig: Rig) -> None:
    send(rig)
    rig.run_to_the_end()
    (lines,) = rig.records("clicks.journal")
    steps = [
        (stamp, entry.line.step)
        for stamp, entry in zip(lines.timestamps_ms, rig.journal(), strict=True)
        if isinstance(entry.line, Step)
    ]
    stamp = steps[len(steps) // 2][0]
    wanted = max(step for at, step in steps if at <= stamp)
    assert rebuilt(rig, to_time=stamp / 1e3).step == wanted
    assert rebuilt(rig, to_time=stamp / 1e3, to_step=1).step == 1
    assert rebuilt(rig, to_time=steps[0][0] / 1e3 - 60).step == 0


def test_lines_of_a_killed_writer_count_if_they_were_valid(rig: Rig) -> None:
    send(rig)
    rig.run_to_the_end(EndAt(Point.LINE_READ_BACK, 3))
    life = rig.run_to_the_end()
    assert rebuilt(rig).learner.digest() == life.digest


def test_a_step_that_is_not_there_yet_is_refused(rig: Rig) -> None:
    send(rig)
    rig.run_to_the_end()
    with pytest.raises(ConfigError, match="no step 1000 yet"):
        rebuilt(rig, to_step=1000)


def test_an_unknown_variant_is_refused(rig: Rig) -> None:
    rig.run_to_the_end()
    with pytest.raises(ConfigError, match="no variant v9"):
        rebuilt(rig, variant="v9")


def test_another_model_file_is_refused(rig: Rig) -> None:
    rig.run_to_the_end()
    rig.model_text = MODEL.replace("l1 = 0.05", "l1 = 0.06")
    with pytest.raises(ConfigError, match="use the file that lies in the variant's snapshots"):
        rebuilt(rig)


def test_events_that_are_gone_are_named(rig: Rig) -> None:
    send(rig)
    rig.run_to_the_end()
    rig.log.delete_records("events", 1, 7)
    with pytest.raises(ReplayImpossible, match=r"events\[1\]: offset 0 is gone"):
        rebuilt(rig)


def cached(rig: Rig, **how: Any) -> tuple[Rebuilt, ScanCache]:
    topic = rig.log.topic("events")
    assert topic is not None
    with ScanCache(rig.folder / "scans", Plan(rig.model.plan_bytes), topic) as scans:
        return rebuilt(rig, scans=scans, **how), scans


@pytest.mark.parametrize(
    "settings",
    ["", 'learn_after = "record"', "admission = 0.5\nmax_rows = 40"],
    ids=["event", "record", "sparing"],
)
def test_kept_scans_give_the_bits_of_a_replay_that_reads_and_scans(rig: Rig, settings: str) -> None:
    rig.model_text = MODEL + settings
    send(rig)
    rig.send([None, b" ", b"\n".join(events(40, first=150))], partition=1)
    life = rig.run_to_the_end()
    first, keeping = cached(rig)
    again, finding = cached(rig)
    assert (keeping.found, finding.kept) == (0, 0)
    assert keeping.kept == finding.found > 10
    assert first.learner.digest() == again.learner.digest() == life.digest
    assert again.described() == first.described() == rebuilt(rig).described()


def test_with_kept_scans_the_events_may_be_gone_and_later_ones_are_read(rig: Rig) -> None:
    send(rig)
    rig.run_to_the_end()
    half, _ = cached(rig, to_step=5)
    rig.send(events(100, first=200), partition=1)
    life = rig.run_to_the_end()
    for partition, (_, end) in half.events.items():
        rig.log.delete_records("events", partition, end)
    whole, scans = cached(rig)
    assert whole.learner.digest() == life.digest
    assert scans.found > 0
    assert scans.kept > 0


def test_a_damaged_scan_is_named_and_its_events_are_read(rig: Rig, caplog: pytest.LogCaptureFixture) -> None:
    send(rig)
    life = rig.run_to_the_end()
    cached(rig)
    (segment,) = (rig.folder / "scans").rglob("*.scans")
    sound = segment.read_bytes()
    segment.write_bytes(sound[:5_000] + bytes([sound[5_000] ^ 1]) + sound[5_001:])
    again, scans = cached(rig)
    assert again.learner.digest() == life.digest
    assert scans.found > 0
    assert scans.kept > 0
    assert f"{segment} is ignored: a kept scan: the checksum differs" in caplog.text
    assert cached(rig)[1].kept == 0, "the later file serves"


def test_an_alpha_is_tried_on_the_scans_of_another(rig: Rig) -> None:
    send(rig)
    rig.run_to_the_end()
    cached(rig)
    rig.model_text = MODEL.replace("alpha = 0.3", "alpha = 0.03")
    rig.run_to_the_end()
    trial, scans = cached(rig, variant="v2")
    assert trial.learner.digest() == rebuilt(rig, variant="v2").learner.digest()
    assert scans.kept == 0
