"""The Thrift front on real sockets: what a good client gets, and what a bad one does not."""

import json
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress

import pytest
from thriftpy2.protocol import TCyBinaryProtocolFactory
from thriftpy2.rpc import client_context
from thriftpy2.thrift import TApplicationException
from thriftpy2.transport import TCyFramedTransportFactory

from stream_ml import _native
from stream_ml.features import compile_model
from stream_ml.serving.client import PredictorClient
from stream_ml.serving.idl import predictor
from stream_ml.serving.results import BadRequest, NoModelYet, StaleWeights, UnknownModel
from tests.clicks import MODEL, events

PLAN = _native.Plan(compile_model(MODEL).plan_bytes)
Connect = Callable[[_native.Front], socket.socket]
OpenFront = Callable[..., _native.Front]
GOOD = b'{"user": "u1", "page": "p31", "price": 1.5}'


def replica(learned: int = 300, learned_at: float | None = None, step: int = 7) -> _native.Replica:
    learner = _native.Learner(PLAN)
    learner.learn([(0, events(learned), [-1] * learned)])
    cut = learner.cut()
    made = _native.Replica(PLAN)
    made.apply(
        cut.rows, cut.removed, cut.score_state, step, time.time() if learned_at is None else learned_at
    )
    return made


@pytest.fixture
def open_front() -> Iterator[OpenFront]:
    fronts: list[_native.Front] = []

    def open_front(*, serving: bool = True, threads: int = 1, **limits: float) -> _native.Front:
        front = _native.Front("127.0.0.1", 0, threads=threads, limits=limits)
        fronts.append(front)
        if serving:
            front.serve("clicks", "v1", replica())
        return front

    yield open_front
    for front in fronts:
        front.drain(1.0)


@pytest.fixture
def front(open_front: OpenFront) -> _native.Front:
    return open_front()


@pytest.fixture
def client(front: _native.Front) -> Iterator[PredictorClient]:
    with client_of(front) as client:
        yield client


@pytest.fixture
def connect() -> Iterator[Connect]:
    with ExitStack() as connections:

        def connect(front: _native.Front) -> socket.socket:
            made = socket.create_connection(("127.0.0.1", front.port), timeout=10)
            return connections.enter_context(made)

        yield connect


def client_of(front: _native.Front, timeout_seconds: float = 10.0) -> PredictorClient:
    return PredictorClient([f"127.0.0.1:{front.port}"], timeout_seconds=timeout_seconds)


def framed(message: bytes) -> bytes:
    return struct.pack(">I", len(message)) + message


def score_message(*events: bytes, name: bytes = b"score", sequence: int = 0) -> bytes:
    listed = b"".join(framed(event) for event in events)
    header = b"\x80\x01\x00\x01" + framed(name) + struct.pack(">i", sequence)
    return header + b"\x0f\x00\x01\x0b" + struct.pack(">i", len(events)) + listed + b"\x00"


def read_exactly(connection: socket.socket, count: int) -> bytes:
    data = b""
    while len(data) < count:
        part = connection.recv(count - len(data))
        if not part:
            raise EOFError
        data += part
    return data


def read_frame(connection: socket.socket) -> bytes:
    return read_exactly(connection, struct.unpack(">I", read_exactly(connection, 4))[0])


def is_closed(connection: socket.socket) -> bool:
    try:
        return connection.recv(1) == b""
    except ConnectionResetError:
        return True


def wait_until(condition: Callable[[], bool]) -> None:
    give_up_at = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < give_up_at, "it never came to be"
        time.sleep(0.005)


