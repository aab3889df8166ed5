"""What is learned, with an optimizer that counts: dz = 1 an occurrence. And what is true of any offset."""

from __future__ import annotations

from collections import Counter
from functools import cache
from random import Random
from typing import NamedTuple

PARTITIONS = 2
EVENTS = 9
KEYS = 6
WINDOW = 3
EVALUATE_EVERY = 2

Event = int | None


class Output(NamedTuple):
    """A dead letter or an evaluation: what a repeat is known by, and what it says."""

    key: tuple[str, int, int]
    content: int


class Blob(NamedTuple):
    """
    What a partition's home shard holds beside rows, as of its fence.

    Attributes:
        pending: evaluations that were closed and are not known to be acknowledged.
    """

    learned: int = 0
    duplicates: int = 0
    dead: int = 0
    open: int = 0
    pending: tuple[Output, ...] = ()

    @property
    def counts(self) -> tuple[int, int, int, int]:
        return self.learned, self.duplicates, self.dead, self.open


class Learned(NamedTuple):
    """What a range does: occurrences by key, the blob after it, and the dead letters."""

    rows: Counter[int]
    blob: Blob
    letters: list[Output]


def refused(event: Event) -> bool:
    return event is not None and event % 5 == 0


def keys_of(event: int) -> tuple[int, int]:
    return event % KEYS, event // KEYS % KEYS


def window_before(events: list[Event], offset: int, accepted_only: bool = True) -> list[int]:
    """Read back until the window is full: the last *accepted* events, learned or duplicate."""
    window: list[int] = []
    for event in reversed(events[:offset]):
        if len(window) == WINDOW:
            break
        if event is not None and not (accepted_only and refused(event)):
            window.insert(0, event)
    return window


def learn(
    partition: int, first: int, events: list[Event], window: list[int], blob: Blob, by_rule: bool = True
) -> Learned:
    """Learn the records from *first* on; *by_rule* False lets refused ones into the window."""
    rows: Counter[int] = Counter()
    letters: list[Output] = []
    for offset, event in enumerate(events, start=first):
        if event is None:
            continue
        if refused(event):
            letters.append(Output(("dead letter", partition, offset), event))
            blob = blob._replace(dead=blob.dead + 1)
            if not by_rule:
                window = [*window, event][-WINDOW:]
            continue
        known = event in window
        window = [*window, event][-WINDOW:]
        if known:
            blob = blob._replace(duplicates=blob.duplicates + 1)
        else:
            rows.update(keys_of(event))
            blob = _counted(partition, blob, event)
    return Learned(rows, blob, letters)


def _counted(partition: int, blob: Blob, event: int) -> Blob:
    blob = blob._replace(learned=blob.learned + 1, open=blob.open + event)
    if blob.learned % EVALUATE_EVERY:
        return blob
    closed = Output(("evaluation", partition, blob.learned // EVALUATE_EVERY), blob.open)
    return blob._replace(open=0, pending=(*blob.pending, closed))


class Prefix(NamedTuple):
    """What is true once everything below an offset of a partition was learned once."""

    rows: Counter[int]
    blob: Blob


@cache
def truth(partition: int, events: tuple[Event, ...]) -> tuple[list[Prefix], dict[tuple[str, int, int], int]]:
    """Return the prefix at each offset, and all outputs by key."""
    learned = [learn(partition, 0, list(events[:end]), [], Blob()) for end in range(len(events) + 1)]
    outputs = {output.key: output.content for output in (*learned[-1].letters, *learned[-1].blob.pending)}
    return [Prefix(result.rows, result.blob) for result in learned], outputs


def random_events(dice: Random) -> list[Event]:
    """Good and bad events, repeats near and far, and holes; the last offset is always a record."""
    events: list[Event] = []
    for at in range(EVENTS):
        chance = dice.random()
        known = [event for event in events[-4:] if event is not None]
        if chance < 0.1 and at < EVENTS - 1:
            events.append(None)
        elif chance < 0.4 and known:
            events.append(known[int(dice.random() * len(known))])
        else:
            events.append(1 + int(dice.random() * 40))
    return events
