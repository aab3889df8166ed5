"""Labels that are known later than their events: the same whatever the calls, threads and kept scans."""

from __future__ import annotations

import json
import random
from typing import Any

import pytest

from stream_ml._native import Learner, Plan
from stream_ml.features import compile_model

MODEL = """
name = "late"
label = "y"
event_id = "id"
timestamp = "at"
label_time = "known"

[features]
user = "user"
page = "page"

[learner]
evaluate_every = 50
"""
PLAN = Plan(compile_model(MODEL).plan_bytes)
FIRST = 1_772_387_100


def events(days: float) -> list[bytes]:
    """An event every ten seconds; most labels come later, up to *days*, some with the event."""
    chooser = random.Random(4)
    found = []
    for at in range(600):
        user = chooser.randrange(12)
        event: dict[str, Any] = {"id": at, "at": FIRST + 10 * at, "user": user, "page": chooser.randrange(9)}
        event["y"] = int(chooser.random() < user / 12)
        if chooser.random() < 0.9:
            event["known"] = event["at"] + int(chooser.random() * days * 86_400)
        found.append(json.dumps(event).encode())
    return found


def learned(learner: Learner, records: list[bytes], calls: int = 1) -> list[Any]:
    size = len(records) // calls
    parts = [records[at : at + size] for at in range(0, len(records), size)]
    done = [learner.learn([(0, part, [-1] * len(part))]) for part in parts]
    closed = [each for call in (*done, learner.learn_waiting()) for each in call.evaluations]
    return [json.loads(each) for each in closed]


def test_no_label_is_used_before_it_is_known() -> None:
    """All of them come after the last event: every event is scored by a model that knows nothing."""
    records = [
        json.dumps(json.loads(record) | {"known": FIRST + 10**6}).encode() for record in events(days=1)
    ]
    learner = Learner(PLAN, waiting_labels=1_000)
    done = learner.learn([(0, records, [-1] * len(records))])
    assert (done.learned, learner.metrics()["labels_waiting"]) == (0, 600)
    assert learner.learn_waiting().learned == 600
    figures = learner.metrics()
    assert (figures["auc"], figures["labels_waiting"]) == (0.5, 0)
    assert figures["prediction_sum"] == 300, "of each a half"
    at_once = Learner(PLAN)
    learned(at_once, records)
    assert at_once.metrics()["auc"] > 0.7
    assert learner.digest()["rows_hash"] == at_once.digest()["rows_hash"], "what is learned is the same"


@pytest.mark.parametrize("waiting", [3, 1_000])
def test_calls_threads_and_kept_scans_change_nothing(waiting: int) -> None:
    records = events(days=0.02)
    straight = Learner(PLAN, waiting_labels=waiting)
    expected = learned(straight, records)
    cut = Learner(PLAN, waiting_labels=waiting, scan_threads=2)
    assert learned(cut, records, calls=17) == expected
    kept = Learner(PLAN, waiting_labels=waiting)
    (scan,) = Learner(PLAN).learn([(0, records, [-1] * len(records))], keep_scans=True).scans
    done = kept.learn_scanned([(0, scan)]).evaluations + kept.learn_waiting().evaluations
    assert [json.loads(each) for each in done] == expected
    assert straight.digest() == cut.digest() == kept.digest()
    assert straight.metrics()["labels_early"] == cut.metrics()["labels_early"]
    assert (straight.metrics()["labels_early"] > 100) == (waiting == 3)


def test_the_scan_says_when_each_label_was_known() -> None:
    scan = PLAN.scan(events(days=1), [-1] * 600)
    times = memoryview(scan.label_time_us).cast("q").tolist()
    expected = [json.loads(record).get("known") for record in events(days=1)]
    assert times == [-(2**63) if known is None else known * 10**6 for known in expected]
    assert PLAN.explain(events(days=1)[0])["label_time_us"] == times[0]
