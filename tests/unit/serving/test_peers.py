"""Names that stand for several predictors, and for others later; no name is really asked for."""

import socket
import threading
import time
from collections.abc import Callable, Sequence

import pytest

from stream_ml.errors import ConfigError
from stream_ml.runtime.clock import ManualClock
from stream_ml.serving.peers import Peers, addresses_of
from stream_ml.serving.results import PredictorUnavailable


class Names:
    """Answers as it is told; an OSError where it is told nothing."""

    def __init__(self, **hosts: Sequence[str]) -> None:
        self.hosts = dict(hosts)
        self.asked = 0
        self.may_answer = threading.Event()
        self.may_answer.set()

    def __call__(self, name: str) -> Sequence[str]:
        self.may_answer.wait(10)
        self.asked += 1
        if name not in self.hosts:
            raise socket.gaierror(socket.EAI_NONAME, "not known")
        return self.hosts[name]


def peers_of(*addresses: str, names: Names, clock: ManualClock | None = None) -> Peers:
    return Peers(addresses, 2, clock or ManualClock(), names)


def addresses(peers: Peers) -> list[str]:
    return [peer.address for peer in peers.current(10)]


def wait_until(condition: Callable[[], bool]) -> None:
    give_up_at = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < give_up_at
        time.sleep(0.001)


def test_a_name_stands_for_all_its_addresses() -> None:
    names = Names(pods=["10.0.0.1", "10.0.0.2"])
    peers = peers_of("pods:7590", "10.0.0.9:1", "[::1]:2", names=names)
    assert addresses(peers) == ["10.0.0.1:7590", "10.0.0.2:7590", "10.0.0.9:1", "[::1]:2"]


def test_an_address_is_one_predictor_however_often_it_is_found() -> None:
    names = Names(one=["10.0.0.1"], other=["10.0.0.1", "10.0.0.2"])
    assert addresses(peers_of("one:1", "other:1", "10.0.0.2:1", names=names)) == ["10.0.0.1:1", "10.0.0.2:1"]


def test_who_comes_under_the_name_is_found_who_goes_is_left_and_who_stays_is_the_same() -> None:
    names, clock = Names(pods=["10.0.0.1", "10.0.0.2"]), ManualClock()
    peers = peers_of("pods:1", names=names, clock=clock)
    first, stays = peers.current(10)
    stays.losses = 3
    names.hosts["pods"] = ["10.0.0.2", "10.0.0.3"]
    assert addresses(peers) == ["10.0.0.1:1", "10.0.0.2:1"], "not asked again at once"
    clock.advance(5.0)
    peers.current(10)
    wait_until(lambda: addresses(peers) == ["10.0.0.2:1", "10.0.0.3:1"])
    assert peers.current(10)[0] is stays
    assert first not in peers.current(10)


def test_a_loss_asks_sooner_but_not_in_a_loop() -> None:
    names, clock = Names(pods=["10.0.0.1"]), ManualClock()
    peers = peers_of("pods:1", names=names, clock=clock)
    peers.current(10)
    peers.lost()
    clock.advance(1.0)
    assert names.asked == 1
    names.hosts["pods"] = ["10.0.0.2"]
    peers.lost()
    wait_until(lambda: addresses(peers) == ["10.0.0.2:1"])


def test_no_call_waits_while_a_name_is_asked_for_again() -> None:
    names, clock = Names(pods=["10.0.0.1"]), ManualClock()
    peers = peers_of("pods:1", names=names, clock=clock)
    peers.current(10)
    names.may_answer.clear()
    clock.advance(60.0)
    assert [addresses(peers) for _ in range(3)] == [["10.0.0.1:1"]] * 3
    names.may_answer.set()
    wait_until(lambda: names.asked == 2)


def test_a_name_without_an_answer_keeps_what_it_stood_for() -> None:
    names, clock = Names(pods=["10.0.0.1"]), ManualClock()
    peers = peers_of("pods:1", names=names, clock=clock)
    peers.current(10)
    names.hosts.clear()
    clock.advance(5.0)
    peers.current(10)
    wait_until(lambda: names.asked == 2)
    assert addresses(peers) == ["10.0.0.1:1"]


def test_a_name_that_nobody_knows_is_said_and_asked_for_again_by_the_next_call() -> None:
    names = Names()
    peers = peers_of("pods:1", names=names)
    with pytest.raises(PredictorUnavailable, match="pods"):
        peers.current(10)
    names.hosts["pods"] = ["10.0.0.1"]
    assert addresses(peers) == ["10.0.0.1:1"]


def test_a_name_that_could_be_nobodys_is_as_one_that_nobody_knows() -> None:
    with pytest.raises(PredictorUnavailable, match=r"a\.\.b"):
        Peers(["a..b:1"], 2, ManualClock(), addresses_of).current(10)


def test_nobody_waits_longer_for_a_first_answer_than_it_may_and_all_get_the_same() -> None:
    names = Names(pods=["10.0.0.1"])
    names.may_answer.clear()
    peers = peers_of("pods:1", names=names)
    for _ in range(2):
        with pytest.raises(PredictorUnavailable, match=r"within 0\.01 s"):
            peers.current(0.01)
    names.may_answer.set()
    assert addresses(peers) == ["10.0.0.1:1"]
    assert names.asked == 1


def test_literal_addresses_are_never_asked_for() -> None:
    names, clock = Names(), ManualClock()
    peers = peers_of("127.0.0.1:1", names=names, clock=clock)
    for _ in range(3):
        assert addresses(peers) == ["127.0.0.1:1"]
        clock.advance(60.0)
        peers.lost()
    assert names.asked == 0


def test_a_host_of_this_machine_is_found_by_the_system() -> None:
    assert "127.0.0.1" in addresses_of("localhost")


def test_without_an_address_there_is_nobody_to_ask() -> None:
    with pytest.raises(ConfigError, match="at least one"):
        peers_of(names=Names())
