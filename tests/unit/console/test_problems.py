"""What is wrong, in words."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from stream_ml.console import problems as module
from stream_ml.console.live import figures
from stream_ml.console.problems import Problem, problems
from stream_ml.console.scrape import Scrape
from tests.unit.console.looks import look, seen

RUNBOOKS = Path(__file__).parents[3] / "docs" / "runbooks"
WELL = {"learned_total": 10, "writer": 1, "stopped": 0, "breaker_open": 0}


def found(
    learner: dict[str, Any] | None = None, predictor: dict[str, Any] | None = None, unread: str | None = None
) -> list[Problem]:
    services = [
        seen("l", 1, "learner", **{**WELL, **(learner or {})}),
        seen("p", 1, "predictor", **{"ready": 1, "stale": 0, **(predictor or {})}),
    ]
    return problems(figures("m", look(*services)), services, unread)


def test_where_all_is_well_nothing_is_said() -> None:
    assert found() == []


@pytest.mark.parametrize(
    ("learner", "predictor", "runbook"),
    [
        ({"breaker_open": 1, "stopped": 1}, {}, "LearnerBreakerOpen"),
        ({"stopped": 1}, {}, "LearnerStopped"),
        ({"writer": 0}, {}, "LearnerWriterNotOne"),
        ({"shards_unavailable": 2}, {}, "LearnerShardUnavailable"),
        ({"snapshot_store_fails": 1}, {}, "SnapshotFails"),
        ({"silence": [({"model": "m", "what": "no_labels"}, 1.0)]}, {}, "LearnerSilence"),
        ({}, {"stale": 1}, "PredictorWeightsStale"),
        ({}, {"ready": 0}, "PredictorHasNoModel"),
    ],
)
def test_each_fault_is_told_once_with_its_runbook(
    learner: dict[str, Any], predictor: dict[str, Any], runbook: str
) -> None:
    [only] = found(learner, predictor)
    assert (only.level, only.runbook) == ("bad", runbook)


def test_before_anything_was_learned_no_model_is_no_fault() -> None:
    [only] = found({"learned_total": 0}, {"ready": 0})
    assert only.level == "note"
    assert "stream-ml send" in only.hint


def test_who_does_not_answer_is_named_and_what_is_wrong_comes_first() -> None:
    services = [
        seen("l", 1, "learner", **WELL, silence=[({"model": "m", "what": "no_events"}, 1.0)]),
        Scrape("10.0.0.9:80", 1.0, problem="does not answer: refused"),
    ]
    said = problems(figures("m", look(*services)), services, unread="no broker answered")
    assert [each.level for each in said] == ["bad", "bad", "note"]
    assert "10.0.0.9:80 does not answer: refused" in said[0].what
    assert "no broker answered" in said[1].what


def test_a_predictor_without_a_model_is_one_where_nobody_says_how_much_is_learned() -> None:
    services = [seen("p", 1, "predictor", ready=0, stale=0)]
    [only] = problems(figures("m", look(*services)), services, None)
    assert only.runbook == "PredictorHasNoModel"


def test_two_that_write_are_told() -> None:
    services = [seen("l", 1, "learner", **WELL), seen("k", 1, "learner", **WELL)]
    [only] = problems(figures("m", look(*services)), services, None)
    assert (only.level, only.runbook) == ("bad", "LearnerWriterNotOne")


def test_nobody_writes_only_where_somebody_would_say_so() -> None:
    down = Scrape("l", 1.0, problem="does not answer")
    assert [each.runbook for each in problems(figures("m", look(down)), [down], None)] == ["TargetDown"]


def test_every_runbook_exists() -> None:
    named = {each.runbook for each in vars(module).values() if isinstance(each, Problem)}
    named |= {each.runbook for each in module._SAID.values()} | {"TargetDown"}
    assert {name for name in named if name and not (RUNBOOKS / f"{name}.md").exists()} == set()
