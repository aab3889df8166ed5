"""The keys of a model file: meaning, default and bounds, one table for checks and documentation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from stream_ml.features.signatures import Asked


@dataclass(frozen=True, slots=True)
class ExpressionKey:
    """
    A key at the top of the file whose value is an expression.

    Attributes:
        asked: what it must yield.
        planned: a plan has it even where the file does not; one without keeps the fingerprint from before it.
    """

    name: str
    asked: Asked
    meaning: str
    required: bool = False
    planned: bool = True


@dataclass(frozen=True, slots=True)
class Setting:
    """
    A key whose value is a number or one of a few words.

    Attributes:
        low, high: bounds of a number, included (*low* not, where *above* says so).
        why: the reason of the bounds.
    """

    name: str
    default: Any
    meaning: str
    choices: tuple[str, ...] = ()
    low: float = 0
    high: float = 0
    above: bool = False
    whole: bool = False
    why: str = ""

    def complaint(self, value: Any) -> str:
        """Return what is wrong with *value*; "" if nothing is."""
        if self.choices:
            return "" if value in self.choices else f"unknown {self.name} {value!r}"
        if isinstance(value, bool) or not isinstance(value, int | float):
            return f"{self.name} is a number"
        if self.whole and value != value // 1:
            return f"{self.name} is a whole number"
        above_low = value > self.low if self.above else value >= self.low
        if not (above_low and value <= self.high):
            return f"{self.name} is {self.bounds}: {self.why}"
        return ""

    @property
    def bounds(self) -> str:
        """What is allowed, in words."""
        if self.choices:
            return ", ".join(self.choices)
        return f"{'above' if self.above else 'at least'} {_plain(self.low)} and at most {_plain(self.high)}"


def _plain(number: float) -> str:
    return f"{int(number):,}" if number == int(number) else f"{number:g}"


EXPRESSION_KEYS = (
    ExpressionKey(
        "label",
        Asked.LABEL,
        "what is learned: a number, or a bool (true is 1). A field alone is read as a number; one that is "
        "true or false is bool(field)",
        required=True,
    ),
    ExpressionKey(
        "event_id",
        Asked.CATEGORY,
        "names an event; repeats within duplicate_window are learned once. An event with none, "
        "or an empty text, is refused",
    ),
    ExpressionKey("timestamp", Asked.TIME, "when the event happened"),
    ExpressionKey("importance", Asked.NUMBER, "how many times an event counts, above 0 and at most 1,000"),
    ExpressionKey("served", Asked.NUMBER, "the probability that was served when the event was decided"),
    ExpressionKey(
        "label_time",
        Asked.TIME,
        "when the label became known: a replay learns the event then, as a service did that waited for "
        "it. An event without is learned at once",
        planned=False,
    ),
    ExpressionKey(
        "segment",
        Asked.CATEGORY,
        "evaluations say their figures by its values too: the first 32 that are learned by name (at most 64 "
        "bytes of it), the rest, and events without, together",
        planned=False,
    ),
)

UNLABELLED = Setting(
    "unlabelled",
    "refuse",
    "an event without a label is a dead letter, or skipped",
    choices=("refuse", "skip"),
)

LEARNER = (
    Setting("loss", "logistic", "of the prediction", choices=("logistic", "squared", "poisson")),
    Setting(
        "optimizer",
        "ftrl",
        "how a weight follows its gradients; counting has no weights, it proves counts",
        choices=("ftrl", "adagrad", "sgd", "counting"),
    ),
    Setting("alpha", 0.1, "step size", low=0, high=100, above=True, why="a larger step only oscillates"),
    Setting(
        "beta", 1.0, "smooths the first steps of a weight", low=0, high=1e6, why="float32 sums lose more"
    ),
    Setting("l1", 0.0, "keeps weights at zero", low=0, high=1e6, why="more leaves no weight at all"),
    Setting("l2", 0.0, "pulls weights to zero", low=0, high=1e6, why="more leaves no weight at all"),
    Setting(
        "decay",
        1.0,
        "what of a row is kept each time its feature is learned (ftrl); below 1 it forgets",
        low=0,
        high=1,
        above=True,
        why="0 would forget everything, more would grow without end",
    ),
    Setting(
        "base_rate",
        None,
        "mean label, where it is known; else the first events tell",
        low=-1e6,
        high=1e6,
        why="labels are",
    ),
    Setting(
        "base_rate_events",
        1000,
        "events whose mean label is the base of every prediction",
        low=1,
        high=1_000_000,
        whole=True,
        why="later events are learned against a base that still moves",
    ),
    Setting(
        "learn_after",
        "event",
        "events of one record are scored before it is learned (record), or one by one",
        choices=("event", "record"),
    ),
    Setting(
        "duplicate_window",
        100_000,
        "event ids remembered per partition; 0 remembers none",
        low=0,
        high=100_000_000,
        whole=True,
        why="an id takes some 24 bytes of memory",
    ),
    Setting(
        "max_skew_seconds",
        86_400.0,
        "how far an event's time may lie beyond its record's",
        low=0,
        high=31_536_000.0,
        why="a year; one event dated 2999 must not age the rest",
    ),
    Setting(
        "evaluate_every",
        10_000,
        "learned events an evaluation covers",
        low=1,
        high=1_000_000_000,
        whole=True,
        why="a longer one would hardly ever close",
    ),
    Setting(
        "max_rows",
        2**30,
        "rows the table may have; what would need one more is left out and counted",
        low=1,
        high=2**30,
        whole=True,
        why="a place in the table has 32 bits",
    ),
    Setting(
        "admission",
        1.0,
        "probability that a feature without a row gets one, each time it is seen",
        low=0,
        high=1,
        above=True,
        why="it is a probability, and 0 would learn nothing",
    ),
    Setting(
        "expire_after_seconds",
        None,
        "event time after which a feature that was not seen loses its row; else never",
        low=0,
        high=3_153_600_000.0,
        above=True,
        why="a hundred years",
    ),
    Setting(
        "expire_below",
        0.0,
        "absolute weight below which a feature loses its row, as often as expire_after_seconds says",
        low=0,
        high=1e6,
        why="more leaves no weight at all",
    ),
)
# What a mean label can be; the ends would be an infinite log-odds.
BASE_RATES = {"logistic": (0.0, 1.0), "poisson": (0.0, float("inf"))}
