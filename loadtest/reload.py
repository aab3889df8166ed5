"""`loadtest reload`: what calls notice while a large model is loaded aside and swapped in, many times."""

from __future__ import annotations

import itertools
import os
import time
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

from loadtest.calls import Load, open_loop, score_frames
from loadtest.isolation import beside, isolated
from loadtest.model import model_file
from loadtest.report import Report
from loadtest.rows import generated_rows
from loadtest.stream import Stream
from stream_ml._native import Front, Learner, Plan
from stream_ml.features import compile_model
from stream_ml.serving.loading import load_in_background
from stream_ml.weights.artefact import Manifest, Parts
from stream_ml.weights.lines import Announced
from stream_ml.weights.snapshots import SnapshotName, SnapshotStore
from tests.servers.processes import answers, free_port, wait_until

FULL_ROWS, FULL_RELOADS = 10_000_000, 20
QUICK_ROWS, QUICK_RELOADS = 200_000, 4
SERVER_CORE, OTHER_CORE = (1,), (0,)
CONNECTIONS, CALLS_PER_SECOND, PERIOD_SECONDS = 8, 5_000.0, 2.0
PERIODS_ALONE = 5
IMAGE_ROWS = 1_000_000
# As in the predictor service.
NICENESS = 5
LONGEST_WAIT_SECONDS = 120.0
METHOD = (
    "One core serves a model of so many rows, loads it aside, verified, from the other of two snapshots, and "
    "swaps it in, by the predictor's own code, as often as told; the other core makes calls of one event at "
    "a fixed rate, latencies from the intended times: five periods without a reload, then periods until all "
    "are done; each p99 is that of the median period, every period is in the table. Two models were loaded "
    "before: a virtual machine's host gives fresh memory once, slowly. A call that is not answered ends the "
    "run."
)
BARS = {"p99_ratio_while_reloading": "≤ 1.5"}


def run(quick: bool, seed: int) -> Report:
    """Measure calls before and while the model is loaded again and again."""
    rows, reloads = (QUICK_ROWS, QUICK_RELOADS) if quick else (FULL_ROWS, FULL_RELOADS)
    frames = score_frames(Stream(20_000, seed=seed).path().read_bytes().splitlines())
    port = free_port()
    with TemporaryDirectory() as folder:
        names = [str(_snapshot(SnapshotStore(folder), rows, step, seed + step)) for step in (1, 2)]
        with beside(SERVER_CORE, _serve, folder, port, names, reloads):
            wait_until(lambda: answers(port), LONGEST_WAIT_SECONDS)
            alone = [_calls(port, frames, seed + period) for period in range(PERIODS_ALONE)]
            Path(folder, "begin").touch()
            during: list[Load] = []
            while not Path(folder, "ended").exists():
                during.append(_calls(port, frames, seed + PERIODS_ALONE + len(during)))
            done, seconds = map(float, Path(folder, "ended").read_text().split())
    shown = [_row("alone", load) for load in alone] + [_row("reloading", load) for load in during]
    before, meanwhile = (median(load.percentile_ms(99) for load in loads) for loads in (alone, during))
    figures: dict[str, Any] = {
        "table_rows": rows,
        "reloads": int(done),
        "seconds_a_reload": round(seconds / done, 3),
        "calls": sum(load.calls for load in (*alone, *during)),
        "p99_ms": round(before, 3),
        "p99_ms_while_reloading": round(meanwhile, 3),
        "p99_ratio_while_reloading": round(meanwhile / before, 3),
    }
    return Report("reload", METHOD, seed, quick, figures, BARS, shown)


def _snapshot(store: SnapshotStore, rows: int, step: int, seed: int) -> SnapshotName:
    text = model_file()
    model = compile_model(text)
    learner = Learner(Plan(model.plan_bytes), expected_rows=rows)
    for piece in generated_rows(rows, seed):
        learner.load_rows(piece)
    learner.begin_image()
    with store.writer("criteo", "v1") as writer:
        while piece := learner.take_image(IMAGE_ROWS):
            writer.add_rows(piece)
        seal = learner.seal_image()
        now = time.time()
        manifest = Manifest(
            model="criteo",
            variant="v1",
            fingerprint=model.fingerprint,
            seed=None,
            epoch=0,
            step=step,
            events={},
            feed={},
            total_rows=seal.total_rows,
            rows_hash=seal.rows_hash,
            learned_at=now,
            created_at=now,
        )
        parts = Parts(seal.removed, seal.state, seal.score_state, text.encode(), model.plan_bytes)
        return writer.finish(manifest, seal.rows, parts)


def _serve(folder: str, port: int, names: list[str], reloads: int) -> None:
    """Serve the first snapshot; once told, load them in turn and swap; then serve on until killed."""
    store, fingerprint = SnapshotStore(folder), compile_model(model_file()).fingerprint
    turns = itertools.cycle(map(_announced, map(SnapshotName.parse, names)))
    # Memory that nobody had before is slow to come by where the machine is a virtual one: its host gives it.
    # That is paid once in a machine's life: here, for two models side by side, before the first call.
    for _ in range(2):
        loaded = load_in_background(store, next(turns), fingerprint).result()
    front = Front("127.0.0.1", port)
    front.serve("criteo", "v1", loaded.replica)
    os.nice(NICENESS)  # the front's threads run already, and come first
    wait_until(Path(folder, "begin").exists, LONGEST_WAIT_SECONDS)
    began, done = time.perf_counter(), 0
    # At least for a period of calls, or a small model is loaded before any is made.
    while done < reloads or time.perf_counter() - began < 2 * PERIOD_SECONDS:
        loaded = load_in_background(store, next(turns), fingerprint).result()
        front.serve("criteo", "v1", loaded.replica)
        done += 1
    said = Path(folder, "ending")
    said.write_text(f"{done} {time.perf_counter() - began}")
    said.rename(Path(folder, "ended"))
    time.sleep(LONGEST_WAIT_SECONDS)


def _announced(name: SnapshotName) -> Announced:
    return Announced(
        epoch=name.epoch,
        step=name.step,
        name=str(name),
        checksum=name.checksum,
        events={},
        feed={},
        as_of=0,
    )


def _calls(port: int, frames: list[bytes], seed: int) -> Load:
    arguments = (port, frames, CONNECTIONS, CALLS_PER_SECOND, PERIOD_SECONDS, seed)
    return isolated(OTHER_CORE, open_loop, *arguments)


def _row(name: str, load: Load) -> dict[str, Any]:
    return {
        "predictor": name,
        "calls/s": round(load.calls_per_second),
        "p50 ms": round(load.percentile_ms(50), 3),
        "p99 ms": round(load.percentile_ms(99), 3),
        "max ms": round(load.percentile_ms(100), 3),
    }
