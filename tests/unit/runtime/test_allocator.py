"""Freed memory stays with a process that asks for it: told by page faults, in a process of its own."""

from __future__ import annotations

import subprocess
import sys

import pytest

PROGRAM = """
import resource, sys
from stream_ml.runtime.allocator import keep_freed_memory
if sys.argv[1] == "keep":
    assert keep_freed_memory()

def batch():
    return [bytes(64_000) for _ in range(16)]

kept = batch()
del kept
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(100):
    kept = batch()
    del kept
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def faults(how: str) -> int:
    done = subprocess.run([sys.executable, "-c", PROGRAM, how], capture_output=True, text=True, check=True)
    return int(done.stdout)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="mallopt is glibc's")
def test_batches_that_come_and_go_cost_no_page_faults_once_memory_is_kept() -> None:
    # 100 batches of 16 records of 16 pages each.
    assert faults("default") > 10_000
    assert faults("keep") < 1_000
