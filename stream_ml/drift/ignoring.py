"""Which statistics are not to be watched: a name that there is not would watch on in silence."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

from stream_ml.drift.statistics import DIRECTIONS
from stream_ml.errors import ConfigError


def ignored(names: Iterable[str]) -> frozenset[str]:
    """
    Return *names*, statistics as `DIRECTIONS` has them.

    Raises:
        ConfigError: there is no such statistic.
    """
    found = frozenset(names)
    for name in sorted(found - DIRECTIONS.keys()):
        near = difflib.get_close_matches(name.partition(":")[0], DIRECTIONS, n=1)
        hint = f"did you mean {near[0]!r}?" if near else f"known are {', '.join(sorted(DIRECTIONS))}"
        raise ConfigError(f"ignore: there is no statistic {name!r}; {hint}")
    return found
