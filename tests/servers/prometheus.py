"""Prometheus's own tools for tests: `make prometheus` fetches them."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

FETCHED = Path(__file__).parents[2] / ".cache/prometheus/usr/bin"


def promtool(*arguments: str | Path, given: str | None = None) -> subprocess.CompletedProcess[str]:
    """Run promtool with *given* on its standard input; skip on a laptop without it, fail where CI=true."""
    found = shutil.which("promtool") or shutil.which("promtool", path=FETCHED)
    if found is None:
        missing = "promtool is not there (make prometheus, or apt-get install prometheus)"
        if os.environ.get("CI") == "true":
            pytest.fail(f"no Prometheus: {missing}")
        pytest.skip(missing)
    return subprocess.run(
        [found, *map(str, arguments)], input=given, capture_output=True, text=True, timeout=240
    )
