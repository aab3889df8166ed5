"""Plans, seeds and feature ids are for ever, since rows are stored under them; ``plans.json`` holds them."""

from pathlib import Path
from typing import Any

import orjson
import pytest

from stream_ml._native import Plan
from stream_ml.features import compile_model

CASES = orjson.loads((Path(__file__).parent / "plans.json").read_bytes())


@pytest.mark.parametrize("case", CASES, ids=[case["name"] for case in CASES])
def test_a_model_file_compiles_to_the_same_plan_for_ever(case: dict[str, Any]) -> None:
    compiled = compile_model(case["model"])
    assert [slot.seed for slot in compiled.slots] == case["seeds"]
    assert compiled.fingerprint == case["fingerprint"]


@pytest.mark.parametrize("case", CASES, ids=[case["name"] for case in CASES])
def test_an_event_has_the_same_feature_ids_for_ever(case: dict[str, Any]) -> None:
    explained = Plan(compile_model(case["model"]).plan_bytes).explain(case["event"].encode())
    assert [[slot, f"{id:016x}", x] for slot, _, id, x in explained["features"]] == case["features"]
