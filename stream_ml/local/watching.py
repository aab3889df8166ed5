"""What the running learner says of itself: its evaluations and its counters."""

from __future__ import annotations

import urllib.request
from dataclasses import dataclass, field

import orjson
from prometheus_client.parser import text_string_to_metric_families

from stream_ml.learning.outputs import evaluations_topic
from stream_ml.local.figures import Figures
from stream_ml.streams.log import Log


@dataclass(frozen=True, slots=True)
class Closed:
    """
    One closed evaluation.

    Attributes:
        learned_from: its events were learned from there on.
        figures: of what the learner said just before it learned.
        served: of what was served when they were decided; without examples where they do not say.
    """

    learned_from: int
    figures: Figures
    served: Figures


@dataclass
class Evaluations:
    """Follows the topic of evaluations; a repeat is ignored."""

    log: Log
    model: str
    closed: list[Closed] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._reader = self.log.reader(evaluations_topic(self.model), {0: 0})

    def poll(self) -> None:
        """Take in what was closed meanwhile."""
        for fetch in self._reader.poll(max_records=1_000, timeout_seconds=0.05):
            for value in fetch.values:
                self._take(value)

    def _take(self, value: bytes | None) -> None:
        if value is not None and (said := orjson.loads(value))["index"] == len(self.closed):
            served = Figures.of_evaluation(said["served"]) if said.get("served") else Figures()
            self.closed.append(Closed(said["learned_from"], Figures.of_evaluation(said), served))

    def since(self, learned: int) -> Figures:
        """Return the figures of all evaluations that began at or after *learned* events."""
        return sum((each.figures for each in self.closed if each.learned_from >= learned), Figures())

    def close(self) -> None:
        """Leave the topic."""
        self._reader.close()


@dataclass(frozen=True, slots=True)
class Counts:
    """Events by what became of them, since the variant began."""

    learned: int
    duplicates: int
    dead_letters: int

    @property
    def all(self) -> int:
        """Every event that the learner has dealt with."""
        return self.learned + self.duplicates + self.dead_letters


def counts(address: str) -> Counts:
    """Read the learner's counters from its operator port."""
    totals = figures_at(address)
    return Counts(
        *(int(totals.get(f"stream_ml_learner_{name}_total", 0)) for name in Counts.__dataclass_fields__)
    )


def figures_at(address: str) -> dict[str, float]:
    """Read counters and gauges, by name, from the operator port of a service that has one model."""
    with urllib.request.urlopen(f"http://{address}/metrics", timeout=10) as answer:
        families = text_string_to_metric_families(answer.read().decode())
    return {
        sample.name: sample.value
        for family in families
        if family.type in {"counter", "gauge"}
        for sample in family.samples
    }
