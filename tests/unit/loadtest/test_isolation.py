import os
from pathlib import Path
from time import sleep

import pytest

from loadtest.isolation import beside, isolated


def cores_and_process() -> tuple[set[int], int]:
    return os.sched_getaffinity(0), os.getpid()


def fail() -> None:
    raise ValueError("as the test wants it")


def write_numbers(path: Path) -> None:
    for number in range(1_000_000):
        path.write_text(str(number))
        sleep(0.001)


def test_a_contestant_runs_on_its_cores_in_a_process_of_its_own() -> None:
    core = min(os.sched_getaffinity(0))
    cores, process = isolated([core], cores_and_process)
    assert cores == {core}
    assert process != os.getpid()
    assert cores_and_process()[0] != {core} or os.cpu_count() == 1


def test_a_contestant_that_fails_is_an_error_here(capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(RuntimeError, match="exit code 1"):
        isolated(os.sched_getaffinity(0), fail)
    assert "as the test wants it" in capfd.readouterr().err


def test_what_runs_beside_is_ended(tmp_path: Path) -> None:
    path = tmp_path / "numbers"
    with beside(os.sched_getaffinity(0), write_numbers, path):
        while not path.exists():
            sleep(0.01)
    written = path.read_text()
    sleep(0.05)
    assert path.read_text() == written


def test_what_ends_early_beside_is_an_error(capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(RuntimeError, match="ended early"), beside(os.sched_getaffinity(0), fail):
        sleep(2)
