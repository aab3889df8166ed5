import os
import subprocess
import sys
import time
from collections.abc import Iterator

import pytest

from loadtest.neighbours import Neighbours

CORE = min(os.sched_getaffinity(0))
SPIN = f"import os; os.sched_setaffinity(0, {{{CORE}}})\nwhile True: pass"
SECONDS = 0.6


@pytest.fixture
def spinning() -> Iterator[subprocess.Popen[bytes]]:
    """Run a process that wants all of one core."""
    process = subprocess.Popen([sys.executable, "-c", SPIN])
    yield process
    process.kill()
    process.wait()


def test_what_another_process_takes_of_the_core_is_seen(spinning: subprocess.Popen[bytes]) -> None:
    neighbours = Neighbours(CORE, os.getpid())
    time.sleep(SECONDS)
    assert neighbours.share() > 0.3


def test_what_the_server_takes_itself_is_not_others(spinning: subprocess.Popen[bytes]) -> None:
    of_others, of_all = Neighbours(CORE, spinning.pid), Neighbours(CORE, os.getpid())
    time.sleep(SECONDS)
    assert of_others.share() < of_all.share()
