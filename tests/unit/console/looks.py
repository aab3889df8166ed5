"""Looks at services that are not there."""

from __future__ import annotations

from typing import Any

from stream_ml.console.scrape import Look, Scrape


def seen(address: str, at: float, component: str, **values: Any) -> Scrape:
    """A service that says *values*: of model m, or (labels, value) pairs."""
    samples = {
        f"stream_ml_{component}_{name}": value
        if isinstance(value, list)
        else [({"model": "m"}, float(value))]
        for name, value in values.items()
    }
    return Scrape(address, at, component, "1.0", None, samples)


def look(*now: Scrape, before: tuple[Scrape, ...] = ()) -> Look:
    return Look(now, before)
