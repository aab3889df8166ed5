"""Planted drifts are found and named, and without one nothing rings more often than is stated."""

from __future__ import annotations

from collections.abc import Callable
from math import floor
from pathlib import Path
from random import Random

import orjson
import pytest
from click.testing import CliRunner

from loadtest.drift import (
    FULL_DRIFTS,
    FULL_STREAMS,
    STATIONARY,
    WANDERS,
    false_alarms,
    most_allowed,
    outcomes,
)
from stream_ml.cli import cli
from stream_ml.drift.monitor import Rules
from tests import adult

Rounds = Callable[[int, int], int]
Seen = Callable[[str, object], None]
FOUND, NAMED = 0.95, 0.9
EVERY = 500  # events of an evaluation, in the census' model file


def reached(count: int, of: int, bar: float) -> bool:
    """Return whether so many are the bar; of a dozen, the part of one that is short of it is let pass."""
    return count >= (bar * of if of >= 200 else floor(bar * of))


@pytest.mark.timeout(3_600)
def test_planted_drifts_are_found_in_time_and_named(
    rounds: Rounds, random: Random, record_property: Seen
) -> None:
    found = outcomes(rounds(1, FULL_DRIFTS), random.randrange(10_000, 10**6), Rules())
    in_time, named = sum(one.delay is not None for one in found), sum(one.named for one in found)
    record_property("drifts, found, named", (len(found), in_time, named))
    assert reached(in_time, len(found), FOUND)
    assert reached(named, len(found), NAMED)
    assert sum(one.early for one in found) <= most_allowed(len(found) * 60, Rules())


@pytest.mark.timeout(3_600)
def test_streams_that_do_not_drift_ring_no_more_than_the_budget(
    rounds: Rounds, random: Random, record_property: Seen
) -> None:
    rules, streams, seed = Rules(), rounds(1, FULL_STREAMS), random.randrange(10_000, 10**6)
    told = {name: false_alarms(streams, seed, wander, rules) for name, wander in WANDERS.items()}
    evaluations = streams * STATIONARY * len(WANDERS)
    record_property("evaluations, false alarms", (evaluations, told))
    assert sum(told.values()) <= most_allowed(evaluations, rules)


@pytest.mark.timeout(3_600)
def test_the_census_in_any_order_does_not_drift(
    rounds: Rounds, random: Random, tmp_path: Path, record_property: Seen
) -> None:
    rows, path, evaluations, alarms = adult.rows(), tmp_path / "adult.jsonl", 0, 0
    shuffles = rounds(1, 20)
    for _ in range(shuffles):
        random.shuffle(rows)
        path.write_bytes(b"".join(event + b"\n" for event in adult.events(rows)))
        result = CliRunner().invoke(cli, ["drift", str(path), "--model", str(adult.MODEL), "--json"])
        told = orjson.loads(result.stdout)
        assert told["events"] == len(rows)
        evaluations += told["events"] // EVERY
        alarms += len(told["alarms"])
    record_property("shuffles, evaluations, alarms", (shuffles, evaluations, alarms))
    assert alarms <= most_allowed(evaluations, Rules())