def test_scores_are_those_of_the_replica_and_say_what_they_were_computed_from(open_front: OpenFront) -> None:
    front = open_front(serving=False)
    served = replica(learned_at=time.time() - 5, step=11)
    front.serve("clicks", "v3", served)
    with client_of(front) as client:
        answer = client.score(
            [GOOD, json.loads(GOOD)], uncertainty=True, contributions=True, correlation_id="abc"
        )
    expected = served.score([GOOD], uncertainty=True, contributions=True)[0]
    for score in answer.scores:
        assert (score.prediction, score.log_odds) == (expected["prediction"], expected["log_odds"])
        assert score.uncertainty == expected["uncertainty"]
        assert score.contributions == dict(expected["contributions"])
        assert list(score.contributions) == ["user", "page", "both", "price", "bias"]
        assert sum(score.contributions.values()) == pytest.approx(score.log_odds, abs=1e-6)
    assert (answer.model, answer.variant, answer.step) == ("clicks", "v3", 11)
    assert (answer.fingerprint, answer.correlation_id) == (PLAN.fingerprint, "abc")
    assert (answer.stale, answer.watermark_us) == (False, None)
    assert 5 <= answer.weights_age_seconds < 60


def test_what_was_not_asked_for_is_not_computed(client: PredictorClient) -> None:
    score = client.score([GOOD]).scores[0]
    assert (score.uncertainty, score.contributions, score.error) == (None, None, None)


def test_a_bad_event_fails_alone(client: PredictorClient) -> None:
    bad = [b"", b"{", b'{"user": []}', b"\xff\xfe", GOOD + b"\n" + GOOD]
    good = client.score([GOOD]).scores[0]
    mixed = client.score([part for event in bad for part in (GOOD, event)] + [GOOD]).scores
    assert all(score == good for score in mixed[::2])
    errors = [score.error for score in mixed[1::2]]
    assert [error.reason for error in errors if error] == [
        "invalid_json",
        "invalid_json",
        "wrong_type",
        "invalid_utf8",
        "invalid_json",
    ]
    assert all(error and error.detail for error in errors)


def test_an_empty_call_is_answered_with_no_scores(client: PredictorClient) -> None:
    assert client.score([]).scores == ()


def test_before_a_model_is_served_there_is_no_model_yet(open_front: OpenFront) -> None:
    front = open_front(serving=False)
    with client_of(front, 0.1) as client:
        with pytest.raises(NoModelYet):
            client.score([GOOD])
        front.expect("clicks")
        with pytest.raises(NoModelYet, match="clicks"):
            client.score([GOOD], model="clicks")
        assert [model.ready for model in client.models()] == [False]


def test_another_models_name_is_unknown_and_the_known_ones_are_said(client: PredictorClient) -> None:
    with pytest.raises(UnknownModel) as raised:
        client.score([GOOD], model="other")
    assert raised.value.models == ("clicks",)


def test_of_several_models_one_must_be_named(front: _native.Front, client: PredictorClient) -> None:
    front.serve("visits", "v9", replica())
    with pytest.raises(BadRequest, match="clicks, visits"):
        client.score([GOOD])
    assert client.score([GOOD], model="visits").variant == "v9"
    assert client.score([GOOD], model="clicks").variant == "v1"


def test_weights_older_than_allowed_are_refused(open_front: OpenFront) -> None:
    front = open_front(serving=False)
    front.serve("clicks", "v1", replica(learned_at=time.time() - 100))
    with client_of(front, 0.1) as client:
        assert client.score([GOOD], max_weights_age_seconds=1_000).scores[0].error is None
        with pytest.raises(StaleWeights) as raised:
            client.score([GOOD], max_weights_age_seconds=50)
        assert 100 <= raised.value.weights_age_seconds < 160
        with pytest.raises(StaleWeights):
            client.score([GOOD], max_weights_age_seconds=float("nan"))


def test_status_tells_what_is_served(front: _native.Front, client: PredictorClient) -> None:
    front.expect("visits")
    front.mark_stale("clicks", True)
    status = client.status()
    assert (status.connections, status.draining) == (1, False)
    served, awaited = status.models
    assert (served.model, served.ready, served.variant, served.step, served.stale) == (
        "clicks",
        True,
        "v1",
        7,
        True,
    )
    assert served.rows is not None
    assert served.rows > 100
    assert (awaited.model, awaited.ready, awaited.variant) == ("visits", False, None)
    assert client.models() == status.models or client.models()[0].weights_age_seconds


