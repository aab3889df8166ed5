"""A shard read whole while others push: pages, completed by what changed since the first."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, Protocol

from tests.property.sharing.events import Blob
from tests.property.sharing.functions import Answer, Changes, Fence, Page, Place, Request, Rows
from tests.property.sharing.world import World

ATTEMPTS = 4


class Read(NamedTuple):
    """A shard as of a version."""

    incarnation: int
    version: int
    rows: Rows
    fences: tuple[Fence, ...]
    blobs: dict[int, Blob]


class Asks(Protocol):
    """Who reads."""

    world: World

    def ask(self, place: Place, request: Request, answered: Callable[[Answer], None]) -> None:
        """Send a request to a shard."""

    def mend(self, place: Place, answer: Answer) -> None:
        """Do what an answer other than the hoped one asks for."""


class Reading:
    """Calls *done* with what it read; with None when the shard cannot be read now."""

    def __init__(self, asks: Asks, place: Place, done: Callable[[Read | None], None]) -> None:
        self.asks, self.place, self.done = asks, place, done
        self.rules = asks.world.rules
        self.attempts = 0
        self.begin()

    def begin(self) -> None:
        self.attempts += 1
        self.rows: Rows = {}
        self.first: Answer | None = None
        self.asks.ask(self.place, Page(0), self.paged)

    def paged(self, answer: Answer) -> None:
        if answer.kind != "page":
            self.give_up(answer)
            return
        self.first = self.first or answer
        if self.elsewhere(answer):
            self.again()
            return
        self.rows.update(answer.rows)
        if answer.cursor:
            self.asks.ask(self.place, Page(answer.cursor), self.paged)
        elif self.rules.a_reading_is_completed_by_changes:
            self.asks.ask(self.place, Changes(self.first.version), self.completed)
        else:
            self.finish(answer)

    def completed(self, answer: Answer) -> None:
        if answer.kind == "behind" or (answer.kind == "changes" and self.elsewhere(answer)):
            self.again()
        elif answer.kind != "changes":
            self.give_up(answer)
        else:
            self.rows.update(answer.rows)
            self.finish(answer)

    def elsewhere(self, answer: Answer) -> bool:
        """Whether another incarnation answered than the one that was begun with."""
        assert self.first is not None
        return answer.incarnation != self.first.incarnation and self.rules.a_reading_stays_in_one_incarnation

    def again(self) -> None:
        if self.attempts < ATTEMPTS:
            self.begin()
        else:
            self.done(None)

    def give_up(self, answer: Answer) -> None:
        self.asks.mend(self.place, answer)
        self.done(None)

    def finish(self, last: Answer) -> None:
        told = last if self.rules.rows_and_fences_come_in_one_call else self.first
        assert told is not None
        self.done(Read(last.incarnation, last.version, self.rows, told.fences, told.blobs))
