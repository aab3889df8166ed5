"""`stream-ml demo-drift`: the whole loop by the real services, on the embedded broker."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import orjson
import pytest


@pytest.mark.timeout(300)
def test_drift_is_noticed_and_a_better_model_serves_in_the_end(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "stream_ml", "demo-drift", "--json", "--reports", str(tmp_path)],
        capture_output=True,
        text=True,
        timeout=240,
    )
    assert done.returncode == 0, done.stderr
    report = orjson.loads(done.stdout)
    assert report["missing"] is None
    assert 0 < report["alarm_after_events"] <= 10_000
    assert report["winner"]
    assert 0 < report["interval"][0] < report["difference"] < report["interval"][1]
    assert (report["promoted"], report["kept"]) == ("v2", True)
    assert report["loss_after"] < report["loss_before"]
    assert report["unanswered"] == 0
    page = Path(report["report"])
    assert page == tmp_path / report["job"]
    assert {"report.md", "report.json"} < {path.name for path in page.iterdir()}
    assert any(path.suffix == ".png" for path in page.iterdir())
    # What a person reads, in this order.
    told = ["visitors come", "what sells changes", "drift, told", "the gate: promote", "v2 serves", "is over"]
    places = [done.stderr.find(line) for line in told]
    assert -1 not in places
    assert places == sorted(places)
