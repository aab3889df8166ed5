"""`loadtest retrain --device cuda`: 32 challengers on a GPU, against the CPU over the same events."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np

from loadtest import ours
from loadtest.isolation import Watch
from loadtest.model import model_file
from loadtest.report import Report
from loadtest.retrain_contestants import BLOCK_EXAMPLES
from loadtest.stream import Stream
from stream_ml._native import Challengers, Ordering, Plan
from stream_ml.errors import ConfigError
from stream_ml.features.plan import compile_model
from stream_ml.retraining.challengers import NativeSetting
from stream_ml.retraining.cuda import LANES, CudaChallengers, is_there
from stream_ml.retraining.cuda_figures import Compared

ALPHAS, L1S, L2S, DECAYS = (0.1, 0.05, 0.2, 0.03), (0.0, 0.5), (0.0, 1.0), (1.0, 0.9999)
GRID: tuple[NativeSetting, ...] = tuple(
    (alpha, 1.0, l1, l2, decay, None, 0) for decay, l1, l2, alpha in product(DECAYS, L1S, L2S, ALPHAS)
)
# z and n of all lanes, read and written.
BYTES_A_FEATURE = 2 * 2 * 4 * LANES
COPIES = 10
METHOD = (
    "32 settings of FTRL (alpha × l1 × l2 × decay) learn the same generated events (13 numbers, 26 "
    "categories of up to 10 M values, Zipf 1.1) on the CPU, then on the GPU. Timed from the first byte read "
    "to the last row updated, scan and order on one thread of the CPU included; the GPU's part is what is "
    "left without them. Bandwidth: bytes of rows to be read and written, against a copy on the device."
)
BARS = {"logloss_difference": "≤ 0.001"}


@dataclass(frozen=True, slots=True)
class Size:
    """How much a run does."""

    events: int
    warps: int
    copied_bytes: int
    block: int = BLOCK_EXAMPLES


FULL = Size(events=2_000_000, warps=2_048, copied_bytes=1 << 30)
QUICK = Size(events=200_000, warps=512, copied_bytes=1 << 28)


def run(quick: bool, seed: int) -> Report:
    """
    Learn on both, and compare.

    Raises:
        ConfigError: there is no GPU.
    """
    if not is_there():
        raise ConfigError("no GPU can be reached\n  hint: retrain without --device cuda measures the CPU")
    size = QUICK if quick else FULL
    path = Stream(size.events, seed=seed).path()
    model = compile_model(model_file())
    cpu_losses, cpu_seconds = _cpu(path, Plan(model.plan_bytes), size)
    many = CudaChallengers(model, GRID, block_examples=size.block, warps=size.warps)
    many.learn(_first(path))  # compiles the kernel
    many = CudaChallengers(model, GRID, block_examples=size.block, warps=size.warps)
    watch = Watch()
    blocks = [block for records in _calls(path) for block in many.learn(records)]
    seconds, _ = watch.read()
    ordering, features = _ordering(path, Plan(model.plan_bytes))
    gpu_seconds = max(seconds - ordering, 1e-9)
    losses = _losses(blocks)
    figures: dict[str, Any] = {
        "events": size.events,
        "challengers": len(GRID),
        "warps": size.warps,
        "events_per_second": round(size.events / seconds),
        "challenger_events_per_second": round(len(GRID) * size.events / seconds),
        "gpu_challenger_events_per_second": round(len(GRID) * size.events / gpu_seconds),
        "bandwidth_share": features * BYTES_A_FEATURE / gpu_seconds / _copy_rate(size),
        "ratio_cpu": cpu_seconds / seconds,
        "logloss_difference": float(np.abs(losses / cpu_losses - 1).max()),
        "device": _device(),
    }
    return Report("retrain-cuda", METHOD, seed, quick, figures, BARS)


def _calls(path: Path) -> Iterator[list[tuple[int, list[bytes], list[int]]]]:
    for records in ours.blocks(path, 4 * ours.BATCH_RECORDS_OF_THREADS):
        yield [(0, records, [0] * len(records))]


def _first(path: Path) -> list[tuple[int, list[bytes], list[int]]]:
    (_, records, _), *_ = next(_calls(path))
    line = records[0].splitlines(keepends=True)[0]
    return [(0, [line], [0])]


def _cpu(path: Path, plan: Plan, size: Size) -> tuple[np.ndarray[Any, Any], float]:
    many = Challengers(plan, GRID, threads=2, block_examples=size.block)
    watch = Watch()
    blocks = [block for records in _calls(path) for block in many.learn(records)]
    seconds, _ = watch.read()
    importance = sum(block.importance_sum for block in blocks)
    return np.sum([block.loss_sums for block in blocks], axis=0) / importance, seconds


def _losses(blocks: list[Compared]) -> np.ndarray[Any, Any]:
    importance = sum(block.importance_sum for block in blocks)
    losses: np.ndarray[Any, Any] = np.sum([block.loss_sums for block in blocks], axis=0) / importance
    return losses


def _ordering(path: Path, plan: Plan) -> tuple[float, int]:
    """Return seconds of scan and order alone, and how many features were ordered."""
    order, features = Ordering(plan), 0
    watch = Watch()
    for records in _calls(path):
        features += len(order.order(records).lines) // 4
    seconds, _ = watch.read()
    return seconds, features


def _copy_rate(size: Size) -> float:
    """Return bytes a second, read and written, of a copy on the device."""
    from numba import cuda

    one, other = (cuda.to_device(np.zeros(size.copied_bytes // 8)) for _ in range(2))
    other.copy_to_device(one)
    cuda.synchronize()
    watch = Watch()
    for _ in range(COPIES):
        other.copy_to_device(one)
    cuda.synchronize()
    seconds, _ = watch.read()
    return 2 * COPIES * size.copied_bytes / seconds


def _device() -> str:
    from numba import cuda

    name = getattr(cuda.get_current_device(), "name", b"simulator")
    return name.decode() if isinstance(name, bytes) else str(name)
