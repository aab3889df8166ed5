"""Who learns in `loadtest retrain`: all challengers at once, one setting alone, Vowpal Wabbit."""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np
import orjson
import xxhash

from loadtest import ours
from loadtest.isolation import Watch
from loadtest.model import model_file
from loadtest.peers import VW_BITS
from stream_ml._native import Challengers, Learner, Plan
from stream_ml.features.plan import compile_model

# Kept scans handed over together, as a poll hands over records.
SCANS_A_CALL = 8
# More than a single learner takes: a call ends with one thread waiting for the other, and works at 16 models.
BATCH_RECORDS = 64
BLOCK_EXAMPLES = 10_000
VW_CACHE = ".vwcache"


@dataclass(frozen=True, slots=True)
class Settings:
    """One challenger's hyper-parameters."""

    alpha: float
    beta: float
    l1: float
    l2: float

    def model(self) -> Plan:
        """Return the load tests' model with these."""
        text = model_file()
        for name in ("alpha", "beta", "l1", "l2"):
            text = re.sub(rf"^{name} +=.*$", f"{name} = {getattr(self, name)}", text, flags=re.MULTILINE)
        return Plan(compile_model(text).plan_bytes)

    @property
    def challenger(self) -> tuple[float, float, float, float, float, None, int]:
        """What the native core is told."""
        return self.alpha, self.beta, self.l1, self.l2, 1.0, None, 0


@dataclass(frozen=True, slots=True)
class Ran:
    """
    What one process did.

    Attributes:
        losses: mean progressive loss of each setting over the whole blocks of BLOCK_EXAMPLES.
        digests: of each setting's rows, in no order.
    """

    seconds: float
    losses: tuple[float, ...]
    digests: tuple[str, ...] = ()
    bytes_per_feature: float | None = None

    @property
    def digest(self) -> str:
        """Of all settings."""
        return xxhash.xxh3_64_hexdigest("".join(self.digests).encode())


def challengers(path: Path, grid: Sequence[Settings], threads: int, kept: bool) -> Ran:
    """Let all settings learn the file at once."""
    plan, given = grid[0].model(), [one.challenger for one in grid]
    expected = _expected(path)
    blocks = []
    watch = Watch()
    many = Challengers(plan, given, threads=threads, block_examples=BLOCK_EXAMPLES, expected_rows=expected)
    if kept:
        scans = read_scans(path)
        while call := [(0, scan) for scan in islice(scans, SCANS_A_CALL)]:
            blocks += many.learn_scanned(call)
    else:
        batches = ours.blocks(path, BATCH_RECORDS)
        for records in ours.read_ahead(batches) if threads > 1 else batches:
            blocks += many.learn([(0, records, [0] * len(records))])
    seconds, _ = watch.read()
    importance = sum(block.importance_sum for block in blocks)
    losses = [sum(block.loss_sums[at] for block in blocks) / importance for at in range(len(grid))]
    digests = [_digest([many.rows(at, 0, many.features)]) for at in range(len(grid))]
    rows_bytes = 16 + 64 * -(-len(grid) // 8)
    return Ran(seconds, tuple(losses), tuple(digests), float(rows_bytes))


def single(path: Path, settings: Settings, kept: bool) -> Ran:
    """Let one setting learn the file with our learner on this thread alone."""
    plan, expected = settings.model(), _expected(path)
    evaluations: list[bytes] = []
    watch = Watch()
    learner = Learner(plan, scan_threads=0, expected_rows=expected)
    if kept:
        for scan in read_scans(path):
            evaluations += learner.learn_scanned([(0, scan)]).evaluations
    else:
        for records in ours.blocks(path, ours.BATCH_RECORDS):
            evaluations += learner.learn([(0, records, [0] * len(records))]).evaluations
    seconds, _ = watch.read()
    return Ran(seconds, (_loss_of(evaluations),), (_digest(_image(learner)),))


def kept_scans(json: Path) -> Path:
    """Return a file of the scans of *json*, each behind its length; made now if it is not there."""
    path = json.with_suffix(".scans")
    learner = Learner(Settings(0.1, 1.0, 0.0, 0.0).model(), scan_threads=1)
    with path.open("wb") as file:
        for records in ours.blocks(json, ours.BATCH_RECORDS):
            for scan in learner.learn([(0, records, [0] * len(records))], keep_scans=True).scans:
                file.write(struct.pack("<Q", len(scan)) + scan)
    return path


def read_scans(path: Path) -> Iterator[bytes]:
    """Yield what `kept_scans` wrote."""
    with path.open("rb") as file:
        while head := file.read(8):
            yield file.read(*struct.unpack("<Q", head))


def make_vw_cache(text: Path) -> None:
    """Have Vowpal Wabbit write the binary cache that it reads instead of *text* from then on."""
    from vowpalwabbit import Workspace

    cache = text.with_suffix(VW_CACHE)
    cache.unlink(missing_ok=True)
    Workspace(f"-d {text} --cache_file {cache} --quiet -b {VW_BITS}").finish()


def vw_run(text: Path, settings: Settings) -> Ran:
    """Let Vowpal Wabbit learn the cache of *text*; its parser is a second thread on the same core."""
    from vowpalwabbit import Workspace

    watch = Watch()
    workspace = Workspace(
        f"-d {text} --cache_file {text.with_suffix(VW_CACHE)} --quiet -b {VW_BITS} --ftrl "
        f"--loss_function logistic --ftrl_alpha {settings.alpha} --ftrl_beta {settings.beta} "
        f"--l1 {settings.l1} --l2 {settings.l2}"
    )
    seconds, _ = watch.read()
    loss = workspace.get_sum_loss() / workspace.get_weighted_examples()
    workspace.finish()
    return Ran(seconds, (loss,))


def _expected(path: Path) -> int:
    """Room from the start, as `loadtest learn` gives it: about two rows an event of some 550 bytes."""
    return ours.EXPECTED_ROWS_PER_EVENT * path.stat().st_size // 550


def _loss_of(evaluations: Sequence[bytes]) -> float:
    closed = [orjson.loads(evaluation) for evaluation in evaluations]
    loss: float = sum(one["loss_sum"] for one in closed)
    importance: float = sum(one["importance_sum"] for one in closed)
    return loss / importance


def _image(learner: Learner) -> Iterator[bytes]:
    learner.begin_image()
    while piece := learner.take_image(ours.IMAGE_ROWS):
        yield piece
    learner.seal_image()


def _digest(pieces: Iterator[bytes] | Sequence[bytes]) -> str:
    """Return a hash of the rows that are not zero, in the order of their ids."""
    rows = np.frombuffer(b"".join(pieces), dtype=[("id", "<u8"), ("z", "<f4"), ("n", "<f4")])
    rows = rows[(rows["z"] != 0) | (rows["n"] != 0)]
    return xxhash.xxh3_64_hexdigest(np.sort(rows, order="id").tobytes())
