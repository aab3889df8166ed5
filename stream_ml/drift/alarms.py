"""What the monitor says: records of the topic of drifts, and the key of a retrain job."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

import orjson

FORMAT = 1
Kind = Literal["warning", "drift", "gap"]


@dataclass(frozen=True, slots=True)
class Stream:
    """
    Whose evaluations they are.

    Attributes:
        partition: the source partition where every one has its own evaluations (rows in Redis), else None.
    """

    model: str
    variant: str
    partition: int | None = None

    @property
    def key(self) -> str:
        """As the keys of the evaluations begin."""
        return f"{self.variant}/{'' if self.partition is None else self.partition}"


@dataclass(frozen=True, slots=True)
class Alarm:
    """
    A change that was noticed.

    Attributes:
        kind: a warning is no drift yet, or belongs to one that was told before.
        segment: None is the whole.
        index: of the evaluation with which it was noticed; `learned_to` are the events by then.
        since_learned: the events since which it is so.
        size: *after* less *before*; *strength* is the change in standard errors.
        before, after: the statistic's own figure.
    """

    kind: Kind
    statistic: str
    segment: str | None
    index: int
    learned_to: int
    since_learned: int
    size: float
    strength: float
    before: float
    after: float

    def key(self, stream: Stream) -> str:
        """Return the record's key: a repeat has the same."""
        return f"{stream.key}/{self.statistic}/{self.segment or ''}/{self.index}"

    def record(self, stream: Stream) -> bytes:
        """Return the record: JSON."""
        whose = {"model": stream.model, "variant": stream.variant, "partition": stream.partition}
        # JSON knows no infinity: a calibration without positives becomes null.
        return orjson.dumps({"format": FORMAT, **whose, **self.said()}, option=orjson.OPT_SORT_KEYS)

    def said(self) -> dict[str, Any]:
        """Return what a person is told."""
        return asdict(self)
