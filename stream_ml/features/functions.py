"""The functions of the feature language: one table for the type check, the errors and the documentation."""

from __future__ import annotations

from collections.abc import Mapping

from stream_ml.features.signatures import Asked, Example, Function, Parameter, Type


def _category(expression: str, event: str, *texts: str) -> Example:
    return Example(expression, event, texts)


def _number(expression: str, event: str, number: float | None) -> Example:
    return Example(expression, event, number=number)


def _one(name: str, asked: Asked) -> tuple[Parameter, ...]:
    return (Parameter(name, asked),)


# From the western to the eastern end of the world's time zones.
OFFSET_HOURS = Parameter("offset_hours", Asked.NUMBER_CONSTANT, default=0, low=-12, high=14)
CHARACTERS = Parameter("n", Asked.NUMBER_CONSTANT, low=1, high=100, whole=True)

# Longer lists belong in the data, as a field of their own.
MOST_EDGES = 1000
MOST_PARTS = 8

_TIME_EVENT = '{"t": "2026-03-01T17:45:00Z"}'

FUNCTIONS: Mapping[str, Function] = {
    function.name: function
    for function in (
        # What a field is read as.
        Function(
            "field",
            (Parameter("name", Asked.TEXT_CONSTANT, most=16),),
            Type.TEXT,
            "The field of a name that is no plain word; several names lead into nested objects.",
            (
                _category('field("hours-per-week")', '{"hours-per-week": 40}', "40"),
                _category('field("user", "home town")', '{"user": {"home town": "Oslo"}}', "Oslo"),
            ),
        ),
        Function(
            "text",
            _one("x", Asked.CATEGORY),
            Type.TEXT,
            "A field read as a category; a number by its value, so that 1, 1.0 and 1e0 are one.",
            (_category("text(zip)", '{"zip": 1.0}', "1"),),
        ),
        Function(
            "number",
            _one("x", Asked.NUMBER),
            Type.NUMBER,
            "A field read as a number: the value multiplies the weight.",
            (_number("number(quantity)", '{"quantity": 3}', 3.0),),
        ),
        Function(
            "bool",
            _one("x", Asked.BOOL),
            Type.BOOL,
            "A field that is true or false.",
            (_category("bool(member)", '{"member": true}', "true"),),
        ),
        Function(
            "time",
            _one("x", Asked.TIME),
            Type.TIME,
            "A field read as an instant: seconds since 1970, or ISO 8601 text (UTC if it does not say).",
            (_category("hour(time(t))", '{"t": 1772387100}', "17"),),
        ),
        # Categories.
        Function(
            "cross",
            (Parameter("part", Asked.PART, least=2, most=MOST_PARTS),),
            Type.TEXT,
            "One category made of several: a weight for each combination, and for each element of a set.",
            (
                _category("cross(user, hour(t))", '{"user": "ana", "t": "2026-03-01T17:45:00Z"}', "ana × 17"),
                _category(
                    "cross(user, words(title))",
                    '{"user": "ana", "title": "red hat"}',
                    "ana × red",
                    "ana × hat",
                ),
            ),
            yields="category, or set",
        ),
        Function(
            "bucket",
            (Parameter("x", Asked.NUMBER), Parameter("edge", Asked.NUMBER_CONSTANT, most=MOST_EDGES)),
            Type.WHOLE,
            "Which interval x falls in: 0 below the first edge, 1 from the first edge on, and so forth.",
            (
                _category("bucket(price, 1, 2, 5)", '{"price": 0.99}', "0"),
                _category("bucket(price, 1, 2, 5)", '{"price": 2}', "2"),
                _category("bucket(price, 1, 2, 5)", '{"price": 80}', "3"),
            ),
            ascending=True,
        ),
        Function(
            "log_bucket",
            (
                Parameter("x", Asked.NUMBER),
                Parameter("base", Asked.NUMBER_CONSTANT, default=2, low=1.01, high=1000),
            ),
            Type.WHOLE,
            "Buckets that widen with the number: floor(log_base(1 + |x|)), with x's sign.",
            (
                _category("log_bucket(amount)", '{"amount": 100}', "6"),
                _category("log_bucket(amount, 10)", '{"amount": -5000}', "-3"),
            ),
        ),
        Function(
            "hour",
            (Parameter("t", Asked.TIME), OFFSET_HOURS),
            Type.WHOLE,
            "Hour of the day, 0 to 23, in UTC or so many hours east of it.",
            (_category("hour(t)", _TIME_EVENT, "17"), _category("hour(t, 10)", _TIME_EVENT, "3")),
        ),
        Function(
            "weekday",
            (Parameter("t", Asked.TIME), OFFSET_HOURS),
            Type.WHOLE,
            "Day of the week, 0 = Monday to 6 = Sunday.",
            (_category("weekday(t)", _TIME_EVENT, "6"), _category("weekday(t, 10)", _TIME_EVENT, "0")),
        ),
        Function(
            "day",
            (Parameter("t", Asked.TIME), OFFSET_HOURS),
            Type.WHOLE,
            "Day of the month, 1 to 31.",
            (_category("day(t)", _TIME_EVENT, "1"),),
        ),
        Function(
            "month",
            (Parameter("t", Asked.TIME), OFFSET_HOURS),
            Type.WHOLE,
            "Month, 1 to 12.",
            (_category("month(t)", _TIME_EVENT, "3"),),
        ),
        # Text.
        Function(
            "lower",
            _one("x", Asked.TEXT),
            Type.TEXT,
            "In lower case.",
            (_category("lower(city)", '{"city": "ÅRHUS"}', "århus"),),
        ),
        Function(
            "upper",
            _one("x", Asked.TEXT),
            Type.TEXT,
            "In upper case.",
            (_category("upper(city)", '{"city": "Århus"}', "ÅRHUS"),),
        ),
        Function(
            "prefix",
            (Parameter("x", Asked.TEXT), CHARACTERS),
            Type.TEXT,
            "The first n characters.",
            (_category("prefix(zip, 2)", '{"zip": "90210"}', "90"),),
        ),
        Function(
            "suffix",
            (Parameter("x", Asked.TEXT), CHARACTERS),
            Type.TEXT,
            "The last n characters.",
            (_category("suffix(mail, 3)", '{"mail": "ana@x.org"}', "org"),),
        ),
        Function(
            "concat",
            (Parameter("x", Asked.TEXT, least=2, most=MOST_PARTS),),
            Type.TEXT,
            "The texts one after the other; for a feature of several, cross is better.",
            (_category('concat(country, "-", zip)', '{"country": "NO", "zip": "0150"}', "NO-0150"),),
        ),
        Function(
            "length",
            _one("x", Asked.TEXT),
            Type.WHOLE,
            "How many characters.",
            (_category("length(title)", '{"title": "Århus"}', "5"),),
        ),
        # Sets.
        Function(
            "words",
            _one("x", Asked.TEXT),
            Type.SET,
            "The words of a text, in lower case, each once: runs of letters (with their marks) and digits.",
            (_category("words(title)", '{"title": "Red hat, RED scarf"}', "red", "hat", "scarf"),),
        ),
        Function(
            "ngrams",
            (Parameter("x", Asked.TEXT), Parameter("n", Asked.NUMBER_CONSTANT, low=1, high=16, whole=True)),
            Type.SET,
            "Every run of n characters, each once.",
            (_category("ngrams(title, 3)", '{"title": "hats"}', "hat", "ats"),),
        ),
        Function(
            "split",
            (Parameter("x", Asked.TEXT), Parameter("separator", Asked.TEXT_CONSTANT)),
            Type.SET,
            "The pieces between separators, trimmed, each once, empty ones dropped.",
            (_category('split(tags, ",")', '{"tags": "new, sale,,new"}', "new", "sale"),),
        ),
        # Numbers.
        Function(
            "log1p",
            _one("x", Asked.NUMBER),
            Type.NUMBER,
            "log(1 + x): tames amounts and counts. Missing for x ≤ -1.",
            (_number("log1p(quantity)", '{"quantity": 0}', None), _number("log1p(q)", '{"q": 1}', 0.6931472)),
        ),
        Function(
            "log",
            _one("x", Asked.NUMBER),
            Type.NUMBER,
            "Natural logarithm. Missing for x ≤ 0.",
            (_number("log(x)", '{"x": 10}', 2.3025851), _number("log(x)", '{"x": 0}', None)),
        ),
        Function(
            "exp",
            _one("x", Asked.NUMBER),
            Type.NUMBER,
            "e to the x.",
            (_number("exp(x)", '{"x": 1}', 2.7182818),),
        ),
        Function(
            "sqrt",
            _one("x", Asked.NUMBER),
            Type.NUMBER,
            "Square root. Missing for x < 0.",
            (_number("sqrt(x)", '{"x": 9}', 3.0), _number("sqrt(x)", '{"x": -1}', None)),
        ),
        Function(
            "abs",
            _one("x", Asked.NUMBER),
            Type.NUMBER,
            "Without its sign.",
            (_number("abs(x)", '{"x": -2}', 2.0),),
        ),
        Function(
            "clip",
            (
                Parameter("x", Asked.NUMBER),
                Parameter("low", Asked.NUMBER_CONSTANT),
                Parameter("high", Asked.NUMBER_CONSTANT),
            ),
            Type.NUMBER,
            "x, but not below low and not above high.",
            (_number("clip(x, -1, 5)", '{"x": 7}', 5.0), _number("clip(x, -1, 5)", '{"x": -7}', -1.0)),
            ascending=True,
        ),
        Function(
            "min",
            (Parameter("x", Asked.NUMBER, least=2, most=MOST_PARTS),),
            Type.NUMBER,
            "The smallest.",
            (_number("min(a, b, 3)", '{"a": 4, "b": 5}', 3.0),),
        ),
        Function(
            "max",
            (Parameter("x", Asked.NUMBER, least=2, most=MOST_PARTS),),
            Type.NUMBER,
            "The largest.",
            (_number("max(a, b)", '{"a": 4, "b": 5}', 5.0),),
        ),
        Function(
            "floor",
            _one("x", Asked.NUMBER),
            Type.WHOLE,
            "The next whole number below.",
            (_category("floor(x)", '{"x": -1.5}', "-2"),),
        ),
        Function(
            "round",
            _one("x", Asked.NUMBER),
            Type.WHOLE,
            "The nearest whole number; a half goes to the even one.",
            (_category("round(x)", '{"x": 2.5}', "2"), _category("round(x)", '{"x": 3.5}', "4")),
        ),
        Function(
            "seconds",
            _one("t", Asked.TIME),
            Type.NUMBER,
            "Seconds since 1970; the difference of two is a duration.",
            (
                _number(
                    "(seconds(to) - seconds(since)) / 3600",
                    '{"since": "2026-03-01", "to": "2026-03-01T06:00"}',
                    6.0,
                ),
            ),
        ),
        # What is not there.
        Function(
            "missing",
            _one("x", Asked.ANY),
            Type.BOOL,
            "Whether there is no value: the field is absent or null, or the number undefined.",
            (
                _category("missing(age)", "{}", "true"),
                _category("missing(age)", '{"age": 3}', "false"),
                _category("missing(a / b)", '{"a": 1, "b": 0}', "true"),
            ),
        ),
        Function(
            "default",
            (Parameter("x", Asked.ANY), Parameter("constant", Asked.CONSTANT)),
            Type.TEXT,
            "x, or the constant where x is missing. A field is read as what the constant is.",
            (
                _category('default(colour, "none")', "{}", "none"),
                _number("default(age, 30)", "{}", 30.0),
            ),
            yields="what the constant is",
        ),
    )
}
