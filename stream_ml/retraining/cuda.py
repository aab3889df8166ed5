"""
Challengers on a GPU: rows of 32 side by side, a lane a challenger, a warp an event.

The same interface as `_native.Challengers`, which scans and orders the events here, too; begins cold only.
Within a warp the lanes do not meet: each has its own column of every row. Several warps learn at once and may
overwrite the change of a row they share (as Hogwild does), so with more than one the figures are near
those of the CPU, not equal; *warps* = 1 has no such races.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stream_ml._native import Ordered, Ordering, Plan, score_state
from stream_ml.errors import ConfigError
from stream_ml.features import CompiledModel
from stream_ml.retraining.challengers import NativeSetting
from stream_ml.retraining.cuda_figures import Compared, Judged, Open

LANES = 32
# Warps of a block of threads; all warps together are *warps*.
_BLOCK_WARPS = 8
_FIRST_LINES = 1 << 16

Range = tuple[int, Sequence[bytes | None], Sequence[int]]
Floats = NDArray[np.float32]


def is_there() -> bool:
    """Whether a GPU can be reached (or its simulator)."""
    try:
        from numba import cuda
    except (ImportError, RuntimeError):  # the second: its own libraries are not all there
        return False
    return bool(cuda.is_available())


def can_learn(model: CompiledModel) -> bool:
    """Whether the kernel has the model's loss and optimizer."""
    learner = model.model_file.learner
    return (learner.loss, learner.optimizer) == ("logistic", "ftrl")


