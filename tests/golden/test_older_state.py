"""``older_state.json``: left behind by a release whose evaluations had no details; it is read for ever."""

from __future__ import annotations

import base64
import json
import zlib
from pathlib import Path
from typing import Any

import pytest

from stream_ml._native import Learner, PartitionLearner, Plan, blob_watermark
from stream_ml.features import compile_model

CASE = json.loads((Path(__file__).parent / "older_state.json").read_text())
PLAN = Plan(compile_model(CASE["model"]).plan_bytes)
EVENTS = [event.encode() for event in CASE["events"]]
REST = EVENTS[CASE["learned"] :]
DETAILS = {"features", "unseen", "missing", "segments"}


def unpacked(key: str) -> bytes:
    return zlib.decompress(base64.b64decode(CASE[key]))


def without_bins(evaluation: bytes) -> dict[str, Any]:
    said: dict[str, Any] = json.loads(evaluation)
    for tally in (said, said["served"]):
        del tally["positives"], tally["negatives"]
    return said


def as_older(said: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in said.items() if key not in DETAILS} | {"format": 1}


@pytest.fixture
def learner() -> Learner:
    learner = Learner(PLAN)
    learner.load_rows(unpacked("rows"))
    learner.load_state(unpacked("state"))
    return learner


def test_learning_goes_on_as_the_older_release_would_have(learner: Learner) -> None:
    found = [without_bins(each) for each in learner.learn([(0, REST, [-1] * len(REST))]).evaluations]
    assert [as_older(each) for each in found] == CASE["evaluations"][1:]
    assert f"{learner.digest()['rows_hash']:016x}" == CASE["rows_hash"]


def test_of_the_evaluation_that_was_open_no_details_are_known(learner: Learner) -> None:
    found = [json.loads(each) for each in learner.learn([(0, REST, [-1] * len(REST))]).evaluations]
    assert [each["format"] for each in found] == [1, 2, 2]
    assert [DETAILS & set(each) for each in found] == [set(), DETAILS, DETAILS]
    again = Learner(PLAN)
    again.learn([(0, EVENTS, [-1] * len(EVENTS))])
    assert learner.digest() == again.digest(), "once it is closed nothing of the older state is left"


def test_the_state_of_a_partition_is_read_too() -> None:
    learner = PartitionLearner(PLAN, partition=0, shards=1)
    learner.load_state(unpacked("partition_state"))
    assert learner.metrics()["learned"] == CASE["learned"]
    assert learner.watermark_us == blob_watermark(unpacked("partition_state"))
    batch = learner.scan(REST[:3], [-1] * 3)
    learned, _ = learner.learn(batch, [bytes(len(ids)) for ids in batch.ids])
    assert [json.loads(each)["format"] for each in learned.evaluations] == [1]
