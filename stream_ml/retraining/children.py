"""The learners of challengers: processes of the retrainer, one a challenger that is alive."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from stream_ml.learning.orders import Order
from stream_ml.learning.parties import Parties, with_model_of
from stream_ml.runtime import lifecycle
from stream_ml.runtime.clock import Clock
from stream_ml.weights.state import JournalState

log = logging.getLogger(__name__)

_STOP_SECONDS = 60.0
# A learner that ended by itself is started again after this, and twice as long with every further time.
_AGAIN_SECONDS, _MOST_SECONDS = 1.0, 60.0
_NEVER_AGAIN = (lifecycle.CONFIG, lifecycle.CANNOT_CONTINUE)


class Children:
    """
    Keeps a learner running for each challenger that should learn; a child ends with this process.

    What a child needs lies in a folder by the name of its job, and in journal and snapshots besides: so any
    retrainer can go on with what another has begun.

    Attributes:
        failed: by job, why its child ended where starting it again mends nothing.
    """

    def __init__(self, parties: Parties, settings: Path, folder: Path, clock: Clock) -> None:
        """
        Start none yet.

        Args:
            settings: file of the model's learners.
            folder: for what is told to the children.
        """
        self._parties, self._settings, self._folder, self._clock = parties, settings, folder, clock
        self.failed: dict[str, str] = {}
        self._ordered: set[str] = set()
        self._running: dict[str, subprocess.Popen[bytes]] = {}
        self._ends: dict[str, int] = {}
        self._again_at: dict[str, float] = {}

    def order(self, order: Order, model_text: str) -> None:
        """Have the challenger of *order*, with its own model file, begun at the next turn; thread-safe."""
        folder = self._folder / order.job
        _write(folder, order, model_text)
        self._ordered.add(order.job)

    def withdraw(self, job: str) -> None:
        """Take the order of *job* back, as far as its variant has not begun; thread-safe."""
        self._ordered.discard(job)

    def turn(self, state: JournalState) -> None:
        """Start who should learn and does not, stop who should not."""
        wanted = {
            known.challenge.job: variant
            for variant, known in state.variants.items()
            if known.challenge is not None and needs_child(state, variant)
        }
        self._ordered -= {
            known.challenge.job for known in state.variants.values() if known.challenge is not None
        }
        for job in self._running.keys() - wanted.keys() - self._ordered:
            self._stop(job)
        for job, variant in wanted.items():
            self._prepare(job, variant, state)
        for job in wanted.keys() | self._ordered:
            self._keep(job)

    def close(self) -> None:
        """Stop all of them, cleanly."""
        for process in self._running.values():
            process.terminate()
        for job in list(self._running):
            self._stop(job)

    def _prepare(self, job: str, variant: str, state: JournalState) -> None:
        """Put there what a child needs that another retrainer began."""
        folder = self._folder / job
        if (folder / "order.json").exists():
            return
        model = with_model_of(variant, state, self._parties).model
        _write(folder, Order(job=job, why="", warm=True), model.model_file.text)

    def _keep(self, job: str) -> None:
        process = self._running.get(job)
        if process is not None and process.poll() is None:
            return
        if process is not None:
            self._ended(job, process)
        if job not in self.failed and self._clock.monotonic() >= self._again_at.get(job, 0.0):
            self._start(job)

    def _ended(self, job: str, process: subprocess.Popen[bytes]) -> None:
        del self._running[job]
        _let_go(process)
        code = process.returncode
        log.warning("the learner of a challenger ended", extra={"job": job, "exit_code": code})
        if code in _NEVER_AGAIN:
            self.failed[job] = f"its learner ended with code {code}: {self._folder / job / 'learner.log'}"
            return
        ends = self._ends[job] = self._ends.get(job, 0) + 1
        self._again_at[job] = self._clock.monotonic() + min(_AGAIN_SECONDS * 2**ends, _MOST_SECONDS)

    def _start(self, job: str) -> None:
        folder = self._folder / job
        command = [sys.executable, "-m", "services.learner", "--settings", str(self._settings)]
        with (folder / "learner.log").open("ab") as output:
            self._running[job] = subprocess.Popen(
                [*command, "--challenge", str(folder / "order.json")],
                env={**os.environ, **_overrides(folder)},
                stdin=subprocess.PIPE,  # its end is the child's
                stdout=output,
                stderr=output,
            )
        log.info("a challenger learns", extra={"job": job, "pid": self._running[job].pid})

    def _stop(self, job: str) -> None:
        process = self._running.pop(job)
        process.terminate()
        _let_go(process)
        try:
            process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            log.error("the learner of a challenger does not end and is killed", extra={"job": job})
            process.kill()
            process.wait()


def _write(folder: Path, order: Order, model_text: str) -> None:
    """Write both files, each whole or not at all: where the order is, a child can begin."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in (("model.toml", model_text), ("order.json", order.model_dump_json())):
        partial = folder / f"{name}.partial"
        partial.write_text(text)
        partial.replace(folder / name)


def _let_go(process: subprocess.Popen[bytes]) -> None:
    assert process.stdin is not None, "it was opened"
    process.stdin.close()


def needs_child(state: JournalState, variant: str) -> bool:
    """
    Whether the challenger *variant* learns in a process of its own.

    It does until it is stopped, or the watch of its promotion is over: then the learners of its champion go
    over to it.
    """
    if not state.learns(variant):
        return False
    return variant != state.serving or state.champion_of(variant) is not None


def _overrides(folder: Path) -> Mapping[str, str]:
    return {
        "STREAM_ML_MODEL_FILE": str(folder / "model.toml"),
        "STREAM_ML_HTTP_PORT": "0",
    }
