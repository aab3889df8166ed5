"""`loadtest endurance`: the services work on and hold what they held, and one that leaks is noticed."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import orjson
import pytest
from click.testing import CliRunner

from loadtest.__main__ import main
from loadtest.growth import BARS, sampling
from tests.servers.kafka import require_kafka
from tests.servers.processes import Process

FEWEST_MINUTES, MOST_MINUTES = 0.1, 10


def endured(*options: str) -> dict[str, Any]:
    outcome = CliRunner().invoke(main, ["endurance", "--json", *options], catch_exceptions=False)
    assert outcome.exit_code == 0, outcome.output
    result: dict[str, Any] = orjson.loads(outcome.stdout)
    return result


@pytest.mark.timeout(3600)
def test_the_services_hold_what_they_held_and_one_that_leaks_is_noticed(
    request: pytest.FixtureRequest, record_property: Callable[[str, object], None]
) -> None:
    require_kafka()
    full = request.config.getoption("--full-counts")
    size = [f"--minutes={MOST_MINUTES}"] if full else [f"--minutes={FEWEST_MINUTES}", "--quick"]
    result = endured(*size)
    assert result["leaks_found_in_the_control"] == len(BARS), result["rows"]
    assert result["calls"] > 0
    processes = {row["process"] for row in result["rows"]}
    assert processes == {"learner", "predictor", "drift monitor", "predictor that leaks"}
    if full:  # within seconds a process has not even made room for itself
        for figure in ("minutes", "calls", "p99_ms"):
            record_property(figure, result[figure])
        assert (result["not_flat"], result["shed_calls"]) == (0, 0), result["rows"]


def test_the_end_of_a_process_that_is_watched_is_an_error(tmp_path: Path) -> None:
    process = Process.python(["-c", "import time; time.sleep(60)"], tmp_path / "log").start()

    def watch() -> None:
        with sampling({"it": process.pid}, 0.01):
            process.kill()
            time.sleep(0.2)

    with pytest.raises(RuntimeError, match="ended"):
        watch()
