"""The client against several predictors, some of which are away, busy, or not ready."""

import random
import socket
import threading
import time
from collections.abc import Callable, Iterator

import pytest

from stream_ml import _native
from stream_ml.errors import ConfigError, RecoverableError
from stream_ml.features import compile_model
from stream_ml.serving.client import PredictorClient
from stream_ml.serving.peers import Peer
from stream_ml.serving.results import CallRefused, NoModelYet, Overloaded, PredictorUnavailable, StaleWeights
from tests.clicks import MODEL
from tests.servers.processes import free_port

PLAN = _native.Plan(compile_model(MODEL).plan_bytes)
GOOD = {"user": "u1", "page": "p31", "price": 1.5}
OpenFront = Callable[..., _native.Front]


@pytest.fixture
def open_front() -> Iterator[OpenFront]:
    fronts: list[_native.Front] = []

    def open_front(variant: str | None = "v1", port: int = 0, **limits: float) -> _native.Front:
        front = _native.Front("127.0.0.1", port, limits=limits)
        fronts.append(front)
        if variant is not None:
            serve(front, variant)
        return front

    yield open_front
    for front in fronts:
        front.drain(1.0)


def serve(front: _native.Front, variant: str, age_seconds: float = 0.0) -> None:
    replica = _native.Replica(PLAN)
    replica.confirm(time.time() - age_seconds)
    front.serve("clicks", variant, replica)


def address(port: int) -> str:
    return f"127.0.0.1:{port}"


def client_of(*fronts: _native.Front, timeout_seconds: float = 10.0) -> PredictorClient:
    return PredictorClient([address(front.port) for front in fronts], timeout_seconds=timeout_seconds)


class Sleeps:
    """Notes how long the client wanted to wait, and waits."""

    def __init__(self) -> None:
        self.seconds: list[float] = []

    def __call__(self, seconds: float) -> None:
        self.seconds.append(seconds)
        time.sleep(seconds)


def test_calls_go_to_the_predictors_in_turn(open_front: OpenFront) -> None:
    with client_of(open_front("a"), open_front("b"), open_front("c")) as client:
        assert [client.score([GOOD]).variant for _ in range(6)] == ["a", "b", "c", "a", "b", "c"]


def test_one_predictor_that_is_away_is_not_noticed(open_front: OpenFront) -> None:
    front = open_front()
    with PredictorClient([address(free_port()), address(front.port)]) as client:
        assert [client.score([GOOD]).variant for _ in range(20)] == ["v1"] * 20


def test_one_predictor_that_hangs_costs_its_share_of_the_time_and_is_then_left_alone(
    open_front: OpenFront,
) -> None:
    front = open_front()
    with socket.create_server(("127.0.0.1", 0)) as deaf:
        hanging = address(deaf.getsockname()[1])
        with PredictorClient(
            [hanging, address(front.port)], timeout_seconds=2.0, attempt_timeout_seconds=0.05
        ) as client:
            assert [client.score([GOOD]).variant for _ in range(5)] == ["v1"] * 5


def test_among_many_predictors_an_attempt_still_has_a_third_of_the_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    client = PredictorClient([f"127.0.0.1:{port}" for port in range(1, 13)], timeout_seconds=3.0)
    given: list[float] = []

    def ask(_peer: Peer, _function: str, _arguments: object, seconds: float) -> None:
        given.append(seconds)
        raise KeyboardInterrupt

    monkeypatch.setattr(client, "_ask", ask)
    with pytest.raises(KeyboardInterrupt):
        client.score([b"{}"])
    assert given == [1.0]


def test_when_all_are_away_the_last_problem_is_said_after_the_timeout() -> None:
    gone = address(free_port())
    client = PredictorClient([gone], timeout_seconds=0.1)
    with pytest.raises(PredictorUnavailable, match=gone) as raised:
        client.score([GOOD])
    assert isinstance(raised.value, RecoverableError)


def test_a_predictor_that_comes_back_on_its_port_is_found_and_old_connections_do_no_harm(
    open_front: OpenFront,
) -> None:
    front = open_front("before")
    port = front.port
    with client_of(front) as client:
        together = threading.Barrier(4)

        def ask() -> None:
            together.wait()
            client.score([GOOD])

        askers = [threading.Thread(target=ask) for _ in range(4)]
        for asker in askers:
            asker.start()
        for asker in askers:
            asker.join()
        front.drain(5.0)
        open_front("after", port=port)
        assert [client.score([GOOD]).variant for _ in range(5)] == ["after"] * 5


