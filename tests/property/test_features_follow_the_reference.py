"""Any model file, any event: learner and predictor find the features that the plain rules find."""

from typing import Any

import numpy as np
import orjson
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from stream_ml._native import Plan
from stream_ml.features import ModelFileError, compile_model
from tests.property import feature_reference
from tests.property.feature_reference import RefusedError

NUMBER_CONSTANTS = st.sampled_from(["0", "1", "-2.5", "3", "1e3", "0.1", "-7"])
TEXT_CONSTANTS = st.sampled_from(['"a"', '"Å b"', '"7"', '"true"', '"-"'])
NUMBER_FIELDS = st.sampled_from(["n", "m", "o.n"])
TEXT_FIELDS = st.sampled_from(["t", "u", 'field("o", "t u")'])


def calls(pattern: str, *parts: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    return st.tuples(*parts).map(lambda found: pattern.format(*found))


number = st.deferred(
    lambda: st.one_of(
        NUMBER_FIELDS.map("number({})".format),
        NUMBER_CONSTANTS,
        whole,
        calls("({} {} {})", number, st.sampled_from("+-*/%"), number),
        calls("{}({})", st.sampled_from(["abs", "sqrt", "-"]), number),
        calls("clip({}, -2, 3.5)", number),
        calls("{}({}, {})", st.sampled_from(["min", "max"]), number, number),
        calls("default({}, {})", number, NUMBER_CONSTANTS),
        calls("({} if {} else {})", number, condition, number),
        calls("seconds(at)"),
    )
)
whole = st.deferred(
    lambda: st.one_of(
        calls("{}({})", st.sampled_from(["floor", "round"]), number),
        calls("bucket({}, -1, 0.5, 2)", number),
        calls("log_bucket({}, {})", number, st.sampled_from(["1.5", "2", "10"])),
        calls("length({})", text),
        calls(
            "{}(at, {})",
            st.sampled_from(["hour", "weekday", "day", "month"]),
            st.sampled_from(["0", "-5.5", "14"]),
        ),
    )
)
text = st.deferred(
    lambda: st.one_of(
        TEXT_FIELDS.map("text({})".format),
        whole.map("text({})".format),
        calls("{}({})", st.sampled_from(["lower", "upper"]), text),
        calls("{}({}, {})", st.sampled_from(["prefix", "suffix"]), text, st.sampled_from("123")),
        calls("concat({}, {})", text, TEXT_CONSTANTS),
        calls("default({}, {})", text, TEXT_CONSTANTS),
        calls("({} if {} else {})", text, condition, TEXT_CONSTANTS),
    )
)
condition = st.deferred(
    lambda: st.one_of(
        st.just("bool(b)"),
        calls("({} {} {})", number, st.sampled_from(["<", "<=", ">", ">=", "==", "!="]), number),
        calls("({} {} {})", text, st.sampled_from(["==", "!="]), text),
        calls("({} {} {})", condition, st.sampled_from(["and", "or"]), condition),
        calls("(not {})", condition),
        calls('({} {} ("a", 7, true))', text, st.sampled_from(["in", "not in"])),
        calls("missing({})", st.one_of(number, text, condition, sets)),
        calls("default({}, true)", condition),
        st.just("(time(at) < time(since))"),
    )
)
sets = st.deferred(
    lambda: st.one_of(
        calls("words({})", text),
        calls("ngrams({}, {})", text, st.sampled_from("123")),
        calls('split({}, "{}")', text, st.sampled_from([" ", ",", "Å"])),
        calls("cross({}, {})", sets, text),
    )
)
# Only outermost: the last bit differs from the platform's functions, and a comparison would show it.
curve = calls("{}({})", st.sampled_from(["log1p", "log", "exp"]), number)
slot = st.one_of(number, curve, text, condition, sets, calls("cross({}, {}, {})", text, whole, condition))

numeric = st.one_of(
    st.integers(-5, 5), st.sampled_from([0.5, 2.5, -0.0, 1e-7, 1e300, -2.0, 123456.789, 2.0**53]), st.none()
)
textual = st.one_of(
    st.sampled_from(["", "a", "Red hat, RED", "Å b", "a,b ,a", 'İs\n"ß', "x" * 30]), numeric, st.booleans()
)
instants = st.one_of(
    st.sampled_from(["2026-03-01", "2024-02-29T23:59:59.5Z", "1969-12-31 01:02", "2026-12-31T22:00+05:30"]),
    st.integers(0, 2_000_000_000),
    st.just(1.5),
    st.none(),
)
wrong = st.sampled_from([[], {}, {"n": [1]}, "no number", True, ["a"]])


def events_of(**fields: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    """Events with these values; wherever one is None, the key is null or not there."""
    every = st.fixed_dictionaries(fields)
    return st.tuples(every, st.booleans()).map(lambda pair: without_nothing(*pair))


def without_nothing(event: dict[str, Any], leave_out: bool) -> dict[str, Any]:
    return {name: value for name, value in event.items() if value is not None or not leave_out}


inner = events_of(**{"n": numeric, "t u": textual})
right: dict[str, st.SearchStrategy[Any]] = {
    "n": numeric,
    "m": numeric,
    "t": textual,
    "u": textual,
    "b": st.booleans(),
    "at": instants,
    "since": instants,
    "o": inner,
}
right_events = events_of(**right, unused=wrong)
# One field of a type that something may not take.
wrong_events = st.sampled_from(list(right)).flatmap(lambda name: events_of(**{**right, name: wrong}))


def close(found: float, expected: float) -> bool:
    return found == expected or abs(found - expected) <= 1e-6 * abs(expected)


@settings(max_examples=settings().max_examples * 4)
@given(st.lists(slot, min_size=2, max_size=5), st.lists(right_events, min_size=3, max_size=6), wrong_events)
@example(["n % m"], [{"n": -0.0, "m": -2}], {})
def test_features_are_those_of_the_plain_rules(
    slots: list[str], examples: list[dict[str, Any]], wrong_example: dict[str, Any]
) -> None:
    lines = "".join(f"s{at} = {orjson.dumps(text).decode()}\n" for at, text in enumerate(slots))
    try:
        compiled = compile_model(f"name = 'm'\nlabel = 'y'\n[features]\n{lines}")
    except ModelFileError as error:
        # Drawn too deep, or of constants alone: refused beforehand, in learning and scoring alike.
        assume(not any("nested" in p.message or "no field" in p.message for p in error.problems))
        raise
    plan = Plan(compiled.plan_bytes)
    for event in [*examples, wrong_example]:
        check(plan, orjson.loads(compiled.plan_bytes), event)
    check_together(plan, [*examples, wrong_example])


def check(plan: Plan, source: dict[str, Any], event: dict[str, Any]) -> None:
    record = orjson.dumps({**event, "y": 1})
    scanned = plan.scan([record], [0])
    try:
        expected = feature_reference.features(source, event)
    except RefusedError:
        assert [refusal.reason for refusal in scanned.refused] in (["wrong_type"], ["out_of_range"])
        assert scanned.events == 0
        return
    assert scanned.refused == []
    explained = plan.explain(record)["features"]
    assert [(name, id) for name, _, id, _ in explained] == [(name, id) for name, id, _ in expected]
    assert all(close(x, wanted) for (*_, x), (*_, wanted) in zip(explained, expected, strict=True))
    # What the learner reads is what a score reads, bit for bit.
    assert np.frombuffer(scanned.ids, np.uint64).tolist() == [id for _, _, id, _ in explained]
    assert np.frombuffer(scanned.values, np.float32).tolist() == [np.float32(x) for *_, x in explained]


def check_together(plan: Plan, events: list[dict[str, Any]]) -> None:
    """Whatever a scanner met before, an event's features are its own; three of a kind let it guess."""
    records = [orjson.dumps({**event, "y": 1}) for event in events for _ in range(4)]
    together = plan.scan(records, [0] * len(records))
    alone = [plan.scan([record], [0]) for record in records]
    assert together.ids == b"".join(scan.ids for scan in alone)
    assert together.values == b"".join(scan.values for scan in alone)
