"""What a service says on its operator port, and how much it grew between two looks."""

from __future__ import annotations

import urllib.error
import urllib.request
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from http.client import HTTPException
from time import monotonic

from prometheus_client.parser import text_string_to_metric_families

_TIMEOUT_SECONDS = 2.0
# Of a process that is none of ours: more than any of ours says.
_MOST_BYTES = 16 << 20
_PIECE_BYTES = 1 << 16


@dataclass(frozen=True, slots=True)
class Scrape:
    """
    One look at a service.

    Attributes:
        at: unix seconds.
        component: folder of services; "" where it does not answer.
        problem: why it is not ready, or does not answer; None if all is well.
        samples: by name, labels and value each.
    """

    address: str
    at: float
    component: str = ""
    version: str = ""
    problem: str | None = None
    samples: dict[str, list[tuple[dict[str, str], float]]] = field(default_factory=dict)

    @property
    def answers(self) -> bool:
        """Whether it is one of ours, and there."""
        return self.component != ""

    def values(self, name: str, **labels: str) -> Iterator[float]:
        """Yield every value of *name* whose labels include *labels*."""
        for its, value in self.samples.get(name, ()):
            if labels.items() <= its.items():
                yield value


def scrape(address: str, now: Callable[[], float]) -> Scrape:
    """Look at the service at *address*, host:port, by the clock *now*."""
    at = now()
    try:
        text = _get(f"http://{address}/metrics")
        # What it says is older than its answer, so nothing that it says is of a time to come.
        at = now()
        samples = _samples(text)
        problem = _unready(address)
    except urllib.error.HTTPError as error:
        with error:
            return Scrape(address, at, problem=f"answers {error.code} instead of its metrics")
    except (OSError, ValueError, HTTPException) as error:
        return Scrape(address, at, problem=f"does not answer: {getattr(error, 'reason', error)}")
    for labels, _ in samples.get("stream_ml_build_info", ()):
        return Scrape(address, at, labels.get("component", ""), labels.get("version", ""), problem, samples)
    return Scrape(address, at, problem="is no service of stream-ml")


def _get(url: str) -> str:
    """Return what is answered; all of it within the timeout, however it is cut."""
    end, body = monotonic() + _TIMEOUT_SECONDS, bytearray()
    with urllib.request.urlopen(url, timeout=_TIMEOUT_SECONDS) as answer:
        while len(body) < _MOST_BYTES and (piece := answer.read1(_PIECE_BYTES)):
            body += piece
            if monotonic() > end:
                raise TimeoutError(f"{len(body):,} bytes after {_TIMEOUT_SECONDS:g} s, and not all")
    return body.decode()


def _unready(address: str) -> str | None:
    try:
        _get(f"http://{address}/readyz")
    except urllib.error.HTTPError as error:
        with error:
            return f"is not ready: {error.read(1_000).decode(errors='replace').strip()}"
    return None


def _samples(text: str) -> dict[str, list[tuple[dict[str, str], float]]]:
    found: dict[str, list[tuple[dict[str, str], float]]] = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            found.setdefault(sample.name, []).append((sample.labels, sample.value))
    return found


@dataclass(frozen=True, slots=True)
class Look:
    """All services at one moment, and the same a moment earlier."""

    now: tuple[Scrape, ...]
    before: tuple[Scrape, ...] = ()

    def values(self, name: str, **labels: str) -> list[float]:
        """Return every value of *name*, of whatever service."""
        return [value for each in self.now for value in each.values(name, **labels)]

    def growth(self, name: str, **labels: str) -> float | None:
        """Return by how much the counters *name* grew together, a second; None where that is unknown."""
        grown = list(self._grown(name, labels))
        seconds = max((seconds for _, seconds in grown), default=0.0)
        return sum(more for more, _ in grown) / seconds if seconds > 0 else None

    def mean(self, histogram: str, **labels: str) -> float | None:
        """Return the mean of what *histogram* observed meanwhile; None where it observed nothing."""
        total, count = (self.growth(f"{histogram}_{part}", **labels) for part in ("sum", "count"))
        return total / count if total is not None and count else None

    def _grown(self, name: str, labels: dict[str, str]) -> Iterable[tuple[float, float]]:
        """Yield the growth and the seconds of each service that was there before, and is the same process."""
        earlier = {each.address: each for each in self.before}
        for each in self.now:
            then = earlier.get(each.address)
            new, old = (list(look.values(name, **labels)) if look else [] for look in (each, then))
            if then is not None and new and old and sum(new) >= sum(old):
                yield sum(new) - sum(old), each.at - then.at
