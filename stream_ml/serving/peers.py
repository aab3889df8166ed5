"""The predictors behind a client's addresses: a name may stand for several, and for others later."""

from __future__ import annotations

import ipaddress
import socket
import threading
from collections.abc import Callable, Sequence

from stream_ml.errors import ConfigError
from stream_ml.runtime.clock import Clock
from stream_ml.serving.connections import Pool
from stream_ml.serving.results import PredictorUnavailable

# Kubernetes' names are good for so long, and a pod that goes is off its name for longer before it drains.
_ASK_AGAIN_SECONDS = 5.0
# Where one of them has just been lost, sooner: a name that stands for nobody must not be asked for in a loop.
_ASK_AFTER_LOSS_SECONDS = 1.0
_LARGEST_PORT = 65_535

Resolve = Callable[[str], Sequence[str]]


class Peer:
    """One predictor, and until when it is left alone."""

    def __init__(self, host: str, port: int, pool_size: int) -> None:
        self.pool = Pool(host, port, pool_size)
        self.address = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        self.rests_until = 0.0
        self.losses = 0
        self.problem: PredictorUnavailable | None = None


class Peers:
    """
    All predictors there are now. Thread-safe.

    Names are asked for at the first call, and again from time to time. Nobody but the first callers waits for
    an answer, and each of them no longer than it may. A name that has none keeps what it stood for.
    """

    def __init__(self, addresses: Sequence[str], pool_size: int, clock: Clock, resolve: Resolve) -> None:
        if not addresses:
            raise ConfigError("a client needs the address of at least one predictor")
        self._places = [_place(address) for address in addresses]
        self._names = any(not _is_literal(host) for host, _ in self._places)
        self._pool_size, self._clock, self._resolve = pool_size, clock, resolve
        self._peers: list[Peer] = []
        self._known: dict[str, Sequence[str]] = {}
        self._asked_at = 0.0
        self._asking = False
        self._lock = threading.Lock()
        self._answered = threading.Condition(self._lock)

    def current(self, seconds: float) -> list[Peer]:
        """
        Return the predictors, in the order of the addresses; within *seconds*.

        Raises:
            PredictorUnavailable: no name stands for anybody yet; safe to retry.
        """
        with self._lock:
            if not self._peers:
                self._wait_for_first(seconds)
            elif self._names and self._clock.monotonic() >= self._asked_at + _ASK_AGAIN_SECONDS:
                self._ask_in_background()
            return self._peers

    def lost(self) -> None:
        """Take notice that one of them did not answer: its name may stand for others by now."""
        with self._lock:
            if self._names and self._clock.monotonic() >= self._asked_at + _ASK_AFTER_LOSS_SECONDS:
                self._ask_in_background()

    def close(self) -> None:
        """Hang up all idle connections."""
        with self._lock:
            for peer in self._peers:
                peer.pool.close()

    def _ask_in_background(self) -> None:
        if not self._asking:
            self._asking = True
            threading.Thread(target=self._ask_aside, name="stream-ml-names", daemon=True).start()

    def _ask_aside(self) -> None:
        found: dict[str, Sequence[str]] = {}
        try:
            found = self._answers()
        finally:
            with self._lock:
                self._asking = False
                self._take(found)
                self._answered.notify_all()

    def _wait_for_first(self, seconds: float) -> None:
        """Ask, or wait for whoever asks already: nobody could be called before."""
        if not self._names:
            self._take(self._answers())
            return
        self._ask_in_background()
        self._answered.wait_for(lambda: self._peers or not self._asking, max(seconds, 0.0))
        if self._peers:
            return
        names = ", ".join(host for host, _ in self._places)
        if self._asking:
            raise PredictorUnavailable(f"{names}: who has this name was not told within {seconds:.3g} s")
        raise PredictorUnavailable(f"{names}: no such name is known here; is it spelled right?")

    def _answers(self) -> dict[str, Sequence[str]]:
        """Return what each host stands for; those without an answer are not there."""
        found: dict[str, Sequence[str]] = {}
        for host, _ in self._places:
            try:
                found[host] = [host] if _is_literal(host) else self._resolve(host)
            except (OSError, UnicodeError):  # the latter for a name that could be nobody's, as "a..b"
                continue
        return {host: hosts for host, hosts in found.items() if hosts}

    def _take(self, found: dict[str, Sequence[str]]) -> None:
        """Keep those that are still there, with what is known of them; hang up on the others."""
        self._asked_at = self._clock.monotonic()
        self._known |= found
        places = [(at, port) for host, port in self._places for at in self._known.get(host, ())]
        before = {(peer.pool.host, peer.pool.port): peer for peer in self._peers}
        now = {place: before.get(place) or Peer(*place, self._pool_size) for place in places}
        self._peers = list(now.values())
        for place in before.keys() - now:
            before[place].pool.retire()


def addresses_of(name: str) -> Sequence[str]:
    """
    Return the addresses that a host's name stands for; only those of version 6 where there is no other.

    Raises:
        OSError: the name is not known, or nobody could be asked.
    """
    found = socket.getaddrinfo(name, None, type=socket.SOCK_STREAM)
    family = min((each[0] for each in found), key=lambda family: family != socket.AF_INET)
    return list(dict.fromkeys(str(each[4][0]) for each in found if each[0] == family))


def _place(address: str) -> tuple[str, int]:
    host, colon, port = address.rpartition(":")
    if not colon or not port.isdecimal() or not 0 < int(port) <= _LARGEST_PORT:
        raise ConfigError(f"predictor address {address!r}: write host:port, such as 127.0.0.1:7590")
    return host.strip("[]"), int(port)


def _is_literal(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True
