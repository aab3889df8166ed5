"""The plan: what it holds, and what changes its fingerprint and its seeds."""

import re
from pathlib import Path

import orjson
import pytest
import xxhash

from stream_ml._native import Plan
from stream_ml.errors import ConfigError
from stream_ml.features import compile_model

ROOT = Path(__file__).parents[3]
MODEL = """
name = "m"
event_id = "id"
label = "y == 'yes'"
[features]
price = "bucket(item.price, 1, 2)"
both = "cross(user, hour(at))"
[learner]
alpha = 0.5
base_rate = 0.01
"""


def test_the_plan_is_canonical_json_with_fields_by_number() -> None:
    compiled = compile_model(MODEL)
    plan = orjson.loads(compiled.plan_bytes)
    assert orjson.dumps(plan, option=orjson.OPT_SORT_KEYS) == compiled.plan_bytes
    assert compiled.fingerprint == xxhash.xxh3_128_hexdigest(compiled.plan_bytes)
    slots = plan.pop("slots")
    assert [(slot["name"], slot["kind"], slot["expr"]) for slot in slots] == [
        ("price", "category", ["bucket", ["number", 2], 1, 2]),
        ("both", "category", ["cross", ["text", 3], ["hour", ["time", 4], 0]]),
    ]
    assert slots[0]["seed"] == xxhash.xxh3_64_hexdigest(b"price\x1fbucket(item.price, 1, 2)")
    assert plan == {
        "format": 1,
        "math": 1,
        "name": "m",
        "fields": [["y"], ["id"], ["item", "price"], ["user"], ["at"]],
        "label": ["if", ["==", ["text", 0], ["const", "yes"]], ["const", 1], ["const", 0]],
        "event_id": ["text", 1],
        "timestamp": None,
        "importance": None,
        "served": None,
        "unlabelled": "refuse",
        "learn_after": "event",
        "duplicate_window": 100_000,
        "max_skew_seconds": 86_400.0,
        "evaluate_every": 10_000,
        "learner": {
            "loss": "logistic",
            "optimizer": "ftrl",
            "alpha": 0.5,
            "beta": 1.0,
            "l1": 0.0,
            "l2": 0.0,
            "base_rate": 0.01,
            "base_rate_events": 1000,
        },
    }


def test_label_time_and_segment_are_in_the_plan_only_if_given() -> None:
    timed = MODEL.replace("[features]", 'timestamp = "at"\n[features]')
    given = timed.replace("[features]", 'label_time = "known_at"\nsegment = "shop"\n[features]')
    plan, before = (orjson.loads(compile_model(text).plan_bytes) for text in (given, timed))
    assert set(plan) - set(before) == {"label_time", "segment"}
    # Their fields come behind those of the other keys and before those of features.
    assert plan["fields"][:5] == [["y"], ["id"], ["at"], ["known_at"], ["shop"]]
    assert (plan["label_time"], plan["segment"]) == (["time", 3], ["text", 4])
    assert [slot["seed"] for slot in plan["slots"]] == [slot["seed"] for slot in before["slots"]]


def test_the_core_takes_the_plan_and_finds_the_same_fingerprint() -> None:
    compiled = compile_model(MODEL)
    plan = Plan(compiled.plan_bytes)
    assert plan.fingerprint == compiled.fingerprint
    assert plan.source == compiled.plan_bytes


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('"cross(user, hour(at))"', "'''cross( user,\n  hour( (at) , 0 ) )'''"),
        ("alpha = 0.5", "alpha = 5e-1  # half"),
        ("[learner]", "[learner]\nbeta = 1"),
        ("1, 2)", "1.0, 2e0)"),
    ],
)
def test_what_means_the_same_has_the_same_fingerprint(old: str, new: str) -> None:
    assert old in MODEL
    assert compile_model(MODEL.replace(old, new)).fingerprint == compile_model(MODEL).fingerprint


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("alpha = 0.5", "alpha = 0.6"),
        ("1, 2)", "1, 3)"),
        ('price = "', 'cost = "'),
        ("label = \"y == 'yes'\"", "label = \"y == 'no'\""),
        ("[learner]", "[learner]\nlearn_after = 'record'"),
        ('name = "m"', 'name = "n"'),
    ],
)
def test_what_means_something_else_has_another_fingerprint(old: str, new: str) -> None:
    assert old in MODEL
    assert compile_model(MODEL.replace(old, new)).fingerprint != compile_model(MODEL).fingerprint


