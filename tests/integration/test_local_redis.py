"""The Redis of a demo ends with it, however that ends."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.servers.processes import answers, wait_until
from tests.servers.redis import require_redis

DEMO = """
import sys, time
from pathlib import Path
from stream_ml.local.redis import LocalRedis
with LocalRedis(Path(sys.argv[1])) as redis:
    print(redis.url, flush=True)
    time.sleep(60)
"""


@pytest.mark.skipif(shutil.which("setpriv") is None, reason="of util-linux: no Mac has it")
def test_a_redis_of_a_demo_that_is_killed_is_gone_too(tmp_path: Path) -> None:
    require_redis()
    demo = subprocess.Popen([sys.executable, "-c", DEMO, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    assert demo.stdout is not None
    with demo.stdout:
        port = int(demo.stdout.readline().rpartition(":")[2])
    assert answers(port)
    demo.kill()
    demo.wait()
    wait_until(lambda: not answers(port), 10)
