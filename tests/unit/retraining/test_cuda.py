"""
The kernel equals the CPU within 1e-5, in the simulator, with one warp.

With several warps rows may be overwritten on a GPU; the simulator cannot show that.
"""

import os
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Any

import orjson
import pytest

from stream_ml.errors import ConfigError
from stream_ml.features import compile_model
from stream_ml.retraining.cuda import CudaChallengers

pytest.importorskip("numba.cuda")
BOUND = 1e-5


def in_simulator(*arguments: str) -> str:
    """Return what a process of its own prints: the simulator is chosen when numba is imported."""
    done = subprocess.run(
        [sys.executable, *arguments],
        cwd=Path(__file__).parents[3],
        env={**os.environ, "NUMBA_ENABLE_CUDASIM": "1"},
        capture_output=True,
        check=False,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@cache
def simulated(warps: int) -> dict[str, Any]:
    told: dict[str, Any] = orjson.loads(
        in_simulator("-m", "tests.unit.retraining.simulated_cuda", str(warps))
    )
    return told


def test_one_warp_has_the_figures_and_rows_of_the_cpu() -> None:
    told = simulated(1)
    assert told["blocks"] == [6, 6]
    assert told["common"][0] == told["common"][1]
    assert told["counts"]
    assert told["loss"] <= BOUND
    assert told["prediction"] <= BOUND
    assert told["shares"][0] == told["shares"][1]
    assert max(len(block) for block in told["shares"][0]) == 9
    assert told["segments"] <= BOUND
    # Importance, to the last example; predictions within the bound.
    assert told["histograms"] <= 30 * BOUND
    # Of blocks 3 to 5: the cut lies in the one before them.
    assert told["binned"] == [90.0] * 5
    assert all(told["same_ids"])
    assert max(told["rows"]) <= BOUND
    # The challengers differ, or equal figures would show nothing.
    assert told["kinds"] == 5


def test_several_warps_learn_every_event_too() -> None:
    told = simulated(16)
    assert told["blocks"] == [6, 6]
    assert told["common"][0] == told["common"][1]
    assert told["counts"]
    assert all(told["same_ids"])
    # Two blocks of threads, of which the second learns after the first: near, not equal.
    assert told["loss"] <= 0.2


def test_what_the_kernel_does_not_have_is_refused() -> None:
    squared = compile_model('name = "m"\nlabel = "y"\n[features]\nx = "x"\n[learner]\nloss = "squared"\n')
    with pytest.raises(ConfigError, match="logistic"):
        CudaChallengers(squared, [(0.1, 1.0, 0.0, 0.0, 1.0, None, 0)])


MEASURED = """
import orjson
from loadtest import retrain_cuda
retrain_cuda.GRID = retrain_cuda.GRID[::16]
retrain_cuda.QUICK = retrain_cuda.Size(events=60, warps=1, copied_bytes=1 << 12, block=20)
print(orjson.dumps(retrain_cuda.run(quick=True, seed=3).as_object()).decode())
"""


def test_the_load_test_for_a_gpu_runs_in_the_simulator() -> None:
    told = orjson.loads(in_simulator("-c", MEASURED))
    assert (told["name"], told["events"], told["challengers"]) == ("retrain-cuda", 60, 2)
    assert told["logloss_difference"] <= BOUND
    for figure in ("events_per_second", "bandwidth_share", "ratio_cpu"):
        assert told[figure] > 0
