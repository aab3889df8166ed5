"""What `make soak` keeps is of tests that ran."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_a_run_that_only_lists_tests_keeps_nothing() -> None:
    results = ROOT / "docs" / "results" / "soak.json"
    before = results.read_bytes()
    listed = [
        sys.executable,
        "-m",
        "pytest",
        "--full-counts",
        "--collect-only",
        "-q",
        "tests/unit/test_schemas.py",
    ]
    try:
        subprocess.run(listed, cwd=ROOT, check=True, capture_output=True, timeout=60)
        assert results.read_bytes() == before
    finally:
        results.write_bytes(before)
