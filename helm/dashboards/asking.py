"""How dashboards ask: of the models and namespaces that were chosen, over the time between two points."""

from __future__ import annotations

from helm.dashboards.panels import Query

OF_MODEL = 'namespace=~"$namespace",model=~"$model"'
# The front and processes know no model.
OF_NAMESPACE = 'namespace=~"$namespace"'
# Grafana knows how often Prometheus scrapes, and how far apart the points of a curve are.
WINDOW = "[$__rate_interval]"


def newest(metric: str, by: str = "model", of: str = "max", where: str = OF_MODEL) -> Query:
    """Return the largest (*of*: or smallest, or sum) of a gauge."""
    return Query(f"{of} by ({by}) ({metric}{{{where}}})", _legend(by))


def since(metric: str, by: str = "model") -> Query:
    """Return the time since the newest of the instants."""
    return Query(f"time() - max by ({by}) ({metric}{{{OF_MODEL}}})", _legend(by))


def rate(counter: str, by: str = "model", where: str = OF_MODEL, legend: str = "") -> Query:
    """Return what is counted a second."""
    return Query(f"sum by ({by}) (rate({counter}{{{where}}}{WINDOW}))", legend or _legend(by))


def increase(counter: str, window: str = "1h", by: str = "model", legend: str = "") -> Query:
    """Return what was counted in *window*."""
    return Query(f"sum by ({by}) (increase({counter}{{{OF_MODEL}}}[{window}]))", legend or _legend(by))


def quantile(share: float, histogram: str, by: str = "model", where: str = OF_MODEL) -> Query:
    """Return what *share* of the observations are below, of all processes together."""
    buckets = f"sum by ({', '.join(filter(None, ('le', by)))}) (rate({histogram}_bucket{{{where}}}{WINDOW}))"
    named = ", ".join(filter(None, (_legend(by), f"p{100 * share:g}")))
    return Query(f"histogram_quantile({share}, {buckets})", named)


def mean(total: str, events: str, legend: str) -> Query:
    """Return the rate of *total* for each of the *events*."""
    above, below = rate(total).expression, rate(events).expression
    return Query(f"{above} / {below}", legend)


def _legend(by: str) -> str:
    return ", ".join(f"{{{{{label.strip()}}}}}" for label in by.split(",") if label.strip())
