"""
Run by `test_cuda.py` with NUMBA_ENABLE_CUDASIM=1: kernel and CPU over the same events; prints what differs.

The simulator runs a block's threads on one processor: it cannot show races between warps.
"""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
import orjson

from stream_ml._native import Challengers, Plan
from stream_ml.features import compile_model
from stream_ml.retraining.cuda import CudaChallengers

MODEL = """
name = "m"
label = "y"
event_id = "id"
segment = "item"
[features]
user = "user"
item = "item"
amount = "number(amount)"
[learner]
base_rate_events = 60
"""
# alpha, beta, l1, l2, decay, slots, first example.
SETTINGS = (
    (0.1, 1.0, 0.0, 0.0, 1.0, None, 0),
    (0.4, 0.5, 0.3, 0.1, 1.0, None, 0),
    (0.1, 1.0, 0.0, 0.0, 0.98, None, 0),
    (0.2, 1.0, 0.0, 0.0, 1.0, [0, 2], 0),
    (0.1, 1.0, 0.0, 1.0, 1.0, None, 100),
)


def events(count: int) -> list[bytes]:
    random = np.random.default_rng(5)
    user, item = random.integers(0, 12, count), random.integers(0, 9, count)
    label = random.random(count) < 1 / (1 + np.exp(1 - user % 5 + item % 3))
    columns = zip(label, user, item, strict=True)
    return [
        orjson.dumps({"id": at % 190, "y": int(y), "user": int(u), "item": int(i), "amount": at % 7 - 3})
        for at, (y, u, i) in enumerate(columns)
    ]


def rows_of(many: Challengers | CudaChallengers, at: int) -> dict[int, tuple[float, float]]:
    rows = np.frombuffer(many.rows(at, 0, many.features), [("id", "<u8"), ("z", "<f4"), ("n", "<f4")])
    return {int(row["id"]): (float(row["z"]), float(row["n"])) for row in rows}


def compared(many: Challengers | CudaChallengers, ranges: list[Any]) -> list[Any]:
    """Return all blocks; histograms begin within one, at the cut."""
    before = many.learn(ranges[0])
    many.begin_histograms()
    return [*before, *many.learn(ranges[1])]


def shares_of(blocks: list[Any]) -> list[Any]:
    return [sorted(each[:3] for each in block.segments) for block in blocks]


def segment_losses(blocks: list[Any]) -> np.ndarray:
    found = [sums for block in blocks for _, _, _, sums in sorted(block.segments)]
    return np.array(found)


def histograms_of(many: Challengers | CudaChallengers) -> np.ndarray:
    return np.array([many.histogram(at) for at in range(len(SETTINGS))])


def main(warps: int) -> None:
    model, values = compile_model(MODEL), events(200)
    cpu = Challengers(Plan(model.plan_bytes), SETTINGS, block_examples=30)
    gpu = CudaChallengers(model, SETTINGS, block_examples=30, warps=warps)
    pieces = [values[:80], values[80:]]
    ranges = [[(0, piece, [0] * len(piece))] for piece in pieces]
    blocks = [compared(many, ranges) for many in (cpu, gpu)]
    losses, predictions = (
        [np.array([getattr(block, name) for block in those]) for those in blocks]
        for name in ("loss_sums", "prediction_sums")
    )
    rows = [[rows_of(many, at) for many in (cpu, gpu)] for at in range(len(SETTINGS))]
    told = {
        "blocks": [len(those) for those in blocks],
        "counts": cpu.counts() == gpu.counts(),
        "common": [
            [(one.first, one.end, one.importance_sum, one.label_sum) for one in those] for those in blocks
        ],
        "shares": [shares_of(those) for those in blocks],
        "segments": float(np.abs(segment_losses(blocks[1]) / segment_losses(blocks[0]) - 1).max()),
        "histograms": float(np.abs(histograms_of(gpu) - histograms_of(cpu)).max()),
        "binned": histograms_of(gpu)[:, :2].sum(axis=(1, 2)).tolist(),
        "loss": float(np.abs(losses[1] / losses[0] - 1).max()),
        "prediction": float(np.abs(predictions[1] / predictions[0] - 1).max()),
        "same_ids": [one.keys() == other.keys() for one, other in rows],
        "rows": [
            max(abs(a - b) / (1 + abs(a)) for id in one for a, b in zip(one[id], other[id], strict=True))
            for one, other in rows
        ],
        "kinds": len({tuple(np.round(column, 6)) for column in losses[0].T}),
    }
    print(orjson.dumps(told).decode())


if __name__ == "__main__":
    main(int(sys.argv[1]))
