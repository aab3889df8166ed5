"""The Thrift front on real sockets: swaps, deltas, drains and overload while calls go on."""

import threading
import time

import pytest

from stream_ml import _native
from stream_ml.serving.client import PredictorClient
from tests.clicks import events
from tests.integration.front.wire import (
    GOOD,
    PLAN,
    Connect,
    OpenFront,
    client_of,
    framed,
    is_closed,
    read_frame,
    replica,
    score_message,
    wait_until,
)


def test_calls_are_answered_by_one_variant_each_while_variants_are_swapped(front: _native.Front) -> None:
    variants = {f"v{at}": replica(100 * at, step=at) for at in range(1, 4)}
    expected = {name: made.score([GOOD])[0]["prediction"] for name, made in variants.items()}
    assert len(set(expected.values())) == 3
    front.serve("clicks", "v1", variants["v1"])
    failures: list[str] = []
    ended = threading.Event()

    def ask() -> None:
        with client_of(front) as client:
            while not ended.is_set():
                answer = client.score([GOOD] * 200)
                found = {score.prediction for score in answer.scores}
                if found != {expected[answer.variant]} or answer.step != int(answer.variant[1:]):
                    failures.append(f"{answer.variant} {answer.step}: {found}")

    askers = [threading.Thread(target=ask) for _ in range(2)]
    for asker in askers:
        asker.start()
    for at in range(300):
        name = f"v{at % 3 + 1}"
        front.serve("clicks", name, variants[name])
    ended.set()
    for asker in askers:
        asker.join()
    assert failures == []


def test_scores_while_deltas_are_applied_are_of_the_weights_before_or_after(open_front: OpenFront) -> None:
    front = open_front(serving=False)
    served = replica(100)
    front.serve("clicks", "v1", served)
    learner = _native.Learner(PLAN)
    expected: dict[int, float] = {}
    with client_of(front) as client:
        for step in range(1, 30):
            learner.learn([(0, events(100, 100 * step), [-1] * 100)])
            cut = learner.cut()
            served.apply(cut.rows, cut.removed, cut.score_state, step, time.time())
            expected[step] = served.score([GOOD])[0]["prediction"]
            answer = client.score([GOOD])
            assert answer.step == step
            assert answer.scores[0].prediction == expected[step]
    assert len(set(expected.values())) > 20


def test_draining_answers_what_is_in_flight_and_takes_nothing_new(
    front: _native.Front, connect: Connect
) -> None:
    idle, halfway = connect(front), connect(front)
    message = framed(score_message(GOOD))
    for connection in (idle, halfway):
        connection.sendall(message)
        read_frame(connection)
    halfway.sendall(message[:20])
    wait_until(lambda: front.stats()["connections_open"] == 2)
    drained: list[bool] = []
    drainer = threading.Thread(target=lambda: drained.append(front.drain(10.0)))
    drainer.start()
    assert is_closed(idle)
    with pytest.raises(ConnectionRefusedError):
        connect(front)
    halfway.sendall(message[20:])
    assert read_frame(halfway)[:4] == b"\x80\x01\x00\x02"
    assert is_closed(halfway)
    drainer.join()
    assert drained == [True]
    assert front.stats()["connections_open"] == 0


def test_a_drain_that_runs_out_of_time_says_so_and_cuts(front: _native.Front, connect: Connect) -> None:
    connection = connect(front)
    connection.sendall(framed(score_message(GOOD))[:20])
    wait_until(lambda: front.stats()["connections_open"] == 1)
    assert front.drain(0.1) is False
    assert is_closed(connection)
    assert front.drain(0.1) is True, "there is nothing left to drain"


def test_overload_is_shed_with_a_hint_while_the_thread_is_late(
    open_front: OpenFront, connect: Connect
) -> None:
    # Every thread is later than nothing at all: the limit is crossed at the first probe.
    front = open_front(lag_seconds=0.0)
    connection = connect(front)

    def is_shed() -> bool:
        connection.sendall(framed(score_message(GOOD)))
        return b"late" in read_frame(connection)

    wait_until(is_shed)
    assert front.stats()["calls"]["overloaded"] >= 1
    with client_of(front) as client:
        assert client.status().models, "status answers all the same"


def test_several_threads_serve_the_same_models(open_front: OpenFront) -> None:
    front = open_front(threads=3)
    clients = [client_of(front) for _ in range(12)]
    assert len({client.score([GOOD]).scores[0].prediction for client in clients}) == 1
    for client in clients:
        client.close()


def test_the_latency_histogram_counts_every_call(front: _native.Front, client: PredictorClient) -> None:
    for _ in range(25):
        client.score([GOOD])
    wait_until(lambda: sum(front.stats()["latency_buckets"]) == 25)
    stats = front.stats()
    assert len(stats["latency_buckets"]) == len(stats["latency_bounds_seconds"]) + 1
    assert (stats["calls"]["answered"], stats["events_scored"]) == (25, 25)
    assert stats["latency_sum_seconds"] > 0


def test_a_port_in_use_and_an_unknown_limit_are_said(front: _native.Front) -> None:
    with pytest.raises(OSError, match=str(front.port)):
        _native.Front("127.0.0.1", front.port)
    with pytest.raises(ValueError, match="patience"):
        _native.Front("127.0.0.1", 0, limits={"patience": 1})
