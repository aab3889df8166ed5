"""
The kernel: McMahan et al. 2013, Algorithm 1, as `optimizer.rs` writes it, for one challenger a lane.

Read by `cuda.py` only where a GPU, or the simulator (NUMBA_ENABLE_CUDASIM=1), is wanted. Arithmetic is
float32 as in the native core, but a score's sum goes feature by feature, and the compiler may fuse.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numba import cuda

F32 = np.float32
_MAX = F32(1e15)
_MAX_N, _MAX_Z = F32(1e38), F32(1e30)


@cuda.jit(device=True)  # type: ignore[untyped-decorator]
def bound(value: Any, limit: Any) -> Any:
    """Within ± limit."""
    return min(max(value, -limit), limit)


@cuda.jit(device=True)  # type: ignore[untyped-decorator]
def weight(z: Any, root: Any, inverse_alpha: Any, beta: Any, l1: Any, l2: Any) -> Any:
    """Return the weight of a row; *root* is √n."""
    if abs(z) <= l1:
        return F32(0)
    shrunk = z - math.copysign(l1, z)
    return F32(bound(-shrunk / ((beta + root) * inverse_alpha + l2), _MAX))


@cuda.jit(device=True)  # type: ignore[untyped-decorator]
def stepped(slope: Any, x: Any, w: Any, z: Any, n: Any, inverse_alpha: Any, decay: Any) -> Any:
    """Return z and n after the gradient."""
    g = bound(slope * x, _MAX)
    grown = min(n * (decay * decay) + g * g, _MAX_N)
    sigma = (F32(math.sqrt(grown)) - F32(math.sqrt(n)) * decay) * inverse_alpha
    return bound(z * decay + (g - sigma * w), _MAX_Z), grown


@cuda.jit  # type: ignore[untyped-decorator]
def learn(
    first: Any,
    end: Any,
    label: Any,
    importance: Any,
    number: Any,
    judges: Any,
    learns: Any,
    lines: Any,
    values: Any,
    slots: Any,
    bases: Any,
    settings: Any,
    begins: Any,
    masks: Any,
    z: Any,
    n: Any,
    bias: Any,
    scratch: Any,
    losses: Any,
    predictions: Any,
) -> None:
    """Judge and learn examples: number i, i + warps, … by warp i, which has its own part of *scratch*."""
    lane = cuda.threadIdx.x
    warp = cuda.blockIdx.x * cuda.blockDim.y + cuda.threadIdx.y
    warps = cuda.gridDim.x * cuda.blockDim.y
    inverse_alpha, beta = settings[0, lane], settings[1, lane]
    l1, l2, decay = settings[2, lane], settings[3, lane], settings[4, lane]
    for at in range(warp, len(first), warps):
        bias_w = weight(bias[0, lane], F32(math.sqrt(bias[1, lane])), inverse_alpha, beta, F32(0), F32(0))
        dot = F32(0)
        for feature in range(first[at], end[at]):
            row = lines[feature]
            root = F32(math.sqrt(n[row, lane]))
            w = weight(z[row, lane], root, inverse_alpha, beta, l1, l2)
            scratch[warp, feature - first[at], lane] = w
            dot += w * (values[feature] * masks[slots[feature], lane])
        score = float(bound(bases[at, lane] + bias_w + dot, _MAX))
        prediction = 1.0 / (1.0 + math.exp(-bound(score, 700.0)))
        if judges[at]:
            # ln(1 + e^s) without overflow.
            soft = max(score, 0.0) + math.log1p(math.exp(-min(abs(score), 700.0)))
            losses[at, lane] = soft - label[at] * score
            predictions[at, lane] = prediction
        if learns[at] and number[at] >= begins[lane]:
            slope = importance[at] * (F32(prediction) - label[at])
            for feature in range(first[at], end[at]):
                row = lines[feature]
                if row != 0:
                    x = values[feature] * masks[slots[feature], lane]
                    w = scratch[warp, feature - first[at], lane]
                    z[row, lane], n[row, lane] = stepped(
                        slope, x, w, z[row, lane], n[row, lane], inverse_alpha, decay
                    )
            bias[0, lane], bias[1, lane] = stepped(
                slope, F32(1), bias_w, bias[0, lane], bias[1, lane], inverse_alpha, decay
            )