class CudaChallengers:
    """As `_native.Challengers`, for logistic loss and FTRL; one call at a time."""

    def __init__(
        self,
        model: CompiledModel,
        settings: Sequence[NativeSetting],
        *,
        block_examples: int = 1000,
        warps: int = 512,
    ) -> None:
        """
        Begin with no rows.

        Args:
            warps: events that are learned at the same time.

        Raises:
            ConfigError: another loss or optimizer than the kernel has.
        """
        learner = model.model_file.learner
        if not can_learn(model):
            raise ConfigError(
                'challengers on a GPU are logistic ones with ftrl; device = "cpu" has the others'
            )
        self._model, self._count = model, len(settings)
        self._order = Ordering(Plan(model.plan_bytes), slots=any(one[5] is not None for one in settings))
        self._groups = [
            _Group(settings[at : at + LANES], len(model.slots), warps)
            for at in range(0, len(settings), LANES)
        ]
        self._firsts = [one[6] for one in settings]
        self._rates = {
            first: _BaseRates(learner.base_rate, learner.base_rate_events, first) for first in self._firsts
        }
        self._open = Open(block_examples, len(settings))

    def learn(self, ranges: Sequence[Range]) -> list[Compared]:
        """Learn ranges as a Learner does; return the blocks that closed."""
        work = _Work(self._order.order(ranges))
        if not len(work.first):
            return []
        bases = {first: rates.of(work) for first, rates in self._rates.items()}
        for group in self._groups:
            group.reserve(self._order.features + 1)
        figures = [group.learn(work, bases) for group in self._groups]
        losses, predictions = (np.concatenate(each, axis=1) for each in zip(*figures, strict=True))
        judged = work.judges != 0
        said = Judged(
            label=work.label[judged].astype(np.float64),
            importance=work.importance[judged].astype(np.float64),
            places=work.segments[judged],
            losses=losses[judged, : self._count],
            predictions=predictions[judged, : self._count],
        )
        return self._open.add(said, self._order.segments, self.watermark_us)

    def begin_histograms(self) -> None:
        """As of `_native.Challengers`."""
        self._open.histograms.begin(between=self._open.is_empty)

    def histogram(self, challenger: int) -> tuple[list[float], list[float], list[float]]:
        """As of `_native.Challengers`."""
        return self._open.histograms.of(challenger)

    @property
    def watermark_us(self) -> int:
        """The latest event time learned."""
        return self._order.watermark_us

    @property
    def features(self) -> int:
        """Features that have rows."""
        return self._order.features

    def counts(self) -> dict[str, int]:
        """Return records learned duplicates refused skipped empty so far."""
        return self._order.counts()

    def rows(self, challenger: int, first: int, count: int) -> bytes:
        """Return a challenger's rows of *count* features from number *first* on; zero rows are left out."""
        ids = np.frombuffer(self._order.ids, np.uint64)[1 + first : 1 + first + count]
        z, n = self._groups[challenger // LANES].columns(challenger % LANES, 1 + first, len(ids))
        rows = np.empty(len(ids), dtype=[("id", "<u8"), ("z", "<f4"), ("n", "<f4")])
        rows["id"], rows["z"], rows["n"] = ids, z, n
        some: bytes = rows[(z != 0) | (n != 0)].tobytes()
        return some

    def score_state(self, challenger: int) -> bytes:
        """Return what a score of the challenger needs beside rows."""
        bias = self._groups[challenger // LANES].bias_of(challenger % LANES)
        rates = self._rates[self._firsts[challenger]]
        reserved = np.array([*bias, *rates.sums(), rates.examples, 0], np.float32)
        state: bytes = score_state(Plan(self._model.plan_bytes), reserved.tobytes(), self.watermark_us)
        return state


class _Work:
    """Columns of what is to be done."""

    def __init__(self, ordered: Ordered) -> None:
        self.judges = np.frombuffer(ordered.judges, np.uint8)
        self.learns = np.frombuffer(ordered.learns, np.uint8)
        self.first = np.frombuffer(ordered.first, np.uint32)
        self.end = np.frombuffer(ordered.end, np.uint32)
        self.segments = np.frombuffer(ordered.segments, np.uint8)
        self.label = np.frombuffer(ordered.label, np.float32)
        self.importance = np.frombuffer(ordered.importance, np.float32)
        self.number = np.frombuffer(ordered.number, np.uint64).astype(np.int64)
        self.lines = np.frombuffer(ordered.lines, np.uint32)
        self.values = np.frombuffer(ordered.values, np.float32)
        slots = np.frombuffer(ordered.slots, np.uint16)
        self.slots = slots if len(slots) else np.zeros(len(self.lines), np.uint16)


class _BaseRates:
    """The score that who learns from *first* on begins with: known, or that of his first examples."""

    def __init__(self, known: float | None, events: int, first: int) -> None:
        self._known, self._events, self._first = known, events, first
        self.examples, self._importance, self._labels = 0, 0.0, 0.0

    def sums(self) -> tuple[float, float]:
        return self._labels, self._importance

    def of(self, work: _Work) -> Floats:
        """Return the base of each example, and count those that are learned."""
        if self._known is not None:
            return np.full(len(work.first), math.log(self._known / (1 - self._known)), np.float32)
        bases = np.empty(len(work.first), np.float32)
        for at in range(len(bases)):
            if self.examples >= self._events:
                bases[at:] = self._base()
                break
            bases[at] = self._base()
            if work.learns[at] and work.number[at] >= self._first:
                weight = float(work.importance[at])
                self.examples += 1
                self._importance += weight
                self._labels += weight * float(work.label[at])
        return bases

    def _base(self) -> float:
        """With half an event of each kind added, as the learner has it."""
        rate = (self._labels + 0.5) / (self._importance + 1.0)
        return math.log(rate / (1 - rate))


class _Group:
    """Rows of up to 32 challengers in the device's memory."""

    def __init__(self, settings: Sequence[NativeSetting], slots: int, warps: int) -> None:
        from numba import cuda

        self._cuda, self._warps = cuda, warps
        padded = [*settings, *[settings[-1]] * (LANES - len(settings))]
        alpha, beta, l1, l2, decay = (np.array([one[at] for one in padded], np.float32) for at in range(5))
        self._settings = cuda.to_device(np.stack([np.float32(1) / alpha, beta, l1, l2, decay]))
        self._firsts = [one[6] for one in padded]
        self._begins = cuda.to_device(np.array(self._firsts, np.int64))
        masks = np.array([[one[5] is None or slot in one[5] for one in padded] for slot in range(slots)])
        self._masks = cuda.to_device(masks.astype(np.float32))
        self._bias = cuda.to_device(np.zeros((2, LANES), np.float32))
        self._z, self._n = (cuda.to_device(np.zeros((_FIRST_LINES, LANES), np.float32)) for _ in range(2))

    def reserve(self, lines: int) -> None:
        """Have room for *lines*; twice as many, where more are wanted than there is room for."""
        room = self._z.shape[0]
        if lines <= room:
            return
        self._z, self._n = (self._grown(rows, 2 * max(room, lines)) for rows in (self._z, self._n))

    def _grown(self, rows: Any, room: int) -> Any:
        larger = self._cuda.to_device(np.zeros((room, LANES), np.float32))
        larger[: rows.shape[0]].copy_to_device(rows)
        return larger

    def learn(
        self, work: _Work, bases: Mapping[int, Floats]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return loss and prediction of each example and lane."""
        from stream_ml.retraining.cuda_kernel import learn

        put, count = self._cuda.to_device, len(work.first)
        losses, predictions = (put(np.zeros((count, LANES))) for _ in range(2))
        most = int((work.end - work.first).max())
        scratch = put(np.zeros((self._warps, max(most, 1), LANES), np.float32))
        columns = (work.first, work.end, work.label, work.importance, work.number, work.judges, work.learns)
        blocks = max(1, self._warps // _BLOCK_WARPS)
        threads = LANES, min(self._warps, _BLOCK_WARPS)
        learn[blocks, threads](
            *(put(np.ascontiguousarray(column)) for column in columns),
            put(np.ascontiguousarray(work.lines)),
            put(np.ascontiguousarray(work.values)),
            put(np.ascontiguousarray(work.slots)),
            put(np.stack([bases[first] for first in self._firsts], axis=1)),
            self._settings,
            self._begins,
            self._masks,
            self._z,
            self._n,
            self._bias,
            scratch,
            losses,
            predictions,
        )
        return losses.copy_to_host(), predictions.copy_to_host()

    def columns(self, lane: int, first: int, count: int) -> tuple[Floats, Floats]:
        z, n = (rows[first : first + count].copy_to_host()[:, lane] for rows in (self._z, self._n))
        return z, n

    def bias_of(self, lane: int) -> tuple[float, float]:
        z, n = self._bias.copy_to_host()[:, lane]
        return float(z), float(n)
