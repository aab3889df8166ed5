"""A real Prometheus for tests, and its own tools: `make prometheus` fetches them."""

from __future__ import annotations

import json
import math
import os
import shutil
import subprocess
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.servers.processes import Process, free_port, wait_until

FETCHED = Path(__file__).parents[2] / ".cache/prometheus/usr/bin"


def _tool(name: str) -> str:
    """Return where a tool of Prometheus's is; skip on a laptop without it, fail where CI=true."""
    found = shutil.which(name) or shutil.which(name, path=FETCHED)
    if found is None:
        missing = f"{name} is not there (make prometheus, or apt-get install prometheus)"
        if os.environ.get("CI") == "true":
            pytest.fail(f"no Prometheus: {missing}")
        pytest.skip(missing)
    return found


def promtool(*arguments: str | Path, given: str | None = None) -> subprocess.CompletedProcess[str]:
    """Run promtool with *given* on its standard input."""
    command = [_tool("promtool"), *map(str, arguments)]
    return subprocess.run(command, input=given, capture_output=True, text=True, timeout=240)


class PrometheusServer:
    """
    One server on a port of its own, that looks at its targets and its rules several times a second.

    Args:
        directory: for its settings, its data and its log.
        targets: addresses (host:port) by the job that they are of; ``follow`` changes them.
        rules: files of rules.
        interval_seconds: between two scrapes, and between two evaluations of the rules.
    """

    def __init__(
        self,
        directory: Path,
        targets: Mapping[str, Sequence[str]],
        rules: Sequence[Path] = (),
        interval_seconds: float = 0.5,
    ) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self.directory, self.port = directory, free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self._targets = directory / "targets.json"
        self.follow(targets)
        settings = directory / "prometheus.yaml"
        settings.write_text(yaml.safe_dump(self._settings(rules, f"{round(1000 * interval_seconds)}ms")))
        command = [_tool("prometheus"), f"--config.file={settings}", f"--storage.tsdb.path={directory}/data"]
        command += [f"--web.listen-address=127.0.0.1:{self.port}", "--log.level=warn"]
        # Of a series that is not scraped any more nothing is seen after five seconds, not after five minutes.
        command += ["--query.lookback-delta=5s"]
        self.process = Process(command, directory / "prometheus.log")

    def start(self) -> PrometheusServer:
        self.process.start().wait_until(self._is_ready, 60)
        return self

    def stop(self) -> None:
        self.process.kill()  # the data are thrown away
        shutil.rmtree(self.directory / "data", ignore_errors=True)

    def follow(self, targets: Mapping[str, Sequence[str]]) -> None:
        """Look at these from now on; an address has one job."""
        found = [{"targets": list(addresses), "labels": {"job": job}} for job, addresses in targets.items()]
        new = self._targets.with_suffix(".new")
        new.write_text(json.dumps(found))
        new.rename(self._targets)  # a file half written would be an error in its log

    def wait_until_scraped(self, timeout_seconds: float = 30) -> None:
        """Wait until every target has answered."""
        count = sum(len(each["targets"]) for each in json.loads(self._targets.read_text()))
        wait_until(
            lambda: len(self.query("up == 1")) >= count, timeout_seconds, lambda: str(self.query("up"))
        )

    def query(self, expression: str) -> list[tuple[dict[str, str], float]]:
        """
        Return what *expression* is now: labels and value of each series; of a scalar, without labels.

        Raises:
            ValueError: it is not PromQL, or cannot be evaluated.
        """
        found = self._get("query", query=expression)
        if found["resultType"] == "scalar":
            return [({}, float(found["result"][1]))]
        return [(each["metric"], float(each["value"][1])) for each in found["result"]]

    def value(self, expression: str) -> float:
        """Return the one value of *expression*; NaN where there is no series."""
        found = self.query(expression)
        assert len(found) <= 1, f"{expression}: {found}"
        return found[0][1] if found else math.nan

    def rules(self) -> list[dict[str, Any]]:
        """Return every rule as it stands: health, state, the last error."""
        return [rule for group in self._get("rules")["groups"] for rule in group["rules"]]

    def alerts(self, state: str = "firing") -> list[dict[str, Any]]:
        """Return the alerts that are *state* (pending or firing) now."""
        return [alert for alert in self._get("alerts")["alerts"] if alert["state"] == state]

    def _get(self, what: str, **asked: str) -> Any:
        url = f"{self.url}/api/v1/{what}?{urllib.parse.urlencode(asked)}"
        try:
            with urllib.request.urlopen(url, timeout=30) as answer:
                return json.load(answer)["data"]
        except urllib.error.HTTPError as error:
            raise ValueError(f"{asked}: {json.load(error).get('error')}") from None

    def _is_ready(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self.url}/-/ready", timeout=5) as answer:
                return int(answer.status) == 200
        except OSError:
            return False

    def _settings(self, rules: Sequence[Path], interval: str) -> dict[str, Any]:
        found = [{"files": [str(self._targets)], "refresh_interval": "1s"}]
        return {
            "global": {
                "scrape_interval": interval,
                "scrape_timeout": interval,
                "evaluation_interval": interval,
            },
            "rule_files": [str(path.absolute()) for path in rules],
            "scrape_configs": [{"job_name": "found", "file_sd_configs": found}],
        }
