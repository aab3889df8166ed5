"""Faults produced for real: in Prometheus the right alert rings, no other does, and it ends once mended."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.servers.kafka import require_kafka
from tests.servers.processes import wait_until
from tests.servers.redis import require_redis
from tests.system.alerts.faults import SIX, Fault
from tests.system.alerts.more import MORE
from tests.system.alerts.plant import FACTOR, Plant
from tests.system.alerts.slow import FACTOR as FASTER
from tests.system.alerts.slow import SLOW

Record = Callable[[str, object], None]
LONGEST_SECONDS = 300
HEALTHY_SECONDS = 3
GROUPS = {"six": SIX, **MORE, "long": SLOW}


@contextmanager
def plant(directory: Path, *, whole: bool, factor: float) -> Iterator[Plant]:
    """*whole*: with two predictors, a drift monitor and a retrainer."""
    require_kafka()
    require_redis()
    directory.mkdir()
    plant = Plant(directory, predictors=2 if whole else 1, keepers=whole, factor=factor)
    try:
        yield plant.start()
    finally:
        plant.close()


def suffer(plant: Plant, fault: Fault) -> dict[str, object]:
    """Let *fault* come and go; return what was seen of it."""
    wait_until(lambda: not plant.ringing(), LONGEST_SECONDS, plant.told)
    began_at = time.time()
    fault.produce(plant)
    produced_at = time.time()
    wait_until(lambda: fault.alert in plant.ringing(), LONGEST_SECONDS, plant.told)
    rang_at = time.time()
    time.sleep(fault.stays_seconds)
    mended_at = time.time()
    fault.mend(plant)
    wait_until(lambda: not plant.ringing(), LONGEST_SECONDS, plant.told)
    silent_at = time.time()
    rang = plant.rang_since(began_at)
    assert rang - fault.beside == {fault.alert}, f"{fault.name}: {rang} rang"
    return {
        "alert": fault.alert,
        "beside": sorted(fault.beside & rang),
        "rings_after_seconds": round(rang_at - produced_at, 1),
        "silent_after_seconds": round(silent_at - mended_at, 1),
        "hours_are_seconds": 3600 / plant.factor,
    }


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Six faults in every run, all of them with full counts."""
    groups = GROUPS if metafunc.config.getoption("--full-counts") else {"six": SIX}
    metafunc.parametrize("faults", groups.values(), ids=groups.keys())


@pytest.mark.timeout(1800)
def test_faults_ring_as_they_should_and_nothing_else_does(
    faults: list[Fault], tmp_path: Path, record_property: Record
) -> None:
    factor = FASTER if faults is SLOW else FACTOR
    with plant(tmp_path / "plant", whole=faults is not SIX, factor=factor) as one:
        began_at = time.time()
        time.sleep(HEALTHY_SECONDS)
        assert one.rang_since(began_at) == set(), "nothing is wrong yet"
        for fault in faults:
            record_property(fault.name, suffer(one, fault))
