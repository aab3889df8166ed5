"""What evaluations say besides figures, against a plain count over the features that the plan explains."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable
from typing import Any

import orjson
import pytest

from stream_ml._native import Learner, PartitionLearner, Plan
from tests.unit.native.rows_elsewhere import Rows, plan_of

MODEL = """
name = "detailed"
label = "y"
event_id = "id"
served = "said"
segment = "place"

[features]
user = "user"
page = "page"
both = "cross(user, page)"
price = "price"
words = "words(title)"

[learner]
evaluate_every = 70
duplicate_window = 50
"""
EVERY, NAMED = 70, 32
EVENTS = 1_000
Evaluation = dict[str, Any]


def events() -> list[bytes]:
    """Some fields missing, some events twice, some broken; new users and places all the time."""
    chooser = random.Random(5)
    found: list[bytes] = []
    for at in range(EVENTS):
        fields = {
            "user": f"u{chooser.randrange(2 + at // 9)}",
            "page": chooser.randrange(40),
            "price": chooser.choice([0, 0.5, 2]),
            "title": " ".join(chooser.choices(["red", "blue", "hat", "scarf"], k=chooser.randrange(3))),
            "place": chooser.choice(["north", f"town {chooser.randrange(1 + at // 15)}", "ø" * 50]),
        }
        kept = {name: value for name, value in fields.items() if chooser.random() < 0.85}
        event = {"y": chooser.randrange(2), "id": at, **kept}
        if chooser.random() < 0.5:
            event["said"] = chooser.random()
        found.append(b"{" if chooser.random() < 0.02 else orjson.dumps(event))
        if chooser.random() < 0.1:
            found.append(found[-1])
    return found


RECORDS = events()
PLAN = plan_of(MODEL)


class Plain:
    """Counts example by example, of a model that lets every feature in."""

    def __init__(self) -> None:
        self.known: set[int] = set()
        self.names: list[str] = []

    def evaluation(self, explained: list[dict[str, Any]], slots: list[str]) -> Evaluation:
        unseen, features, missing, segments = 0, 0, Counter[str](), Counter[str | None]()
        for example in explained:
            ids = [id for _, _, id, _ in example["features"]]
            features += len(ids)
            unseen += len(set(ids) - self.known)
            self.known |= set(ids)
            missing.update(set(slots) - {slot for slot, *_ in example["features"]})
            segments[self.name_of(example["segment"])] += 1
        return {"features": features, "unseen": unseen, "missing": missing, "segments": segments}

    def name_of(self, segment: str | None) -> str | None:
        if segment is not None and segment not in self.names and len(self.names) < NAMED:
            self.names.append(segment)
        return segment if segment in self.names else None


def learned_examples(plan: Plan) -> list[dict[str, Any]]:
    examples, ids = [], set()
    for record in RECORDS:
        if record != b"{" and (id := orjson.loads(record)["id"]) not in ids:
            ids.add(id)
            examples.append(plan.explain(record))
    return examples


def straight(plan: Plan) -> list[Evaluation]:
    learner = Learner(plan, scan_threads=2)
    done = learner.learn([(0, RECORDS, [-1] * len(RECORDS))])
    return [orjson.loads(each) for each in done.evaluations]


def test_features_unseen_missing_and_segments_are_those_of_a_plain_count() -> None:
    found, plain, examples = straight(PLAN), Plain(), learned_examples(PLAN)
    slots = ["user", "page", "both", "price", "words"]
    assert len(found) == len(examples) // EVERY > 10
    for evaluation in found:
        part = examples[evaluation["learned_from"] : evaluation["learned_to"]]
        expected = plain.evaluation(part, slots)
        said = {segment["segment"]: segment["examples"] for segment in evaluation["segments"]}
        assert {key: evaluation[key] for key in ("features", "unseen", "missing")} | {
            "segments": said
        } == expected
    assert len(plain.names) == NAMED
    assert None in said, "more places than names"
    assert max(map(len, plain.names)) == 32, "a long one is cut: 64 bytes of ø"


def test_the_sums_of_segments_are_those_of_the_whole() -> None:
    for evaluation in straight(PLAN):
        for whole, parts in (
            (evaluation, evaluation["segments"]),
            (evaluation["served"], [part["served"] for part in evaluation["segments"] if part["served"]]),
        ):
            for name in ("importance_sum", "label_sum", "prediction_sum", "loss_sum"):
                assert sum(part[name] for part in parts) == pytest.approx(whole[name], rel=1e-12)
            for side in ("positives", "negatives"):
                # Eight bins of the whole are one of a segment.
                bins = [sum(whole[side][first : first + 8]) for first in range(0, 512, 8)]
                assert [sum(part[side][at] for part in parts) for at in range(64)] == bins


def cut(size: int) -> list[list[bytes]]:
    return [RECORDS[at : at + size] for at in range(0, len(RECORDS), size)]


def in_batches(plan: Plan) -> list[bytes]:
    learner = Learner(plan)
    calls = [learner.learn([(0, part, [-1] * len(part))]) for part in cut(33)]
    return [each for done in calls for each in done.evaluations]


def in_large_records(plan: Plan) -> list[bytes]:
    learner = Learner(plan, scan_threads=2)
    records = [b"\n".join(part) for part in cut(200)]
    return learner.learn([(0, records, [-1] * len(records))]).evaluations


def from_kept_scans(plan: Plan) -> list[bytes]:
    keeping, learner = Learner(plan), Learner(plan)
    (scan,) = keeping.learn([(0, RECORDS, [-1] * len(RECORDS))], keep_scans=True).scans
    return learner.learn_scanned([(0, scan)]).evaluations


def with_restarts(plan: Plan) -> list[bytes]:
    learner, found = Learner(plan), []
    for part in cut(61):
        found += learner.learn([(0, part, [-1] * len(part))]).evaluations
        learner.begin_image()
        rows = learner.take_image(10**6)
        seal, learner = learner.seal_image(), Learner(plan)
        learner.load_rows(rows + seal.rows)
        learner.load_state(seal.state)
    return found


def with_shared_rows(plan: Plan) -> list[bytes]:
    """Of three owners, one after the other."""
    rows, state, found = Rows(), None, list[bytes]()
    for first, parts in enumerate((cut(97)[:4], cut(97)[4:5], cut(97)[5:])):
        learner = PartitionLearner(plan, partition=0, shards=3)
        if state is not None:
            learner.load_state(state)
            before = [record for part in cut(97)[: 4 if first == 1 else 5] for record in part][-60:]
            learner.remember(before, [-1] * len(before))
        for part in parts:
            batch = learner.scan(part, [-1] * len(part))
            done, deltas = learner.learn(batch, rows.pull(batch))
            rows.add(deltas)
            found += done.evaluations
        state = learner.state()
    return found


WAYS = (in_batches, in_large_records, from_kept_scans, with_restarts)
SETTINGS = ("", "admission = 0.4\n", "max_rows = 300\n", 'learn_after = "record"\n')


@pytest.mark.parametrize(
    ("way", "settings"),
    # With learn_after = "record" large records are meant to differ.
    [(way, one) for way in WAYS for one in SETTINGS if way is not in_large_records or "record" not in one],
)
def test_however_it_is_learned_the_evaluations_are_the_same_to_the_byte(
    way: Callable[[Plan], list[bytes]], settings: str
) -> None:
    plan = plan_of(MODEL + settings)
    assert [orjson.loads(each) for each in way(plan)] == straight(plan)


def test_a_partition_whose_rows_are_shared_says_the_same_details() -> None:
    found = [orjson.loads(each) for each in with_shared_rows(PLAN)]
    for one, other in zip(found, straight(PLAN), strict=True):
        for key in ("format", "features", "unseen", "missing", "label_sum"):
            assert one[key] == other[key]
        for segment, expected in zip(one["segments"], other["segments"], strict=True):
            assert segment["segment"] == expected["segment"]
            assert segment["loss_sum"] == pytest.approx(expected["loss_sum"], rel=1e-4)


@pytest.mark.parametrize("settings", ["admission = 0.4\n", "max_rows = 300\n", ""])
def test_what_was_let_in_or_kept_out_was_unseen(settings: str) -> None:
    plan = plan_of(MODEL.replace("evaluate_every = 70", "evaluate_every = 1") + settings)
    learner = Learner(plan)
    evaluations = learner.learn([(0, RECORDS, [-1] * len(RECORDS))]).evaluations
    unseen = sum(orjson.loads(each)["unseen"] for each in evaluations)
    figures = learner.metrics()
    assert unseen == figures["rows"] + figures["rows_not_admitted"] + figures["rows_refused"]


def test_a_variant_begins_with_other_names_of_segments() -> None:
    learner = Learner(PLAN)
    first = learner.learn([(0, RECORDS, [-1] * len(RECORDS))]).evaluations
    learner.begin_variant()
    learner.forget()
    turned = RECORDS[::-1]
    second = learner.learn([(0, turned, [-1] * len(turned))]).evaluations
    names = [{part["segment"] for part in orjson.loads(each[-1])["segments"]} for each in (first, second)]
    assert names[0] - {None} != names[1] - {None}
    assert orjson.loads(second[0])["unseen"] == 0, "but its rows it has"
