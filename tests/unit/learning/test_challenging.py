"""A challenger learns beside the variant that serves; decisions let it serve, and end either of the two."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from stream_ml.errors import ConfigError
from stream_ml.learning.deciding import decide, decision
from stream_ml.learning.orders import Order
from stream_ml.learning.points import Point
from stream_ml.learning.skipping import skip
from stream_ml.weights.journal import JournalWriter
from stream_ml.weights.lines import Challenge, Line, Variant
from stream_ml.weights.state import JournalState
from tests.clicks import MODEL, events
from tests.servers.processes import wait_until
from tests.unit.learning.rig import BackgroundLife, EndAt, Rig
from tests.unit.learning.test_skipping import parties

BETTER = MODEL.replace("alpha = 0.3", "alpha = 0.1")


@pytest.fixture
def rig(tmp_path: Path) -> Rig:
    rig = Rig(tmp_path)
    rig.send(events(400))
    rig.run_to_the_end()
    return rig


def challenger(rig: Rig, **order: object) -> Rig:
    """The same model as the learner sees it that a retrainer starts."""
    given = Order(**{"job": "job-1", "why": "test", "warm": True, **order})  # type: ignore[arg-type]
    other = replace(rig, model_text=BETTER, order=given)
    other.log, other.names, other.store = rig.log, rig.names, rig.store
    return other


def say(rig: Rig, kind: str, variant: str) -> None:
    decide(parties(rig), lambda state: [decision(state, kind, variant, "test", "test")])  # type: ignore[arg-type]


def variant_line(rig: Rig, variant: str) -> Variant:
    return next(e.line for e in rig.journal() if isinstance(e.line, Variant) and e.line.variant == variant)


def state(rig: Rig) -> JournalState:
    found = JournalState()
    for entry in rig.journal():
        found.apply(entry.offset, entry.line)
    return found


def learns(life: BackgroundLife, variant: str) -> bool:
    loop, started = life.loop, life.started
    return loop is not None and started is not None and started.variant == variant


def test_it_begins_beside_with_the_rows_of_what_serves_and_does_not_take_its_place(rig: Rig) -> None:
    other = challenger(rig)
    rig.send(events(200, first=1000))
    life = other.run_to_the_end()
    assert life.started is not None
    assert life.started.variant == "v2"
    line = variant_line(rig, "v2")
    assert line.challenge == Challenge("v1", rig.model.fingerprint, "job-1")
    assert line.seed is not None
    assert state(rig).serving == "v1"
    assert life.counts["learned"] + life.counts["duplicates"] + life.counts["refused"] == 200


def test_however_often_it_is_ordered_there_is_one(rig: Rig) -> None:
    assert challenger(rig).run_to_the_end(EndAt(Point.CHALLENGER_BEGUN)).killed
    challenger(rig).run_to_the_end()
    challenger(rig).run_to_the_end()
    challenger(rig, job="job-2").run_to_the_end()
    assert set(state(rig).variants) == {"v1", "v2", "v3"}


def test_a_cold_one_learns_from_where_it_is_ordered_to(rig: Rig) -> None:
    life = challenger(rig, warm=False, events={0: 300}).run_to_the_end()
    assert life.counts["records"] == 100
    alone = Rig(rig.folder / "alone", model_text=BETTER)
    alone.send(list(events(400))[300:])
    assert life.digest["rows_hash"] == alone.run_to_the_end().digest["rows_hash"]


def test_with_nothing_that_serves_there_is_nothing_to_challenge(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no variant of clicks serves yet"):
        challenger(Rig(tmp_path)).run_to_the_end()


def test_of_two_jobs_that_begin_at_one_moment_each_has_a_challenger(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    append, begun = JournalWriter.append, list[str]()

    def after_another(journal: JournalWriter, line: Line) -> int:
        if isinstance(line, Variant) and not begun:
            begun.append(line.variant)
            challenger(rig, job="job-2").run_to_the_end()
        return append(journal, line)

    monkeypatch.setattr(JournalWriter, "append", after_another)
    challenger(rig, job="job-1").run_to_the_end()
    jobs = {name: known.challenge and known.challenge.job for name, known in state(rig).variants.items()}
    assert jobs == {"v1": None, "v2": "job-2", "v3": "job-1"}


def test_of_one_job_a_second_winner_does_not_begin(rig: Rig) -> None:
    challenger(rig).run_to_the_end()
    other = challenger(rig)
    other.model_text = MODEL.replace("alpha = 0.3", "alpha = 0.2")
    with pytest.raises(ConfigError, match="v2, the challenger of job-1, has another model file"):
        other.run_to_the_end()
    assert list(state(rig).variants) == ["v1", "v2"]


def test_compared_with_a_variant_that_serves_no_more_it_does_not_begin(rig: Rig) -> None:
    with pytest.raises(ConfigError, match="v1 serves; the challenger of job-1 was compared with v7"):
        challenger(rig, champion="v7").run_to_the_end()
    assert list(state(rig).variants) == ["v1"]


def test_as_long_as_the_champion_learns_its_learners_stay_with_it(rig: Rig) -> None:
    challenger(rig).run_to_the_end()
    say(rig, "serve", "v2")
    life = rig.run_to_the_end()
    assert life.started is not None
    assert life.started.variant == "v1"
    assert state(rig).serving == "v2"


def test_once_it_is_stopped_its_learners_go_on_with_the_challenger_and_its_model_file(rig: Rig) -> None:
    challenger(rig).run_to_the_end()
    say(rig, "serve", "v2")
    background = rig.in_background()
    wait_until(lambda: learns(background, "v1"))
    say(rig, "stop", "v1")
    wait_until(lambda: learns(background, "v2"))
    rig.send(events(100, first=2000))
    background.wait_until_learned()
    background.end()
    assert background.started is not None
    assert background.started.parties.model.fingerprint == challenger(rig).model.fingerprint
    assert state(rig).variants["v1"].writer is None, "released"


def test_a_standby_of_the_champion_goes_over_too(rig: Rig) -> None:
    challenger(rig).run_to_the_end()
    writer = rig.in_background()
    wait_until(lambda: learns(writer, "v1"))
    standby = rig.in_background()
    say(rig, "serve", "v2")
    say(rig, "stop", "v1")
    wait_until(lambda: learns(writer, "v2") or learns(standby, "v2"))
    writer.end()
    standby.end()


def test_a_challenger_that_is_stopped_ends(rig: Rig) -> None:
    background = challenger(rig).in_background()
    wait_until(lambda: learns(background, "v2"))
    say(rig, "stop", "v2")
    wait_until(lambda: state(rig).variants["v2"].writer is None)
    background.end()
    assert state(rig).serving == "v1"


def test_a_changed_model_file_goes_on_with_the_rows_of_a_promoted_challenger(rig: Rig) -> None:
    challenger(rig).run_to_the_end()
    say(rig, "serve", "v2")
    say(rig, "stop", "v1")
    rig.model_text = MODEL.replace("alpha = 0.3", "alpha = 0.2")
    rig.run_to_the_end()
    line = variant_line(rig, "v3")
    assert line.seed is not None
    assert line.seed.variant == "v2"
    assert "alpha changed: 0.1 → 0.2" in line.why


def test_stopped_it_learns_nothing_and_resumed_it_learns_the_backlog(rig: Rig) -> None:
    background = rig.in_background()
    wait_until(lambda: learns(background, "v1"))
    before = background.digest["rows_hash"]
    say(rig, "stop", "v1")
    loop = background.loop
    assert loop is not None
    wait_until(lambda: not loop.learns)
    rig.send(events(200, first=3000))
    heartbeats = rig.log.bounds("clicks.weights", 0).next
    wait_until(lambda: rig.log.bounds("clicks.weights", 0).next > heartbeats)
    assert background.digest["rows_hash"] == before
    say(rig, "resume", "v1")
    background.wait_until_learned()
    background.end()
    whole = Rig(rig.folder / "whole")
    whole.send(events(400))
    whole.send(events(200, first=3000))
    assert background.digest == whole.run_to_the_end().digest


def test_stopped_before_it_starts_it_waits_as_the_writer(rig: Rig) -> None:
    say(rig, "stop", "v1")
    rig.send(events(200, first=3000))
    background = rig.in_background()
    wait_until(lambda: learns(background, "v1"))
    assert background.loop is not None
    assert background.loop.events == {0: 400}
    say(rig, "resume", "v1")
    background.wait_until_learned()
    background.end()


def test_resumed_with_a_skip_it_goes_on_behind(rig: Rig) -> None:
    background = rig.in_background()
    wait_until(lambda: learns(background, "v1"))
    loop = background.loop
    assert loop is not None
    say(rig, "stop", "v1")
    wait_until(lambda: not loop.learns)
    rig.send(events(200, first=3000))
    skip(parties(rig), {0: 550})
    say(rig, "resume", "v1")
    wait_until(lambda: background.loop is not loop)
    background.wait_until_learned()
    background.end()
    assert state(rig).variants["v1"].events == {0: 600}
    assert background.counts["records"] == 450
