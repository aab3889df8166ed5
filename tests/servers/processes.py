"""Child processes of tests: output kept in a file, readiness polled, dead when the test run is."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from random import randrange

# A child must not outlive a test run that was itself killed (elsewhere than on Linux it may).
_DIE_WITH_PARENT = ["setpriv", "--pdeathsig", "KILL", "--"] if shutil.which("setpriv") else []

_FIRST_PORT, _LAST_PORT = 15_000, 30_000


class Process:
    """One child process; ``log`` holds everything it printed, over restarts."""

    def __init__(
        self, command: Sequence[str], log: Path, environment: Mapping[str, str] | None = None
    ) -> None:
        self.command = list(command)
        self.log = log
        self.environment = {**os.environ, **(environment or {})}
        self._child: subprocess.Popen[bytes] | None = None

    @classmethod
    def python(
        cls, arguments: Sequence[str], log: Path, environment: Mapping[str, str] | None = None
    ) -> Process:
        """A process of our own code: ``Process.python(["-m", "services.learner", …], log)``."""
        return cls([sys.executable, "-u", *arguments], log, environment)

    @property
    def running(self) -> bool:
        return self._child is not None and self._child.poll() is None

    @property
    def pid(self) -> int:
        assert self._child is not None, "not started"
        return self._child.pid

    def start(self) -> Process:
        assert not self.running, "already running"
        with self.log.open("ab") as output:
            self._child = subprocess.Popen(
                [*_DIE_WITH_PARENT, *self.command],
                stdout=output,
                stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL,
                env=self.environment,
            )
        return self

    def wait(self, timeout_seconds: float = 30) -> int:
        """Wait for its own end; return the exit status (negative: the signal)."""
        assert self._child is not None, "not started"
        try:
            return self._child.wait(timeout_seconds)
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError(f"still running after {timeout_seconds} s\n{self.tail()}") from None

    def terminate(self, timeout_seconds: float = 30) -> int:
        """SIGTERM, then wait."""
        self.send(signal.SIGTERM)
        return self.wait(timeout_seconds)

    def kill(self) -> None:
        """SIGKILL; nothing is flushed."""
        if self._child is not None and self._child.poll() is None:
            self._child.kill()
            self._child.wait(10)

    def freeze(self) -> None:
        self.send(signal.SIGSTOP)

    def thaw(self) -> None:
        self.send(signal.SIGCONT)

    def send(self, number: signal.Signals) -> None:
        if self.running:
            os.kill(self.pid, number)

    def tail(self, lines: int = 40) -> str:
        return "\n".join(self.output().splitlines()[-lines:])

    def output(self) -> str:
        return self.log.read_text(errors="replace") if self.log.exists() else ""

    def wait_until(self, ready: Callable[[], bool], timeout_seconds: float = 30) -> Process:
        """Poll *ready*; an end of the process meanwhile is an error that shows its output."""
        wait_until(lambda: self._alive() and ready(), timeout_seconds, self.tail)
        return self

    def wait_for_output(self, text: str, timeout_seconds: float = 30) -> Process:
        return self.wait_until(lambda: text in self.output(), timeout_seconds)

    def _alive(self) -> bool:
        assert self.running, f"{self.command[:4]} ended early\n{self.tail()}"
        return True


def wait_until(
    ready: Callable[[], bool], timeout_seconds: float = 30, explain: Callable[[], str] = lambda: ""
) -> None:
    """Poll *ready* until it is true; fail after *timeout_seconds* with what *explain* says."""
    end = time.monotonic() + timeout_seconds
    while not ready():
        if time.monotonic() > end:
            raise AssertionError(f"not so after {timeout_seconds} s\n{explain()}")
        time.sleep(0.02)


def answers(port: int) -> bool:
    """Whether something accepts connections on the port of this machine."""
    try:
        socket.create_connection(("127.0.0.1", port), 0.5).close()
    except OSError:
        return False
    return True


def free_port() -> int:
    """
    Return a free port below the ephemeral range, one after another.

    An outgoing connection of another test cannot take such a port while its server is down, nor can another
    worker of the run: each has a part of the range.
    """
    while True:
        port = next(_PORTS)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port


def _ports() -> Iterator[int]:
    """Go round and round a worker's part of the range, from anywhere in it."""
    workers = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
    worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
    each = (_LAST_PORT - _FIRST_PORT) // workers
    first = _FIRST_PORT + worker * each
    port = randrange(each)
    while True:
        yield first + port
        port = (port + 1) % each


_PORTS = _ports()
