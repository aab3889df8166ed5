"""A predictor of tests: the service as a process of its own."""

from __future__ import annotations

import urllib.error
import urllib.request
from collections.abc import Mapping
from pathlib import Path

from tests.scripted import NAME
from tests.servers.processes import Process, answers, free_port


class PredictorProcess:
    """On ports of its own, or on an address of its own with a given port."""

    def __init__(
        self,
        folder: Path,
        bootstrap: str,
        host: str = "127.0.0.1",
        thrift_port: int = 0,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self.thrift_port, self.http_port = thrift_port or free_port(), free_port()
        self.settings = settings = folder / f"predictor-{host}-{self.thrift_port}.toml"
        settings.write_text(
            f'models = ["{NAME}"]\n'
            f'snapshot_store = "{folder}/snapshots"\n'
            f'thrift_host = "{host}"\n'
            f"thrift_port = {self.thrift_port}\n"
            f"http_port = {self.http_port}\n"
            f'kafka."bootstrap.servers" = "{bootstrap}"\n'
        )
        arguments = ["-m", "services.predictor", "--settings", str(settings)]
        self.process = Process.python(arguments, settings.with_suffix(".log"), environment)
        self.host, self.address = host, f"{host}:{self.thrift_port}"

    def get(self, path: str) -> tuple[int, str]:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.http_port}{path}", timeout=10) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read().decode()

    def start(self) -> None:
        self.process.start().wait_until(lambda: answers(self.http_port))

    def wait_until_ready(self) -> None:
        self.process.wait_until(lambda: self.get("/readyz")[0] == 200)
