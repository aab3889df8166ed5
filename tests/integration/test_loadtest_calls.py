"""The load generator of `loadtest serve`, against servers whose behaviour is known."""

import os
from collections.abc import Iterator
from pathlib import Path
from threading import Event, Thread
from time import sleep

import pytest

from loadtest.calls import closed_loop, open_loop, score_frames
from loadtest.isolation import isolated
from loadtest.stream import Stream
from tests.servers.processes import Process, answers, free_port

FRAMES = score_frames(Stream(64).lines(0, 64).splitlines())
CORES = os.sched_getaffinity(0)


@pytest.fixture
def port() -> int:
    return free_port()


@pytest.fixture(autouse=True)
def server(port: int, tmp_path: Path) -> Iterator[Process]:
    cores = ",".join(map(str, CORES))
    server = Process.python(["-m", "loadtest.constant_server", str(port), cores], tmp_path / "log").start()
    yield server.wait_until(lambda: answers(port))
    server.kill()


@pytest.mark.parametrize("pipelined", [1, 16])
def test_a_closed_loop_counts_answers(port: int, pipelined: int) -> None:
    load = isolated(CORES, closed_loop, port, FRAMES, 4, pipelined, 0.5)
    assert load.calls > 50
    assert 0 < load.busy <= 1.1


def test_an_open_loop_makes_its_calls_at_the_rate_asked_for_and_waits_for_all(port: int) -> None:
    load = isolated(CORES, open_loop, port, FRAMES, 4, 500.0, 1.0, 7)
    assert load.calls == 600
    assert load.seconds == pytest.approx(1.2, abs=0.5)
    assert load.percentile_ms(50) > 0


def test_a_stall_is_felt_by_every_call_that_should_have_been_made_meanwhile(
    port: int, server: Process
) -> None:
    ended = Event()

    def stall_again_and_again() -> None:
        while not ended.wait(0.5):
            server.freeze()
            sleep(0.5)
            server.thaw()

    stalls = Thread(target=stall_again_and_again)
    stalls.start()
    load = isolated(CORES, open_loop, port, FRAMES, 2, 200.0, 3.0, 7)
    ended.set()
    stalls.join()
    # Half of the time; calls sent one after the other would have shown a few slow ones among hundreds.
    assert load.percentile_ms(75) > 100
    assert load.percentile_ms(100) > 400
