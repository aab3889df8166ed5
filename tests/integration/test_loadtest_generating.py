"""The generators of `loadtest scenarios`: a server that stands still, and themselves."""

import os
import signal
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from time import perf_counter, sleep

import pytest

from loadtest.calls import score_frames
from loadtest.generating import Generators, Phase
from loadtest.stream import Stream
from tests.servers.processes import Process, answers, free_port, wait_until

FRAMES = score_frames(Stream(64).lines(0, 64).splitlines(), events_a_call=4)
CORES = os.sched_getaffinity(0)
STILL_SECONDS = 0.5


@pytest.fixture
def port() -> int:
    return free_port()


@pytest.fixture
def server(port: int, tmp_path: Path) -> Iterator[Process]:
    cores = ",".join(map(str, CORES))
    server = Process.python(["-m", "loadtest.constant_server", str(port), cores], tmp_path / "log").start()
    yield server.wait_until(lambda: answers(port))
    server.kill()


@pytest.fixture
def generators(server: Process) -> Iterator[Generators]:
    with Generators(CORES, 2, FRAMES, 2, seed=7) as generators:
        yield generators


def test_calls_are_made_at_the_rates_asked_for_and_all_are_answered(
    generators: Generators, port: int
) -> None:
    calls = generators.run(port, [Phase(200, 0.5), Phase(800, 0.5)])
    begin = calls.intended.min()
    assert len(calls.between(0, begin + 0.5).waited) == pytest.approx(100, abs=50)
    assert len(calls.waited) == pytest.approx(500, abs=120)
    assert calls.shed == 0
    assert calls.waited.max() < 60
    assert (calls.waited >= calls.late).all(), "both count from the intended time"


def test_a_server_that_stands_still_makes_calls_slow_and_no_generator_late(
    generators: Generators, port: int, server: Process
) -> None:
    with ThreadPoolExecutor(1) as pool:
        calling = pool.submit(generators.run, port, [Phase(300, 1.5)])
        wait_until(lambda: generators.seconds() > 0.3)
        server.freeze()
        sleep(STILL_SECONDS)
        server.thaw()
        calls = calling.result()
    assert calls.waited.max() > 0.8 * STILL_SECONDS
    assert calls.late.max() < calls.waited.max() / 2


def test_generators_that_stand_still_know_that_they_were_late(generators: Generators, port: int) -> None:
    with ThreadPoolExecutor(1) as pool:
        calling = pool.submit(generators.run, port, [Phase(300, 1.5)])
        wait_until(lambda: generators.seconds() > 0.3)
        for number in (signal.SIGSTOP, signal.SIGCONT):
            for process in generators.processes:
                os.kill(process, number)
            sleep(STILL_SECONDS)
        calls = calling.result()
    assert calls.late.max() > 0.8 * STILL_SECONDS
    assert calls.void


def test_calls_end_when_they_are_told_to(generators: Generators, port: int) -> None:
    began = perf_counter()
    with ThreadPoolExecutor(1) as pool:
        calling = pool.submit(generators.run, port, [Phase(100, 1_000.0)])
        wait_until(lambda: generators.seconds() > 0.5)
        generators.stop()
        calls = calling.result()
    assert perf_counter() - began < 100
    assert len(calls.waited) == len(calls.intended) == len(calls.late) > 0
    assert generators.run(port, [Phase(100, 0.3)]).intended.min() > calls.intended.max(), "and begin anew"


def test_a_generator_that_fails_is_an_error_here(generators: Generators, server: Process, port: int) -> None:
    server.kill()
    with pytest.raises(RuntimeError, match="without a result"):
        generators.run(port, [Phase(100, 0.3)])
