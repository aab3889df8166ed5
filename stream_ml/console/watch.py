"""What the page shows, gathered by two threads: one looks at the services, one follows the topics."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from types import TracebackType
from typing import Any, Self

from stream_ml.console.live import Live, figures, sample
from stream_ml.console.model import ModelTopics
from stream_ml.console.problems import Problem, problems
from stream_ml.console.scrape import Look, Scrape, scrape
from stream_ml.runtime.clock import Clock, SystemClock
from stream_ml.streams.log import Log

log = logging.getLogger(__name__)

LOOK_SECONDS = 2.0
FOLLOW_SECONDS = 0.5


@dataclass(frozen=True, slots=True)
class Watched:
    """
    What to look at.

    Attributes:
        models: their names.
        services: operator ports, host:port, of learners, predictors and whoever else is to be seen.
    """

    models: tuple[str, ...]
    services: tuple[str, ...]


class Watch:
    """Gathers while it is entered; `said` may be asked from any thread."""

    def __init__(self, watched: Watched, log: Log, clock: Clock | None = None) -> None:
        self.watched = watched
        self._log, self._clock = log, clock or SystemClock()
        self._live = {model: Live() for model in watched.models}
        self._topics = {model: ModelTopics(log, model) for model in watched.models}
        # What each thread gathered last; replaced as a whole, so that nobody waits for a thread that waits.
        self._look = Look(())
        self._curves = {model: live.columns() for model, live in self._live.items()}
        self._told = {model: topics.said() for model, topics in self._topics.items()}
        self._unread: dict[str, str | None] = dict.fromkeys(watched.models)
        # By thread: what it could not do at last. What it gathered before would pass for new.
        self._failed: dict[str, str] = {}
        self._ending = threading.Event()
        self._threads = [
            threading.Thread(
                target=self._repeat, args=(name, what, seconds), name=f"console-{name}", daemon=True
            )
            for name, what, seconds in (
                ("look", self.look, LOOK_SECONDS),
                ("follow", self.follow, FOLLOW_SECONDS),
            )
        ]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ending.set()
        for thread in self._threads:
            thread.join()
        for topics in self._topics.values():
            topics.close()

    def _repeat(self, name: str, what: Callable[[], None], seconds: float) -> None:
        while not self._ending.is_set():
            self.attempt(name, what)
            self._ending.wait(seconds)

    def attempt(self, name: str, what: Callable[[], None]) -> None:
        """Do *what*; whatever it fails of is told on the page, and tried again."""
        try:
            what()
        except Exception as error:
            log.exception("the console could not %s", name)
            self._failed[name] = f"{type(error).__name__}: {error}"
        else:
            self._failed.pop(name, None)

    def look(self) -> None:
        """Look at all services once."""
        now, services = self._clock.now(), self.watched.services
        # A service that hangs must not hold up what the others say.
        with ThreadPoolExecutor(max(1, len(services))) as pool:
            seen = tuple(pool.map(lambda address: scrape(address, self._clock.now), services))
        self._look = Look(seen, self._look.now)
        for model, live in self._live.items():
            live.take(now, sample(model, self._look))
            self._curves[model] = live.columns()

    def follow(self) -> None:
        """Take in what came to the topics."""
        found = {model: topics.poll() for model, topics in self._topics.items()}
        self._told = {model: topics.said() for model, topics in self._topics.items()}
        self._unread = found

    def said(self, model: str) -> dict[str, Any]:
        """Return all that there is to say of *model*, for JSON."""
        look = self._look
        now = figures(model, look)
        return {
            "now": self._clock.now(),
            "models": self.watched.models,
            "model": model,
            "figures": now,
            "problems": [
                asdict(each)
                for each in [
                    *map(_failed, self._failed.copy().values()),
                    *problems(now, look.now, self._unread[model]),
                ]
            ],
            "services": [_service(each) for each in look.now],
            "live": self._curves[model],
            **self._told[model],
        }


def _failed(why: str) -> Problem:
    return Problem("bad", f"The console itself fails; what it shows is old: {why}", "its log says more")


def _service(seen: Scrape) -> dict[str, Any]:
    return {
        "address": seen.address,
        "component": seen.component,
        "version": seen.version,
        "problem": seen.problem,
    }
