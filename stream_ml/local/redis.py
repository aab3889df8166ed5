"""A Redis server of one run, for a worked example on one machine; what it holds is gone with it."""

from __future__ import annotations

import shutil
import socket
import subprocess
import time
from pathlib import Path
from types import TracebackType
from typing import Self

from stream_ml.errors import ConfigError, RecoverableError

_READY_SECONDS = 10.0


class LocalRedis:
    """
    Starts a server on a free port; a context manager that ends it.

    Attributes:
        url: where it answers.
    """

    def __init__(self, directory: Path) -> None:
        """
        Start nothing yet.

        Raises:
            ConfigError: there is no redis-server on this machine.
        """
        if shutil.which("redis-server") is None:
            raise ConfigError(
                "redis-server is not installed\n  hint: apt-get install redis-server, or brew install redis"
            )
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self._port = int(probe.getsockname()[1])
        self.url = f"redis://127.0.0.1:{self._port}"
        self._directory = directory

    def __enter__(self) -> Self:
        # A server that outlives a process that was killed would stay for ever.
        dies_with_us = ["setpriv", "--pdeathsig", "TERM", "--"] if shutil.which("setpriv") else []
        command = [
            *dies_with_us,
            "redis-server",
            "--port",
            str(self._port),
            "--bind",
            "127.0.0.1",
            "--save",
            "",
        ]
        with (self._directory / "redis.log").open("wb") as output:
            self._process = subprocess.Popen(
                [*command, "--dir", str(self._directory), "--maxmemory-policy", "noeviction"],
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        end = time.monotonic() + _READY_SECONDS
        while not self._answers():
            if time.monotonic() > end or self._process.poll() is not None:
                self._process.kill()
                raise RecoverableError(f"redis-server does not start, see {self._directory / 'redis.log'}")
            time.sleep(0.02)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.terminate()
        self._process.wait()

    def _answers(self) -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self._port)) == 0
