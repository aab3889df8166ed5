"""
Training: champion and challengers learn the same events in one pass, and are compared after the cut.

All learn up to the end: before the cut to be trained, after it because the champion goes on learning, too.
A run that is killed begins again: the same events give the same bits.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Literal, Protocol

import numpy as np

from stream_ml._native import Challengers, ComparedBlock, Plan
from stream_ml.errors import ConfigError
from stream_ml.features import CompiledModel
from stream_ml.retraining.blocks import Blocks, Slice, Sums, slice_name
from stream_ml.retraining.challengers import Challenger, NativeSetting
from stream_ml.retraining.confidence import Array
from stream_ml.retraining.cuda import CudaChallengers, can_learn, is_there
from stream_ml.retraining.cuda_figures import Compared
from stream_ml.retraining.jobs import CHAMPION
from stream_ml.retraining.plots import Histogram

Device = Literal["auto", "cpu", "cuda"]
Core = Challengers | CudaChallengers
Tell = Callable[[float, str], None]
# Enough for several threads, few enough for a sign of life every second.
EVENTS_A_CALL = 20_000
_UNKNOWN_TIME = -1
_ROWS_A_PIECE = 1 << 20
# The gate says nothing before 32 blocks, and takes their sums for normal.
_BLOCKS, _SMALLEST_BLOCK, _LARGEST_BLOCK = 100, 50, 500


class Base(Protocol):
    """What warm challengers begin with: a snapshot's plan, rows and score state."""

    @property
    def plan(self) -> Plan:
        """Of the learner that left them."""
        ...

    @property
    def score_state(self) -> bytes:
        """What a score needs beside rows."""
        ...

    def rows(self) -> Iterable[bytes]:
        """Yield all rows, in the wire format."""