def test_stale_is_said_until_the_next_variant(front: _native.Front, client: PredictorClient) -> None:
    front.mark_stale("clicks", True)
    assert client.score([GOOD]).stale
    front.serve("clicks", "v2", replica())
    assert not client.score([GOOD]).stale


def test_plain_thriftpy2_and_unstrict_messages_are_understood(front: _native.Front) -> None:
    for strict in (True, False):
        factory = TCyBinaryProtocolFactory(strict_read=strict, strict_write=strict)
        with client_context(
            predictor.Predictor,
            "127.0.0.1",
            front.port,
            proto_factory=factory,
            trans_factory=TCyFramedTransportFactory(),
        ) as plain:
            answer = plain.score([GOOD], predictor.ScoreOptions())
            assert answer.scores[0].prediction == replica().score([GOOD])[0]["prediction"]


def test_pipelined_calls_are_answered_in_order_even_when_bytes_trickle(
    front: _native.Front, connect: Connect
) -> None:
    connection = connect(front)
    stream = b"".join(framed(score_message(*[GOOD] * (at % 3), sequence=at)) for at in range(50))
    for at in range(0, len(stream), 997):
        connection.sendall(stream[at : at + 997])
    for at in range(50):
        reply = read_frame(connection)
        assert reply[:17] == b"\x80\x01\x00\x02\x00\x00\x00\x05score" + struct.pack(">i", at)
        assert reply.count(b"\x04\x00\x01") >= at % 3


def test_an_unknown_function_is_an_application_error_and_the_connection_goes_on(
    front: _native.Front, connect: Connect
) -> None:
    connection = connect(front)
    connection.sendall(framed(score_message(name=b"erase")) + framed(score_message(GOOD)))
    assert read_frame(connection)[:4] == b"\x80\x01\x00\x03"
    assert read_frame(connection)[:4] == b"\x80\x01\x00\x02"


def test_arguments_that_cannot_be_read_are_an_application_error_and_the_connection_goes_on(
    front: _native.Front, connect: Connect
) -> None:
    connection = connect(front)
    lying = score_message()[:-5] + b"\x7f\xff\xff\xff\x00"
    connection.sendall(framed(lying) + framed(score_message(GOOD)))
    assert read_frame(connection)[:4] == b"\x80\x01\x00\x03"
    assert read_frame(connection)[:4] == b"\x80\x01\x00\x02"
    assert front.stats()["calls"]["malformed"] == 1


@pytest.mark.parametrize("garbage", [b"\x00\x00\x00\x00", framed(b"\x80\x02garbage"), framed(b"\xff" * 40)])
def test_a_message_without_a_readable_header_ends_the_connection(
    front: _native.Front, garbage: bytes, connect: Connect
) -> None:
    connection = connect(front)
    connection.sendall(garbage)
    assert read_frame(connection)[:4] == b"\x80\x01\x00\x03"
    assert is_closed(connection)
    wait_until(lambda: front.stats()["closed"]["bad_header"] == 1)


def test_a_frame_beyond_the_limit_is_refused_by_its_length_alone(
    open_front: OpenFront, connect: Connect
) -> None:
    front = open_front(frame_bytes=10_000)
    for announced in (10_001, 2**32 - 1):
        connection = connect(front)
        connection.sendall(struct.pack(">I", announced) + b"x" * 100)
        assert b"the limit is 10000" in read_frame(connection)
        assert is_closed(connection)
    connection = connect(front)
    connection.sendall(b"GET / HTTP/1.1\r\n\r\n")
    assert b"the limit is 10000" in read_frame(connection)
    wait_until(lambda: front.stats()["closed"]["frame_too_large"] == 3)