def test_a_slot_keeps_its_seed_whatever_happens_around_it() -> None:
    before = {slot.name: slot for slot in compile_model(MODEL).slots}
    changed = MODEL.replace("1, 2)", "1, 3)").replace("[features]", '[features]\nnew = "z"')
    after = {slot.name: slot for slot in compile_model(changed).slots}
    assert after["both"] == before["both"]
    assert after["price"].seed != before["price"].seed


def test_a_number_and_a_category_of_one_field_never_share_a_seed() -> None:
    compiled = compile_model(MODEL.replace("bucket(item.price, 1, 2)", "+price"))
    other = compile_model(MODEL.replace("bucket(item.price, 1, 2)", "price"))
    assert (compiled.slots[0].kind, other.slots[0].kind) == ("number", "category")
    assert compiled.slots[0].seed != other.slots[0].seed


def test_the_model_files_of_the_documentation_compile() -> None:
    page = (ROOT / "docs" / "features.md").read_text(encoding="utf-8")
    models = re.findall(r"```toml\n(.*?)```", page, flags=re.DOTALL)
    assert models
    for model in models:
        Plan(compile_model(model).plan_bytes)


def test_the_mistake_of_the_documentation_is_shown_as_it_says() -> None:
    page = (ROOT / "docs" / "features.md").read_text(encoding="utf-8")
    mistake = re.search(r"```\n(model\.toml:12:.*?)```", page, flags=re.DOTALL)
    assert mistake is not None
    line = mistake[1].split("12 | ")[1].split("\n")[0]
    with pytest.raises(ConfigError) as caught:
        compile_model('name = "m"\nlabel = "y"\n' + "\n" * 8 + f"[features]\n{line}\n")
    assert str(caught.value) == mistake[1].rstrip("\n")


def test_every_model_file_of_the_repository_compiles() -> None:
    paths = [path for folder in ("stream_ml", "examples") for path in (ROOT / folder).rglob("*.toml")]
    models = [path for path in paths if path.name != "Cargo.toml"]
    assert models
    for path in models:
        Plan(compile_model(path).plan_bytes)


def test_a_feature_id_is_the_hash_of_the_value_under_the_seed_of_its_slot() -> None:
    compiled = compile_model(MODEL.replace("[learner]", 'tall = "number(height)"\n[learner]'))
    price, both, tall = (int(slot.seed, 16) for slot in compiled.slots)
    event = b'{"item": {"price": 1.5}, "user": "ana", "at": "2026-03-01T17:45", "height": 180}'
    explained = Plan(compiled.plan_bytes).explain(event)
    assert [id for _, _, id, _ in explained["features"]] == [
        xxhash.xxh3_64_intdigest(b"1", price),
        xxhash.xxh3_64_intdigest(b"\x03\0\0\0ana\x02\0\0\x0017", both),
        xxhash.xxh3_64_intdigest(b"", tall),
    ]


def test_a_text_without_a_line_break_is_a_path(tmp_path: Path) -> None:
    path = tmp_path / "m.toml"
    path.write_text(MODEL)
    assert compile_model(str(path)) == compile_model(path) == compile_model(MODEL)
    with pytest.raises(ConfigError, match=r"absent\.toml: cannot be read"):
        compile_model("absent.toml")


def test_decay_is_in_the_plan_only_where_it_forgets() -> None:
    forgetting = compile_model(MODEL + "decay = 0.99\n")
    assert orjson.loads(forgetting.plan_bytes)["learner"]["decay"] == 0.99
    assert Plan(forgetting.plan_bytes).fingerprint == forgetting.fingerprint
    assert compile_model(MODEL + "decay = 1.0\n").fingerprint == compile_model(MODEL).fingerprint


@pytest.mark.parametrize("decay", ["0.0", "1.5", '0.5\noptimizer = "sgd"'])
def test_a_decay_that_cannot_be_is_refused(decay: str) -> None:
    with pytest.raises(ConfigError, match="decay"):
        compile_model(f"{MODEL}decay = {decay}\n")
