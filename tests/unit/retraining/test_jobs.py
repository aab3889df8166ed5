from __future__ import annotations

from dataclasses import replace
from typing import Any

import orjson
import pytest

from stream_ml.errors import InvalidRecord
from stream_ml.retraining.jobs import (
    JOBS_TOPIC,
    Job,
    Setting,
    Window,
    decode_job,
    encode_job,
    ensure_jobs,
    job_id,
)
from stream_ml.streams.memory import MemoryLog

JOB = Job(
    job="4be1",
    model="bookings",
    reason={"kind": "drift", "statistic": "log_loss", "index": 41},
    base="bookings/v1/2-1-6c1d.safetensors",
    window=Window(events={0: (100, 250), 3: (7, 7)}),
    grid=(
        Setting(name="warm", alpha=0.2, l1=0.5, slots=("hotel", "lead")),
        Setting(name="cold,decay=0.999", decay=0.999, warm=False, window=10_000),
    ),
    asked_by="stream-ml retrain",
)


def said(**changes: Any) -> dict[str, Any]:
    return {**orjson.loads(encode_job(JOB)), **changes}


def refusal(record: Any, key: bytes | None = b"4be1") -> str:
    with pytest.raises(InvalidRecord) as refused:
        decode_job(key, orjson.dumps(record))
    return str(refused.value).removeprefix("retrain-jobs: ")


def test_a_job_survives_its_record() -> None:
    assert decode_job(b"4be1", encode_job(JOB)) == JOB
    files = replace(JOB, base=None, window=Window(files=("a.csv", "b.csv")))
    assert decode_job(b"4be1", encode_job(files)) == files


def test_the_record_is_readable_and_leaves_out_what_is_as_the_champion() -> None:
    assert said() == {
        "format": 1,
        "job": "4be1",
        "model": "bookings",
        "reason": {"kind": "drift", "statistic": "log_loss", "index": 41},
        "base": "bookings/v1/2-1-6c1d.safetensors",
        "window": {"events": {"0": [100, 250], "3": [7, 7]}},
        "grid": [
            {"name": "warm", "alpha": 0.2, "l1": 0.5, "slots": ["hotel", "lead"], "warm": True},
            {"name": "cold,decay=0.999", "decay": 0.999, "warm": False, "window": 10_000},
        ],
        "asked_by": "stream-ml retrain",
    }


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"modle": "x"}, "unknown key 'modle'; did you mean 'model'?"),
        ({"grid": [{"name": "a", "alhpa": 1}]}, "unknown key 'grid.0.alhpa'; did you mean 'alpha'?"),
        ({"window": {"fils": ["a"]}}, "unknown key 'window.fils'; did you mean 'files'?"),
        ({"grid": [{"name": "a", "alpha": -1}]}, "grid.0.alpha: Input should be greater than 0, got -1"),
        ({"grid": [{"alpha": 1}]}, "grid.0.name is missing"),
        ({"grid": []}, "grid: Tuple should have at least 1 item after validation, not 0, got []"),
        ({"grid": [{"name": "a"}, {"name": "a"}]}, "two settings of the grid are called 'a'"),
        ({"grid": [{"name": "champion"}]}, "a setting of the grid is called 'champion'"),
        ({"window": {}}, 'window: one of "events" and "files" is wanted'),
        ({"window": {"events": {}, "files": ["a"]}}, 'window: one of "events" and "files" is wanted'),
        ({"window": {"events": {"0": [5, 1]}}}, "partition 0 ends at 1, before it begins at 5"),
        (
            {"window": {"events": {"0": [-1, 1]}}},
            "window.events.0.0: Input should be greater than or equal to 0",
        ),
        ({"model": "a b"}, "model: String should match pattern"),
        ({"reason": "because"}, "reason: Input should be an object, got 'because'"),
        ({"format": 2}, "format 2 is of a later release, we read up to 1; upgrade this process"),
        ({"job": "x" * 101}, "job: String should match pattern"),
    ],
)
def test_what_is_wrong_is_said_with_its_key(changes: dict[str, Any], told: str) -> None:
    assert told in refusal(said(**changes))


def test_every_error_is_said_at_once() -> None:
    told = refusal(said(modle=1, grid=[{"name": "a", "alpha": 0, "l1": -1}]))
    assert told == (
        "grid.0.alpha: Input should be greater than 0, got 0; "
        "grid.0.l1: Input should be greater than or equal to 0, got -1; "
        "unknown key 'modle'; did you mean 'model'?"
    )


def test_a_missing_key_is_named() -> None:
    record = said()
    del record["window"]
    assert refusal(record) == "window is missing"


def test_what_is_no_job_at_all_is_refused() -> None:
    assert refusal([1]).startswith("the record: ")
    with pytest.raises(InvalidRecord, match="not JSON: "):
        decode_job(b"4be1", b"{")
    with pytest.raises(InvalidRecord, match="a record without a value is no job"):
        decode_job(b"4be1", None)


def test_a_key_that_is_not_the_job_is_refused() -> None:
    assert refusal(said(), b"other") == "the record's key is 'other', its job '4be1'"
    assert refusal(said(), None) == "the record's key is missing, its job '4be1'"


def test_the_same_drift_makes_the_same_id_and_another_one_another() -> None:
    drift = ("bookings", "v1", "log_loss", None, 41)
    assert job_id(*drift) == job_id(*drift) == "71b0fe32aad8b5e714c100c0f7df47a4"
    assert job_id(*drift) != job_id("bookings", "v1", "log_loss", "None", 41)
    assert job_id("a", "bc") != job_id("ab", "c")


def test_the_topic_keeps_every_job() -> None:
    log = MemoryLog()
    ensure_jobs(log)
    topic = log.topic(JOBS_TOPIC)
    assert topic is not None
    assert topic.compacted
    assert topic.retention_seconds is None


@pytest.mark.parametrize(
    "name",
    ["", ".", "..", "...", ".hidden", "-rf", "../x", "a/b", "a\\b", "a b", "x" * 101, "a\n", "\n", "a\0"],
)
def test_a_job_is_called_nothing_that_as_a_folder_lies_elsewhere(name: str) -> None:
    """Its folder is written to and removed."""
    assert "job: String should match pattern" in refusal(said(job=name), name.encode())


@pytest.mark.parametrize("name", ["a", "7", "challengers", "a..b", "4be1-._", "x" * 100])
def test_other_names_are_taken(name: str) -> None:
    assert decode_job(name.encode(), orjson.dumps(said(job=name))).job == name
