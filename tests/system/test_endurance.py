"""`loadtest endurance`: the services work on and hold what they held, and one that leaks is noticed."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from loadtest import endurance
from loadtest.growth import BARS, sampling
from loadtest.slopes import Verdict
from loadtest.stack import Service
from stream_ml.streams.embedded import EmbeddedBroker
from tests.servers.processes import Process, answers, free_port

# MiB, descriptors and threads a second.
LEAKS = (10.0, 8.0, 4.0)
SAMPLED_SECONDS, INTERVAL_SECONDS = 4.0, 0.05


@contextmanager
def running(folder: Path, broker: EmbeddedBroker, leaking: Sequence[float]) -> Iterator[Service]:
    """Run a predictor that waits for its first model."""
    settings = {"models": ["clicks"], "thrift_port": free_port(), "snapshot_store": folder}
    settings["kafka.'bootstrap.servers'"] = broker.bootstrap
    service = Service("predictor", folder, settings, leaking)
    service.process.start()
    try:
        service.process.wait_until(lambda: answers(service.http_port))
        yield service
    finally:
        service.process.kill()


def verdicts_of(services: dict[str, Service]) -> dict[str, list[Verdict]]:
    processes = {name: service.process.pid for name, service in services.items()}
    with sampling(processes, INTERVAL_SECONDS) as held:
        time.sleep(SAMPLED_SECONDS)
    return {name: [verdict for _, verdict in each.judged().values()] for name, each in held.items()}


def test_a_predictor_that_leaks_is_told_from_one_that_does_not(
    tmp_path: Path, embedded_broker: EmbeddedBroker
) -> None:
    with (
        running(tmp_path, embedded_broker, ()) as honest,
        running(tmp_path, embedded_broker, LEAKS) as leaking,
    ):
        verdicts = verdicts_of({"honest": honest, "leaking": leaking})
    assert verdicts == {"honest": ["flat"] * len(BARS), "leaking": ["leaks"] * len(BARS)}


def test_the_end_of_a_process_that_is_watched_is_an_error(tmp_path: Path) -> None:
    process = Process.python(["-c", "import time; time.sleep(60)"], tmp_path / "log").start()

    def watch() -> None:
        with sampling({"it": process.pid}, 0.01):
            process.kill()
            time.sleep(0.2)

    with pytest.raises(RuntimeError, match="ended"):
        watch()


@pytest.mark.timeout(3600)
def test_after_ten_minutes_of_work_the_services_hold_what_they_held(
    request: pytest.FixtureRequest, record_property: Callable[[str, object], None]
) -> None:
    if not request.config.getoption("--full-counts"):
        pytest.skip("with --full-counts only: it takes ten minutes")
    result = endurance.run(quick=False, seed=1).as_object()
    for figure in ("minutes", "calls", "p99_ms", "not_flat", "leaks_found_in_the_control"):
        record_property(figure, result[figure])
    assert result["leaks_found_in_the_control"] == len(BARS), "the judge is blind"
    assert (result["not_flat"], result["shed_calls"]) == (0, 0), result["rows"]
