"""What differs between two model files."""

import pytest

from stream_ml.features import CompiledModel, compile_model
from stream_ml.features.differences import differences

MODEL = """
name = "m"
label = "y"
event_id = "id"
[features]
color = "color"
size = "number(size)"
both = "cross(color, shape)"
[learner]
alpha = 0.2
"""


def changed(*replacements: tuple[str, str]) -> CompiledModel:
    text = MODEL
    for before, after in replacements:
        assert before in text
        text = text.replace(before, after)
    return compile_model(text)


def test_a_slot_is_unchanged_while_its_name_and_canonical_expression_are() -> None:
    new = changed(('"cross(color, shape)"', '"cross( color,  shape )"'), ("alpha = 0.2", "alpha = 0.5"))
    found = differences(compile_model(MODEL), new)
    assert found.unchanged == ("color", "size", "both")
    assert found.slots == ()
    assert [str(each) for each in found] == ["setting alpha changed: 0.2 → 0.5"]


def test_what_was_added_removed_and_changed_is_told_slot_by_slot() -> None:
    new = changed(('both = "cross(color, shape)"', 'word = "words(text)"'), ("number(size)", "log1p(size)"))
    found = differences(compile_model(MODEL), new)
    assert found.unchanged == ("color",)
    assert {(each.name, each.change): (each.before, each.after) for each in found.slots} == {
        ("size", "changed"): ("number(size)", "log1p(size)"),
        ("both", "removed"): ("cross(color, shape)", None),
        ("word", "added"): (None, "words(text)"),
    }


def test_a_renamed_slot_begins_anew() -> None:
    found = differences(compile_model(MODEL), changed(("color = ", "colour = ")))
    assert found.unchanged == ("size", "both")
    assert [(each.name, each.change) for each in found.slots] == [("color", "removed"), ("colour", "added")]


def test_the_roles_of_fields_are_compared_too() -> None:
    new = changed(('event_id = "id"\n', 'timestamp = "at"\nunlabelled = "skip"\n'), ('"y"', '"y > 1"'))
    found = differences(compile_model(MODEL), new)
    assert {each.name for each in found.keys} == {"event_id", "timestamp", "unlabelled", "label"}
    assert found.has("timestamp")
    assert not found.has("served")


@pytest.mark.parametrize(
    ("before", "after", "told"),
    [
        ('"m"', '"n"', "another model"),
        ("alpha = 0.2", 'optimizer = "sgd"', "the optimizer is sgd, it was ftrl"),
        ("alpha = 0.2", 'loss = "squared"', "the loss is squared, it was logistic"),
    ],
)
def test_under_another_meaning_no_row_goes_on(before: str, after: str, told: str) -> None:
    assert told in differences(compile_model(MODEL), changed((before, after))).obstacle


def test_a_model_file_does_not_differ_from_itself() -> None:
    found = differences(compile_model(MODEL), compile_model(MODEL))
    assert (list(found), found.obstacle) == ([], "")
