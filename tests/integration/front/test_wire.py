"""The Thrift front on real sockets: what a bad client, or one in a hurry, does not get."""

import struct
import threading
import time
from contextlib import suppress

import pytest
from thriftpy2.protocol import TCyBinaryProtocolFactory
from thriftpy2.rpc import client_context
from thriftpy2.thrift import TApplicationException
from thriftpy2.transport import TCyFramedTransportFactory

from stream_ml import _native
from stream_ml.serving.idl import predictor
from stream_ml.serving.results import BadRequest
from tests.integration.front.wire import (
    GOOD,
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


def test_calls_sent_at_once_are_answered_in_order_a_turn_after_the_other(
    open_front: OpenFront, connect: Connect
) -> None:
    front = open_front(turn_bytes=1024)
    calls, names = 2000, [str(number).encode() for number in range(2000)]
    with connect(front) as connection:
        sender = threading.Thread(
            target=connection.sendall, args=(b"".join(framed(score_message(name=name)) for name in names),)
        )
        sender.start()
        answers = [read_frame(connection) for _ in range(calls)]
        sender.join()
    assert [answer[8 : 8 + len(name)] for answer, name in zip(answers, names, strict=True)] == names