@dataclass(frozen=True, slots=True)
class Part:
    """
    How the events are divided.

    Attributes:
        events: of all; `training`: of them the first, before the cut.
        block: compared events that are summed together.
    """

    events: int
    training: int
    block: int = 500

    def __post_init__(self) -> None:
        if not 0 < self.training < self.events:
            raise ConfigError(f"{self.training} of {self.events} events to train on leave none to compare")

    @classmethod
    def of(cls, events: int, train_share: float) -> Part:
        """Return the parts of *events*, with about a hundred blocks to compare."""
        training = int(events * train_share)
        return cls(
            events, training, max(_SMALLEST_BLOCK, min(_LARGEST_BLOCK, (events - training) // _BLOCKS))
        )


class Trained:
    """
    What training gives.

    Attributes:
        blocks: of the compared part; the first challenger is its champion.
        histograms: of the same events, by name; of models whose scores are no log-odds there are none.
        counts: events learned, repeated, refused and so on.
    """

    def __init__(
        self, core: Core, compared: Sequence[ComparedBlock | Compared], names: Sequence[str]
    ) -> None:
        self._core, self._names = core, list(names)
        self.blocks = _blocks(compared, self._names)
        self.histograms = _histograms(core, self._names)
        self.counts = core.counts()

    def histograms_of(self, champion: str) -> dict[str, Histogram]:
        """Return them with *champion* for the name of who keeps learning."""
        return {champion if name == CHAMPION else name: of for name, of in self.histograms.items()}

    def rows(self, name: str) -> Iterator[bytes]:
        """Yield a challenger's rows, in the wire format."""
        at = self._names.index(name)
        for first in range(0, self._core.features, _ROWS_A_PIECE):
            yield self._core.rows(at, first, _ROWS_A_PIECE)

    def score_state(self, name: str) -> bytes:
        """Return what a score of the challenger needs beside rows."""
        return self._core.score_state(self._names.index(name))


def train(
    model: CompiledModel,
    events: Iterable[bytes],
    part: Part,
    challengers: Sequence[Challenger],
    *,
    base: Base | None = None,
    threads: int = 2,
    device: Device = "cpu",
    tell: Tell = lambda progress, doing: None,
) -> Trained:
    """
    Let *challengers*, the champion first, learn *events*; each event is scored before it is learned.

    Args:
        device: "auto" takes a GPU where there is one that can do it: logistic ftrl, begun cold.

    Raises:
        ConfigError: nothing is left to compare, settings that no model can have, or a GPU that is not there.
    """
    settings = [each.native(model, part.training) for each in challengers]
    if _on_gpu(device, model, base):
        core: Core = CudaChallengers(model, settings, block_examples=part.block)
    else:
        core = _core(model, part, settings, threads)
    if base is not None and isinstance(core, Challengers):
        _warm(core, base, [at for at, each in enumerate(challengers) if each.warm])
    rest, done, cut = iter(events), 0, 0
    compared: list[ComparedBlock | Compared] = []
    while batch := list(islice(rest, _size(done, part))):
        if done == part.training:
            cut = core.counts()["learned"]
            core.begin_histograms()
        blocks = core.learn([(0, batch, [_UNKNOWN_TIME] * len(batch))])
        if done >= part.training:
            # A block that began before the cut is left out.
            compared += [block for block in blocks if block.first >= cut]
        done += len(batch)
        tell(done / max(part.events, done), f"{len(challengers)} challengers have learned {done:,} events")
    if not compared:
        counts = ", ".join(f"{count:,} {name}" for name, count in core.counts().items() if count)
        raise ConfigError(
            f"{done:,} events leave no block of {part.block:,} to compare: {counts or 'nothing was read'}"
        )
    return Trained(core, compared, [each.name for each in challengers])


def _on_gpu(device: Device, model: CompiledModel, base: Base | None) -> bool:
    if device == "cuda" and not is_there():
        raise ConfigError("no GPU can be reached\n  hint: pip install stream-ml[gpu]; device cpu needs none")
    if device == "cuda" and base is not None:
        raise ConfigError("a GPU's challengers begin cold\n  hint: device cpu begins warm")
    return device == "cuda" or (device == "auto" and base is None and can_learn(model) and is_there())


def _size(done: int, part: Part) -> int:
    """Return how many events come next; a call ends at the cut."""
    return min(EVENTS_A_CALL, part.training - done) if done < part.training else EVENTS_A_CALL


def _core(model: CompiledModel, part: Part, settings: Sequence[NativeSetting], threads: int) -> Challengers:
    try:
        return Challengers(Plan(model.plan_bytes), settings, threads=threads, block_examples=part.block)
    except ValueError as error:
        raise ConfigError(f"challengers: {error}") from error


def _warm(core: Challengers, base: Base, warm: Sequence[int]) -> None:
    if warm:
        for rows in base.rows():
            core.load_rows(warm, base.plan, rows)
        core.load_score_state(warm, base.plan, base.score_state)


def _blocks(compared: Sequence[ComparedBlock | Compared], names: Sequence[str]) -> Blocks:
    losses = np.array([block.loss_sums for block in compared], dtype=np.float64)
    predictions = np.array([block.prediction_sums for block in compared], dtype=np.float64)
    shares, by_slice = _slices(compared, len(names))
    champion, *others = (
        Sums(losses[:, at], predictions[:, at], {key: of[:, at] for key, of in by_slice.items()})
        for at in range(len(names))
    )
    return Blocks(
        examples=np.array([block.end - block.first for block in compared], dtype=np.float64),
        importance=np.array([block.importance_sum for block in compared], dtype=np.float64),
        labels=np.array([block.label_sum for block in compared], dtype=np.float64),
        champion=champion,
        challengers=dict(zip(names[1:], others, strict=True)),
        slices=shares,
    )


def _slices(
    compared: Sequence[ComparedBlock | Compared], count: int
) -> tuple[dict[str, Slice], dict[str, Array]]:
    """Return each slice's part of the blocks, and the losses of everyone, shape (blocks, count)."""
    shares: dict[str, Slice] = {}
    losses: dict[str, Array] = {}
    for at, block in enumerate(compared):
        for segment, examples, importance, sums in block.segments:
            name = slice_name(segment)
            if name not in shares:
                shares[name] = Slice(np.zeros(len(compared)), np.zeros(len(compared)))
                losses[name] = np.zeros((len(compared), count))
            shares[name].examples[at], shares[name].importance[at] = examples, importance
            losses[name][at] = sums
    return shares, losses


def _histograms(core: Core, names: Sequence[str]) -> dict[str, Histogram]:
    found = ((name, core.histogram(at)) for at, name in enumerate(names))
    return {name: Histogram(*map(np.array, sums)) for name, sums in found if sums is not None}
