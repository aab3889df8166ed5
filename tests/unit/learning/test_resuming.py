"""After a stop learning goes on in one of three ways, each from the very bits that it names."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from stream_ml._native import Learner
from stream_ml.errors import ConfigError
from stream_ml.features import CompiledModel
from stream_ml.learning.rebuilding import rebuild
from stream_ml.learning.resuming import learn_backlog, restore_step, skip_to, stop
from stream_ml.retraining.promoting import end_watch, promote
from stream_ml.weights.lines import Variant
from tests.clicks import events
from tests.servers.processes import wait_until
from tests.unit.learning.rig import Life, Rig, new_learner
from tests.unit.learning.test_challenging import challenger, learns, say, state
from tests.unit.learning.test_skipping import parties


@pytest.fixture
def rig(tmp_path: Path) -> Rig:
    """Learned 400 events in steps of 20, stopped; 200 more have come."""
    rig = Rig(tmp_path)
    for first in range(0, 400, 20):
        rig.send(events(20, first))
        rig.run_to_the_end()
    stop(parties(rig), "flood")
    rig.send(events(200, first=400))
    return rig


def restore(rig: Rig, step: int) -> Variant:
    model_learner: partial[Learner] = partial(new_learner)

    def learner(model: CompiledModel) -> Learner:
        return model_learner(model)

    return restore_step(parties(rig), step, "bad labels", learner, created_at=1.0)[0]


def rebuilt(rig: Rig, variant: str, step: int) -> dict[str, object]:
    model = rig.model
    own = replace(parties(rig), model=model)
    return rebuild(own, partial(new_learner, model), variant, step).learner.digest()


def test_the_backlog_is_learned_from_the_stop_on(rig: Rig) -> None:
    before = rebuilt(rig, "v1", state(rig).variants["v1"].step)
    background = rig.in_background()
    wait_until(lambda: learns(background, "v1"))
    assert background.digest == before, "nothing is learned meanwhile"
    learn_backlog(parties(rig), "they were good")
    background.wait_until_learned()
    background.end()
    whole = Rig(rig.folder / "whole")
    whole.send(events(600))
    assert background.digest["rows_hash"] == whole.run_to_the_end().digest["rows_hash"]


def test_behind_a_skip_the_rows_are_those_of_the_stop(rig: Rig) -> None:
    before = rebuilt(rig, "v1", state(rig).variants["v1"].step)
    skip_to(parties(rig), {0: 600}, "all of them are bad")
    rig.send(events(1, first=600))
    life = rig.run_to_the_end()
    assert life.counts["records"] == 401
    assert rebuilt(rig, "v1", state(rig).variants["v1"].step - 1) == before


@pytest.mark.parametrize("step", [0, 1, 7])
def test_an_earlier_step_is_restored_bit_for_bit_in_a_new_variant(rig: Rig, step: int) -> None:
    before = rebuilt(rig, "v1", step)
    line = restore(rig, step)
    assert (line.variant, line.events, state(rig).serving) == ("v2", {0: 400}, "v2")
    assert sum((line.lost or {}).values()) > 0
    background = rig.in_background()
    wait_until(lambda: bool(rig.store.names("clicks", "v2")))
    background.wait_until_learned()
    background.end()
    assert rebuilt(rig, "v2", 0)["rows_hash"] == before["rows_hash"]
    assert background.counts["records"] == 200, "the backlog, not what was given up"
    assert state(rig).is_over("v1")


def test_a_running_writer_goes_over_to_the_restored_one(rig: Rig) -> None:
    background = rig.in_background()
    wait_until(lambda: learns(background, "v1"))
    restore(rig, 3)
    wait_until(lambda: learns(background, "v2"))
    background.wait_until_learned()
    background.end()


def test_a_promoted_challenger_is_restored_with_its_own_model_file(rig: Rig) -> None:
    learn_backlog(parties(rig), "")
    rig.run_to_the_end()
    challenger(rig).run_to_the_end()
    promote(parties(rig), "v2", "", force=True)
    end_watch(parties(rig), "")
    rig.send(events(100, first=600))
    rig.run_to_the_end()
    stop(parties(rig), "flood")
    line = restore(rig, 1)
    assert line.fingerprint == challenger(rig).model.fingerprint
    life: Life = rig.run_to_the_end()
    assert life.started is not None
    assert life.started.variant == "v3"
    assert life.started.parties.model.fingerprint == line.fingerprint


@pytest.mark.parametrize("way", ["backlog", "skip", "restore"])
def test_what_is_not_stopped_is_not_resumed(rig: Rig, way: str) -> None:
    say(rig, "resume", "v1")
    ways = {
        "backlog": lambda: learn_backlog(parties(rig), ""),
        "skip": lambda: skip_to(parties(rig), {0: 600}, ""),
        "restore": lambda: restore(rig, 1),
    }
    with pytest.raises(ConfigError, match="v1, which serves, learns: there is nothing to resume"):
        ways[way]()


def test_a_second_stop_tells_of_the_first(rig: Rig) -> None:
    with pytest.raises(ConfigError, match="v1 does not learn already: operator stopped it: flood"):
        stop(parties(rig), "again")


def test_a_challenger_that_nobody_wants_any_more_is_stopped_by_its_name(rig: Rig) -> None:
    learn_backlog(parties(rig), "")
    challenger(rig).run_to_the_end()
    stop(parties(rig), "no use", "v2")
    assert (state(rig).learns("v1"), state(rig).is_over("v2")) == (True, True)
    for variant, refused in (("v2", "v2 does not learn already"), ("v9", "there is no variant v9")):
        with pytest.raises(ConfigError, match=refused):
            stop(parties(rig), "", variant)


def test_before_anything_serves_there_is_nothing_to_stop(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no variant of clicks serves yet"):
        stop(parties(Rig(tmp_path)), "")


def test_a_step_that_was_never_is_refused(rig: Rig) -> None:
    with pytest.raises(ConfigError, match="there is no step 999 yet"):
        restore(rig, 999)