def test_a_predictor_without_the_model_or_with_old_weights_is_passed_over(open_front: OpenFront) -> None:
    waiting, old, good = open_front(None), open_front(None), open_front("good")
    serve(old, "old", age_seconds=100)
    with client_of(waiting, old, good) as client:
        for _ in range(6):
            assert client.score([GOOD], max_weights_age_seconds=50).variant == "good"


def test_when_nobody_has_the_model_yet_that_is_what_is_said(open_front: OpenFront) -> None:
    with client_of(open_front(None), open_front(None), timeout_seconds=0.1) as client:
        with pytest.raises(NoModelYet):
            client.score([GOOD])
        assert client.models() == (), "asking what is there need not wait for a model"


def test_a_call_waits_for_the_first_model_as_long_as_it_has_time(open_front: OpenFront) -> None:
    front = open_front(None)
    later = threading.Timer(0.2, serve, (front, "v1"))
    later.start()
    with client_of(front) as client:
        assert client.score([GOOD]).variant == "v1"
    later.join()


def test_too_old_weights_say_their_age(open_front: OpenFront) -> None:
    front = open_front(None)
    serve(front, "old", age_seconds=100)
    with client_of(front, timeout_seconds=0.1) as client, pytest.raises(StaleWeights) as raised:
        client.score([GOOD], max_weights_age_seconds=50)
    assert raised.value.weights_age_seconds >= 100


def overloaded(front: _native.Front) -> None:
    """Wait until *front*, whose limit is zero, sheds calls."""
    with client_of(front, timeout_seconds=0.05) as client:
        while front.stats()["calls"]["overloaded"] == 0:
            try:
                client.score([GOOD])
            except PredictorUnavailable:
                return


def test_an_overloaded_predictor_is_left_alone_for_as_long_as_it_asks(open_front: OpenFront) -> None:
    busy, free = open_front("busy", lag_seconds=0.0), open_front("free")
    overloaded(busy)
    before = busy.stats()["calls"]["overloaded"]
    with client_of(busy, free) as client:
        assert [client.score([GOOD]).variant for _ in range(3)] == ["free"] * 3
    assert busy.stats()["calls"]["overloaded"] == before + 1


def test_where_all_are_overloaded_the_client_backs_off_longer_each_time(open_front: OpenFront) -> None:
    busy, sleeps = open_front(lag_seconds=0.0), Sleeps()
    overloaded(busy)
    client = PredictorClient(
        [address(busy.port)], timeout_seconds=0.4, sleep=sleeps, randomness=random.Random(5)
    )
    with client, pytest.raises(Overloaded) as raised:
        client.score([GOOD])
    assert raised.value.retry_after_seconds >= 0
    assert len(sleeps.seconds) >= 2
    assert sleeps.seconds[1] > sleeps.seconds[0] > 0


def test_another_service_on_the_port_is_refused_at_once(open_front: OpenFront) -> None:
    front = open_front(frame_bytes=1024)
    with client_of(front) as client:
        with pytest.raises(CallRefused, match="the limit is 1024"):
            client.score([{"page": "p" * 2000}])
        assert client.score([GOOD]).variant == "v1", "on a new connection"


def test_many_threads_share_a_client(open_front: OpenFront) -> None:
    fronts = open_front("a"), open_front("b")
    answered: list[int] = []
    with client_of(*fronts) as client:

        def ask(size: int) -> None:
            for _ in range(50):
                answered.append(len(client.score([GOOD] * size).scores) - size)

        askers = [threading.Thread(target=ask, args=(size,)) for size in range(1, 9)]
        for asker in askers:
            asker.start()
        for asker in askers:
            asker.join()
    assert answered == [0] * 400, "everyone gets the answer to his own call"


def test_addresses_are_checked_before_anything_is_opened() -> None:
    for wrong in (
        "localhost",
        "localhost:",
        "localhost:http",
        "localhost:0",
        "localhost:65536",
        "localhost:²",
    ):
        with pytest.raises(ConfigError, match="host:port"):
            PredictorClient([wrong])
    with pytest.raises(ConfigError, match="at least one"):
        PredictorClient([])
