"""A challenger's model file is the champion's, with what its setting says otherwise."""

from __future__ import annotations

import pytest

from stream_ml.errors import ConfigError
from stream_ml.features import compile_model
from stream_ml.features.differences import differences
from stream_ml.retraining.modelling import challenger_model
from tests.clicks import MODEL

CHAMPION = compile_model(
    MODEL.replace('page = "page"', 'page = "page"\nfirst = "prefix(page, 1)"  # a comment')
)


def test_nothing_changed_has_the_same_plan() -> None:
    assert challenger_model(CHAMPION, {}, None, "same").fingerprint == CHAMPION.fingerprint


def test_settings_of_the_learner_are_changed_and_the_rest_is_not() -> None:
    other = challenger_model(CHAMPION, {"alpha": 0.05, "l2": 1.5}, None, "slower\nand ] odd")
    assert [str(each) for each in differences(CHAMPION, other)] == [
        "setting alpha changed: 0.3 → 0.05",
        "setting l2 changed: 0.0 → 1.5",
    ]
    assert other.model_file.text.startswith("# slower and ] odd\n")


def test_a_subset_of_slots_keeps_their_ids() -> None:
    other = challenger_model(CHAMPION, {}, ("page", "both"), "fewer")
    seeds = {slot.name: slot.seed for slot in CHAMPION.slots}
    assert {slot.name: slot.seed for slot in other.slots} == {name: seeds[name] for name in ("page", "both")}


def test_the_same_arguments_give_the_same_file() -> None:
    made = [challenger_model(CHAMPION, {"alpha": 0.1}, ("page",), "x").model_file.text for _ in range(2)]
    assert made[0] == made[1]


def test_a_slot_that_there_is_not_is_named() -> None:
    with pytest.raises(ConfigError, match=r"clicks has no slot nope: it has user, page"):
        challenger_model(CHAMPION, {}, ("page", "nope"), "")


def test_a_setting_that_no_model_may_have_is_refused() -> None:
    with pytest.raises(ConfigError, match="alpha"):
        challenger_model(CHAMPION, {"alpha": -1.0}, None, "")