def test_a_client_is_told_that_its_frame_is_too_large_though_it_is_still_sending(
    open_front: OpenFront,
) -> None:
    front = open_front(frame_bytes=10_000)
    with (
        client_context(
            predictor.Predictor,
            "127.0.0.1",
            front.port,
            proto_factory=TCyBinaryProtocolFactory(),
            trans_factory=TCyFramedTransportFactory(),
        ) as plain,
        pytest.raises(TApplicationException, match="the limit is 10000"),
    ):
        plain.score([GOOD * 20_000], predictor.ScoreOptions())


def test_too_many_events_in_a_call_are_a_bad_request_and_an_event_too_large_fails_alone(
    open_front: OpenFront,
) -> None:
    front = open_front(events=3, event_bytes=100)
    with client_of(front) as client:
        with pytest.raises(BadRequest, match="4 events in one call, the limit is 3"):
            client.score([GOOD] * 4)
        scores = client.score([GOOD, b'{"page": "' + b"p" * 100 + b'"}', GOOD]).scores
        assert [score.error.reason if score.error else None for score in scores] == [None, "too_large", None]
        with pytest.raises(BadRequest, match="correlation_id"):
            client.score([GOOD], correlation_id="x" * 257)


def test_connections_beyond_the_limit_are_closed_and_the_others_go_on(
    open_front: OpenFront, connect: Connect
) -> None:
    front = open_front(connections=2)
    kept = [connect(front) for _ in range(2)]
    for connection in kept:
        connection.sendall(framed(score_message(GOOD)))
        read_frame(connection)
    assert is_closed(connect(front))
    kept[0].sendall(framed(score_message(GOOD)))
    read_frame(kept[0])
    kept[1].close()
    wait_until(lambda: front.stats()["connections_open"] == 1)
    another = connect(front)
    another.sendall(framed(score_message(GOOD)))
    read_frame(another)


def test_a_silent_connection_and_one_that_trickles_are_ended_each_by_its_own_limit(
    open_front: OpenFront, connect: Connect
) -> None:
    front = open_front(idle_seconds=0.1, transfer_seconds=0.1)
    silent = connect(front)
    assert is_closed(silent)
    assert front.stats()["closed"]["idle"] == 1
    trickling = connect(front)
    for byte in framed(score_message(GOOD)):
        try:
            trickling.sendall(bytes([byte]))
        except OSError:
            break
        time.sleep(0.02)
    wait_until(lambda: front.stats()["closed"]["slow_frame"] == 1)


def test_a_client_that_never_reads_is_ended_and_harms_no_other(
    open_front: OpenFront, connect: Connect
) -> None:
    front = open_front(transfer_seconds=0.2)
    greedy = connect(front)
    # 24 MB of answers: more than any socket's buffers hold.
    calls = framed(score_message(*[b"{}"] * 1000)) * 1000

    def send_until_cut() -> None:
        with suppress(ConnectionError):
            greedy.sendall(calls)

    sender = threading.Thread(target=send_until_cut)
    sender.start()
    with client_of(front) as client:
        assert client.score([GOOD]).scores[0].error is None
        wait_until(lambda: front.stats()["closed"]["slow_reader"] == 1)
        assert client.score([GOOD]).scores[0].error is None
    sender.join()


def test_incomplete_frames_share_a_budget(open_front: OpenFront, connect: Connect) -> None:
    front = open_front(buffered_bytes=1_000_000)
    hoarders = [connect(front) for _ in range(10)]
    for hoarder in hoarders:
        hoarder.settimeout(0.2)
        try:
            hoarder.sendall(struct.pack(">I", 400_000) + b"x" * 300_000)
        except OSError:
            continue  # it was cut off meanwhile
    wait_until(lambda: front.stats()["closed"]["out_of_buffers"] >= 6)
    with client_of(front) as client:
        assert client.score([GOOD]).scores[0].error is None


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
