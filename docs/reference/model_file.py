"""The reference of the model file: every key, every function."""

from __future__ import annotations

from collections import defaultdict

from docs.reference.markdown import head, page, table
from stream_ml.features.expressions import BINARY, COMPARISONS, MOST_DEPTH, MOST_NESTED_NAMES
from stream_ml.features.functions import FUNCTIONS, MOST_EDGES, MOST_PARTS
from stream_ml.features.model_file import (
    KINDS,
    MODEL_NAME,
    MOST_BYTES,
    MOST_FIELDS,
    MOST_SLOTS,
    NEEDED,
    RESERVED_SLOT,
    SLOT_NAME,
)
from stream_ml.features.settings import EXPRESSION_KEYS, LEARNER, UNLABELLED, Setting
from stream_ml.features.signatures import Example, Function, Type
from stream_ml.features.syntax import MOST_CHARACTERS

_INTRO = """
What each key means and may be. How features are written, with examples, is in [the model
file](../features.md); what a change of a key does to a model that serves, in [changing a
model](../evolution.md).
"""
_SLOTS = {
    "category": "one feature, named by the value, with a weight of its own",
    "number": "one feature whose weight is multiplied by the value; none where it is 0",
    "set": "one feature for each element",
}


def text() -> str:
    """Return the page."""
    return page(
        head("Model file: reference", "`stream_ml/features`"),
        _INTRO,
        "## Keys at the top",
        _top_keys(),
        "## `[features]`",
        f"A key is a slot's name (`{SLOT_NAME.pattern}`, but `{RESERVED_SLOT}`), its value an expression. "
        "What the expression yields decides what the slot gives:",
        _slots(),
        "## `[learner]`",
        settings_table(),
        "## Functions",
        "Each example is run by a test on the code that learner and predictor run.",
        functions_table(),
        "## Operators",
        _operators(),
        "## Limits",
        _limits(),
    )


def _top_keys() -> str:
    name = f"text: `{MODEL_NAME.pattern}`"
    rows = [("`name`", name, "wanted", "the model's name; topics' names begin with it")]
    for key in EXPRESSION_KEYS:
        given = "wanted" if key.required else "none"
        rows.append((f"`{key.name}`", f"expression: {key.asked}", given, key.meaning + _needs(key.name)))
    rows.append((f"`{UNLABELLED.name}`", UNLABELLED.bounds, f'`"{UNLABELLED.default}"`', UNLABELLED.meaning))
    return table(("key", "type", "default", "meaning"), rows)


def _needs(key: str) -> str:
    return f"; wants `{NEEDED[key]}`" if key in NEEDED else ""


def _slots() -> str:
    yielding: dict[str, list[str]] = defaultdict(list)
    for kind in Type:
        yielding[KINDS.get(kind, "")].append(kind)
    rows = [(", ".join(yielding[kind]), f"{kind}: {meaning}") for kind, meaning in _SLOTS.items()]
    return table(("the expression yields", "the slot is a"), [*rows, (", ".join(yielding[""]), "an error")])


def settings_table() -> str:
    """Return the keys of ``[learner]``."""
    rows = []
    for setting in LEARNER:
        default = "none" if setting.default is None else f"`{_toml(setting.default)}`"
        reason = f" ({setting.why})" if setting.why else ""
        meaning = setting.meaning + _needs(setting.name)
        rows.append((f"`{setting.name}`", _kind(setting), default, setting.bounds + reason, meaning))
    return table(("key", "type", "default", "allowed", "meaning"), rows)


def _kind(setting: Setting) -> str:
    if setting.choices:
        return "text"
    return "whole number" if setting.whole else "number"


def _toml(default: object) -> str:
    return f'"{default}"' if isinstance(default, str) else str(default)


def functions_table() -> str:
    """Return the functions, a line an example."""
    rows = []
    for function in FUNCTIONS.values():
        first = (f"`{function.signature}`", function.doc + _bounds(function))
        for example in function.examples:
            rows.append((*first, f"`{example.expression}`", f"`{example.event}`", _shown(example)))
            first = ("", "")
    return table(("function", "meaning", "example", "event", "feature"), rows)


def _bounds(function: Function) -> str:
    bounds = [
        f"`{parameter.name}`: {parameter.low:g} to {parameter.high:g}{', whole' if parameter.whole else ''}"
        for parameter in function.parameters
        if parameter.low is not None and parameter.high is not None
    ]
    return f" ({'; '.join(bounds)})" if bounds else ""


def _shown(example: Example) -> str:
    if example.number is not None:
        return f"x = {example.number:g}"
    return ", ".join(f"`{text}`" for text in example.texts) or "none"


def _operators() -> str:
    arithmetic, comparing = " ".join(BINARY.values()), " ".join(COMPARISONS.values())
    return (
        f"`{arithmetic}`, `{comparing}` (also chained: `0 < x <= 5`), `and or not`, `x in (…)`, "
        "`x not in (…)`, `a if condition else b`, brackets; constants are numbers, texts in quotes, "
        "`true` and `false`."
    )


def _limits() -> str:
    rows = (
        ("a file", f"{MOST_BYTES // 2**20} MiB, {MOST_SLOTS:,} slots, {MOST_FIELDS:,} fields"),
        ("an expression", f"{MOST_CHARACTERS:,} characters, {MOST_DEPTH} deep"),
        ("the name of a nested field", f"{MOST_NESTED_NAMES} names"),
        ("`cross`, `concat`, `min`, `max`", f"{MOST_PARTS} parts"),
        ("`bucket`", f"{MOST_EDGES:,} edges"),
    )
    return table(("what", "at most"), rows)
