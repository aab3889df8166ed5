"""A learner small enough to run a million times: order matters, and its state is more than its rows."""

from __future__ import annotations

from typing import NamedTuple

KEYS = 4
WINDOW = 2
EVALUATE_EVERY = 3
PARTITIONS = 2


class Output(NamedTuple):
    """A dead letter or an evaluation: what a repeat is known by, and what it says."""

    key: tuple[str, int, int]
    content: int


class Image(NamedTuple):
    """A learner's whole state as of a step."""

    step: int
    offsets: tuple[int, ...]
    rows: tuple[tuple[int, int], ...]
    bias: int
    windows: tuple[tuple[int, ...], ...]
    counts: tuple[int, int, int]
    evaluation: int


class Batches:
    """Learns events (small integers; None is a hole in the log) in the order of the ranges."""

    __slots__ = ("bias", "dead", "duplicates", "evaluation", "learned", "offsets", "rows", "step", "windows")

    def __init__(self) -> None:
        self.step = 0
        self.offsets = [0] * PARTITIONS
        self.rows: dict[int, int] = {}
        self.bias = 1
        self.windows: list[tuple[int, ...]] = [()] * PARTITIONS
        self.learned = self.duplicates = self.dead = self.evaluation = 0

    def image(self) -> Image:
        rows = tuple(sorted(self.rows.items()))
        counts = (self.learned, self.duplicates, self.dead)
        offsets, windows = tuple(self.offsets), tuple(self.windows)
        return Image(self.step, offsets, rows, self.bias, windows, counts, self.evaluation)

    @classmethod
    def of(cls, image: Image) -> Batches:
        made = cls()
        made.step, made.offsets, made.rows = image.step, list(image.offsets), dict(image.rows)
        made.bias, made.windows, made.evaluation = image.bias, list(image.windows), image.evaluation
        made.learned, made.duplicates, made.dead = image.counts
        return made

    def learn(self, partition: int, first: int, events: list[int | None]) -> tuple[set[int], list[Output]]:
        """Learn one range; return the keys it touched and what it puts out."""
        touched: set[int] = set()
        outputs: list[Output] = []
        for offset, event in enumerate(events, start=first):
            if event is None:
                continue
            if event % 5 == 0:
                self.dead += 1
                outputs.append(Output(("dead letter", partition, offset), event))
                continue
            window = self.windows[partition]
            self.windows[partition] = (*window, event)[-WINDOW:]
            if event in window:
                self.duplicates += 1
                continue
            touched.add(self._update(event))
            if self.learned % EVALUATE_EVERY == 0:
                outputs.append(Output(("evaluation", 0, self.learned // EVALUATE_EVERY), self.evaluation))
                self.evaluation = 0
        self.offsets[partition] = first + len(events)
        return touched, outputs

    def _update(self, event: int) -> int:
        key = event % KEYS
        if event // KEYS % 3 == 0:
            self.rows.pop(key, None)
        else:
            self.rows[key] = (self.rows.get(key, 0) * 31 + event + self.bias) & 0xFFFF
        self.bias = (self.bias * 17 + event) & 0xFFFF
        self.learned += 1
        self.evaluation += self.bias
        return key
