"""The interpreter's own work beside batches of records: told by its counters, in a process of its own."""

from __future__ import annotations

import json
import subprocess
import sys

PROGRAM = """
import gc, json, sys
from stream_ml.runtime.interpreter import suit_batches
if sys.argv[1] == "suited":
    suit_batches()
before = sum(generation["collections"] for generation in gc.get_stats())
for _ in range(20):
    records = [[number] for number in range(10_000)]
looks = sum(generation["collections"] for generation in gc.get_stats()) - before

class Ring:
    alive = 0
    def __init__(self):
        self.ring = self
        Ring.alive += 1
    def __del__(self):
        Ring.alive -= 1

for _ in range(300_000):
    Ring()
print(json.dumps({"looks": looks, "rings": Ring.alive, "switch": sys.getswitchinterval()}))
"""


def figures(how: str) -> dict[str, float]:
    done = subprocess.run([sys.executable, "-c", PROGRAM, how], capture_output=True, text=True, check=True)
    found: dict[str, float] = json.loads(done.stdout)
    return found


def test_batches_of_records_are_seldom_looked_at_and_cycles_still_go() -> None:
    default, suited = figures("default"), figures("suited")
    assert default["looks"] > 100
    assert suited["looks"] <= 2
    assert suited["rings"] < 300_000
    assert suited["switch"] < default["switch"]
