"""What metrics are made of: the registry, and counters that show from the start what they will count."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.metrics_core import CounterMetricFamily
from prometheus_client.registry import Collector


class KeptTotal(Collector):
    """
    A counter whose total is kept elsewhere (in the state that snapshots hold), and only shown here.

    It goes on across restarts where it was, so a rate over a restart is right without a reset.
    """

    def __init__(
        self, registry: CollectorRegistry, name: str, documentation: str, labels: tuple[str, ...]
    ) -> None:
        self._name, self._documentation, self._labels = name, documentation, labels
        self._totals: dict[tuple[str, ...], float] = {}
        registry.register(self)

    def set(self, total: float, *labels: str) -> None:
        """Show *total* for these label values."""
        self._totals[labels] = total

    def add(self, amount: float, *labels: str) -> None:
        """Add *amount* to what is shown: where no state keeps a total, it is this process's."""
        self._totals[labels] = self.get(*labels) + amount

    def get(self, *labels: str) -> float:
        """Return what is shown for these label values; 0 before the first ``set``."""
        return self._totals.get(labels, 0.0)

    def describe(self) -> list[CounterMetricFamily]:
        """Return the family without samples."""
        return [CounterMetricFamily(self._name, self._documentation, labels=self._labels)]

    def collect(self) -> Iterator[CounterMetricFamily]:
        """Yield the family with its samples."""
        family = CounterMetricFamily(self._name, self._documentation, labels=self._labels)
        for labels, total in dict(self._totals).items():
            family.add_metric(labels, total)
        yield family


class Kinds:
    """
    Makes the metrics of models, and remembers which values labels of counters may have.

    Attributes:
        bounds: by name of a counter, the values of every label beside the model.
    """

    def __init__(self, registry: CollectorRegistry) -> None:
        self._registry = registry
        self._counters: dict[str, Counter] = {}
        self.bounds: dict[str, dict[str, tuple[str, ...]]] = {}

    def counter(self, name: str, documentation: str, **labels: tuple[str, ...]) -> Counter:
        """Return a new counter; *labels*, beside the model, each with all values it may have."""
        made = Counter(name, documentation, ("model", *labels), registry=self._registry)
        self._counters[name], self.bounds[name] = made, labels
        return made

    def total(self, name: str, documentation: str, *labels: str) -> KeptTotal:
        """Return a new counter whose total is kept elsewhere."""
        return KeptTotal(self._registry, name, documentation, ("model", *labels))

    def gauge(self, name: str, documentation: str, *labels: str) -> Gauge:
        """Return a new gauge."""
        return Gauge(name, documentation, ("model", *labels), registry=self._registry)

    def histogram(self, name: str, documentation: str, buckets: tuple[float, ...], *labels: str) -> Histogram:
        """Return a new histogram."""
        return Histogram(name, documentation, ("model", *labels), registry=self._registry, buckets=buckets)

    def begin(self, prefix: str, model: str) -> None:
        """Show the counters whose name begins with *prefix*, at 0 where nothing was counted."""
        for name, made in self._counters.items():
            if name.startswith(prefix):
                for values in itertools.product(*self.bounds[name].values()):
                    made.labels(model, *values)
