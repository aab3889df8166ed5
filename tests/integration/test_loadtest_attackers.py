"""The attackers of `loadtest attack`, each kind against a real front: they do what is said of them."""

import sys
from collections.abc import Iterator
from dataclasses import replace
from subprocess import PIPE, Popen

import pytest

from loadtest.attack import Memory
from loadtest.attackers import Attack, Habit, attack, bombs, habits
from loadtest.calls import score_frames
from stream_ml._native import Front
from tests.servers.processes import wait_until

CALL = score_frames([b"{}"])[0]
KINDS = {habit.name: habit for habit in habits(CALL)}
SECONDS = 1.5


@pytest.fixture
def front() -> Iterator[Front]:
    front = Front("127.0.0.1", 0, limits={"transfer_seconds": 0.3})
    yield front
    front.drain(0.0)


def sent_by(kind: str, front: Front, **faster: float) -> tuple[Attack, dict[str, int], dict[str, int]]:
    """Return what a few of *kind* did, and the calls and closures that the front counted."""
    habit = replace(KINDS[kind], clients=5, **faster)
    done = attack(front.port, [habit], SECONDS, seed=7)
    wait_until(lambda: front.stats()["connections_open"] == 0)
    stats = front.stats()
    assert stats["connections_accepted"] == done.connections
    return done, stats["calls"], stats["closed"]


def test_there_are_two_hundred() -> None:
    assert sum(habit.clients for habit in KINDS.values()) == 200


def test_one_that_trickles_is_cut_off_where_its_call_takes_too_long_and_comes_back(front: Front) -> None:
    done, calls, closed = sent_by("trickles", front)
    assert closed["slow_frame"] > 5
    assert done.cut_off == pytest.approx(closed["slow_frame"], abs=5), "it may have ended first"
    assert done.connections == 5 + done.cut_off
    assert calls["answered"] == calls["malformed"] == 0


def test_one_that_trickles_fast_enough_is_answered_and_stays(front: Front) -> None:
    done, calls, _ = sent_by("trickles", front, interval_seconds=0.001, rest_seconds=0.001)
    assert calls["no_model_yet"] > 5
    assert (done.connections, done.cut_off) == (5, 0)
    assert done.pieces >= calls["no_model_yet"] * len(CALL)


def test_half_a_frame_is_held_until_it_is_cut_off(front: Front) -> None:
    done, calls, closed = sent_by("half a frame", front, rest_seconds=0.5)
    assert closed["slow_frame"] >= 5
    assert done.connections > 5
    assert not any(calls.values())


def test_one_that_never_reads_is_cut_off_once_its_answers_are_not_taken(front: Front) -> None:
    done, calls, closed = sent_by(
        "never reads", front, piece_bytes=1 << 20, interval_seconds=0.001, rest_seconds=0.001
    )
    assert closed["slow_reader"] > 0
    assert done.cut_off > 0
    assert calls["no_model_yet"] > 1000


def test_bombs_are_refused_in_several_ways(front: Front) -> None:
    done, calls, closed = sent_by("bombs", front, interval_seconds=0.001, rest_seconds=0.05)
    assert done.connections > len(bombs())
    assert calls["malformed"] > 0
    assert calls["no_model_yet"] > 0, "what is well-formed is scored where there is a model"
    assert closed["frame_too_large"] > 0


def test_who_attacks_nobody_is_told() -> None:
    with pytest.raises(ConnectionRefusedError):
        attack(1, [Habit("none", 1, [CALL], 1, 1.0, 1.0)], 0.1, seed=1)


def test_memory_that_was_given_back_counts_too() -> None:
    program = "for line in open(0): len(b'x' * (int(line) << 20)); print(flush=True)"
    with Popen([sys.executable, "-c", program], stdin=PIPE, stdout=PIPE, bufsize=0) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(b"1\n")
        process.stdout.readline()
        memory = Memory(process.pid)
        assert memory.growth_mib() < 10
        process.stdin.write(b"100\n")
        process.stdout.readline()
        assert 90 < memory.growth_mib() < 120
