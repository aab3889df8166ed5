"""Feature ids and checksums are for ever, as rows and journal lines hold them; ``hashes.json`` has them."""

import json
from pathlib import Path
from typing import Any

import pytest

from stream_ml._native import MATH_VERSION, Plan, checksum

GOLDEN = json.loads((Path(__file__).parent / "hashes.json").read_text())
SEED = "0123456789abcdef"


def plan_of(kind: str, expr: list[Any], seed: str = SEED) -> Plan:
    plan = {
        "format": 1,
        "math": MATH_VERSION,
        "name": "m",
        "fields": [["a"], ["b"], ["y"]],
        "event_id": None,
        "timestamp": None,
        "label": ["number", 2],
        "importance": None,
        "served": None,
        "learn_after": "event",
        "unlabelled": "skip",
        "max_skew_seconds": 60.0,
        "duplicate_window": 0,
        "evaluate_every": 10,
        "slots": [{"name": "s", "kind": kind, "seed": seed, "expr": expr}],
        "learner": {"loss": "logistic", "optimizer": "ftrl", "alpha": 0.1, "beta": 1.0, "l1": 0.0, "l2": 0.0,
                    "base_rate": None, "base_rate_events": 10},
    }  # fmt: skip
    return Plan(json.dumps(plan).encode())


def only_feature(plan: Plan, event: str) -> tuple[str, str]:
    ((_, text, id, _),) = plan.explain(event.encode())["features"]
    return text, f"{id:016x}"


@pytest.mark.parametrize("case", GOLDEN["categories"], ids=lambda case: case["literal"][:30])
def test_a_category_has_the_same_text_and_id_for_ever(case: dict[str, str]) -> None:
    event = f'{{"a":{case["literal"]}}}'
    assert only_feature(plan_of("category", ["text", 0]), event) == (case["text"], case["id"])


@pytest.mark.parametrize("case", GOLDEN["crosses"], ids=lambda case: "×".join(case["parts"]))
def test_a_cross_has_the_same_id_for_ever(case: dict[str, Any]) -> None:
    plan = plan_of("category", ["cross", ["text", 0], ["text", 1]])
    event = json.dumps(dict(zip("ab", case["parts"], strict=True)))
    assert only_feature(plan, event) == (" × ".join(case["parts"]), case["id"])


@pytest.mark.parametrize("case", GOLDEN["numbers"], ids=lambda case: case["seed"])
def test_a_number_has_the_id_of_its_slot_for_ever(case: dict[str, str]) -> None:
    plan = plan_of("number", ["number", 0], case["seed"])
    assert only_feature(plan, '{"a":2.50}') == ("2.5", case["id"])


@pytest.mark.parametrize("case", GOLDEN["checksums"], ids=lambda case: case["checksum"])
def test_records_have_the_same_checksum_for_ever(case: dict[str, Any]) -> None:
    records = [None if record is None else record.encode() for record in case["records"]]
    assert f"{checksum(records):016x}" == case["checksum"]
