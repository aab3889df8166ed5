"""A client of the predictors: typed, pooled, thread-safe, and patient with those that are away or busy."""

from __future__ import annotations

import itertools
import random
import time
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Any, Self

import orjson

from stream_ml.runtime.clock import Clock, SystemClock
from stream_ml.serving.connections import Connection, ConnectionLost, Pool
from stream_ml.serving.idl import predictor
from stream_ml.serving.peers import Peer, Peers, Resolve, addresses_of
from stream_ml.serving.results import (
    ModelStatus,
    NoModelYet,
    Overloaded,
    PredictorUnavailable,
    Scores,
    StaleWeights,
    Status,
    models_of,
    scores_of,
    status_of,
)
from stream_ml.serving.tracing import CallSpan, call_span

# That a call has time for where all hang: of many predictors an equal part is too short for an honest answer.
_ATTEMPTS = 3
_FIRST_REST_SECONDS = 0.02
_LONGEST_REST_SECONDS = 0.5
# What an overloaded predictor may ask for; a broken one must not silence a client for ever.
_LONGEST_ASKED_REST_SECONDS = 5.0


class _Call:
    """One call on its way from predictor to predictor."""

    def __init__(self, turn: int, deadline: float) -> None:
        self.turn, self.deadline = turn, deadline
        self.problem: PredictorUnavailable | None = None
        self._refused: dict[str, tuple[int, float]] = {}

    def refused(self, peer: Peer, problem: PredictorUnavailable, not_before: float) -> None:
        """Take notice that *peer* cannot answer this very call yet."""
        self.problem = problem
        self._refused[peer.address] = (self.times(peer) + 1, not_before)

    def times(self, peer: Peer) -> int:
        """Return how often *peer* refused it."""
        return self._refused.get(peer.address, (0, 0.0))[0]

    def not_before(self, peer: Peer) -> float:
        """Return when *peer* may be asked; in the past if now."""
        return max(peer.rests_until, self._refused.get(peer.address, (0, 0.0))[1], 0.0)


class PredictorClient:
    """
    Scores events at any of several predictors; calls may come from any thread.

    Calls go to the predictors in turn. One that cannot be reached or is overloaded is left alone for a while
    (as long as it asks; else twice as long each time, with jitter), and the call goes to the next; so it does
    where there is no model yet, or too old weights; until *timeout_seconds* are over.

        with PredictorClient(["10.0.0.1:7590", "10.0.0.2:7590"]) as client:
            response = client.score([{"household_id": 7, "product_id": 3}], contributions=True)
    """

    def __init__(
        self,
        addresses: Sequence[str],
        *,
        timeout_seconds: float = 1.0,
        attempt_timeout_seconds: float | None = None,
        pool_size: int = 8,
        clock: Clock | None = None,
        resolve: Resolve = addresses_of,
        sleep: Callable[[float], None] = time.sleep,
        randomness: random.Random | None = None,
    ) -> None:
        """
        Connect lazily: nothing is opened before the first call.

        Args:
            addresses: ``host:port`` of each predictor. A name stands for all the addresses it has, now and
                later: what replaces a predictor under its name is found within seconds.
            timeout_seconds: of a whole call, retries and waiting included.
            attempt_timeout_seconds: of one attempt; by default an equal part for each predictor, but no less
                than a third, so that one that hangs leaves time to ask others.
            pool_size: idle connections kept to each predictor.
        """
        self._timeout_seconds, self._attempt_timeout_seconds = timeout_seconds, attempt_timeout_seconds
        self._turn = itertools.count()
        self._clock, self._sleep = clock or SystemClock(), sleep
        self._peers = Peers(addresses, pool_size, self._clock, resolve)
        self._random = randomness or random.Random()

    def score(
        self,
        events: Sequence[bytes | str | dict[str, Any]],
        *,
        model: str | None = None,
        uncertainty: bool = False,
        contributions: bool = False,
        max_weights_age_seconds: float | None = None,
        correlation_id: str | None = None,
    ) -> Scores:
        """
        Return one score an event, in order; a bad event fails alone, in its own ``error``.

        Args:
            events: each one JSON object as a producer would push it, encoded or not.
            model: may be left out where the predictors serve one.
            max_weights_age_seconds: refuse scores from weights learned longer ago than this.
            correlation_id: comes back in the response; the call's trace context where none is given and
                somebody traces (`stream-ml[traces]`).

        Raises:
            PredictorUnavailable: nobody could answer in time (its subclasses say why); safe to retry.
            PredictorError: nobody ever will: an unknown model, a limit, another service.
        """
        with call_span("score", len(events)) as span:
            options = predictor.ScoreOptions(
                model=model,
                uncertainty=uncertainty,
                contributions=contributions,
                max_weights_age_seconds=max_weights_age_seconds,
                correlation_id=correlation_id or span.trace_context,
            )
            encoded = [_encoded(event) for event in events]
            scores = scores_of(self._call("score", (encoded, options), span))
            span.answered(scores)
            return scores

    def status(self) -> Status:
        """Return what one of the predictors is doing; raises as `score` does."""
        with call_span("status") as span:
            return status_of(self._call("status", (), span))

    def models(self) -> tuple[ModelStatus, ...]:
        """Return the models that one of the predictors serves or waits for; raises as `score` does."""
        with call_span("models") as span:
            return models_of(self._call("models", (), span))

    def close(self) -> None:
        """Hang up; idempotent. A later call connects again."""
        self._peers.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _call(self, function: str, arguments: tuple[Any, ...], span: CallSpan) -> Any:
        call = _Call(next(self._turn), self._clock.monotonic() + self._timeout_seconds)
        while True:
            peers = self._peers.current(call.deadline - self._clock.monotonic())
            peer = self._next_peer(peers, call)
            self._wait_for(peer, call)
            left = call.deadline - self._clock.monotonic()
            share = self._attempt_timeout_seconds or self._timeout_seconds / min(len(peers), _ATTEMPTS)
            try:
                answer = self._ask(peer, function, arguments, min(left, share))
            except (NoModelYet, StaleWeights) as error:
                span.failed_once(peer.address, error)
                # Of this call's model and age alone: other calls need not wait for it.
                call.refused(peer, error, self._clock.monotonic() + self._rest_seconds(call.times(peer)))
            except PredictorUnavailable as error:
                span.failed_once(peer.address, error)
                self._let_rest(peer, error)
                call.problem = error
            else:
                peer.losses, peer.problem, peer.rests_until = 0, None, 0.0
                return answer
            call.turn += 1

    def _next_peer(self, peers: list[Peer], call: _Call) -> Peer:
        """Return the predictor whose turn it is, or the next that may be asked, or may be soonest."""
        first, now = call.turn % len(peers), self._clock.monotonic()
        in_order = peers[first:] + peers[:first]
        return min(in_order, key=lambda peer: max(call.not_before(peer), now))

    def _wait_for(self, peer: Peer, call: _Call) -> None:
        """Sleep until *peer* may be asked, or raise why it may not before the call's deadline."""
        now = self._clock.monotonic()
        until = max(call.not_before(peer), now)
        if until >= call.deadline:
            late = PredictorUnavailable(f"no answer within {self._timeout_seconds} s")
            raise call.problem or peer.problem or late
        if until > now:
            self._sleep(until - now)

    def _ask(self, peer: Peer, function: str, arguments: tuple[Any, ...], seconds: float) -> Any:
        """Ask one predictor; where a kept connection has died since, ask on a new one."""
        kept = peer.pool.take()
        began = self._clock.monotonic()
        if kept is not None:
            try:
                return self._on(kept, peer.pool, function, arguments, seconds)
            except ConnectionLost:
                # Those beside it are as old: a predictor that was restarted has closed them all.
                peer.pool.close()
                seconds -= self._clock.monotonic() - began
        try:
            if seconds <= 0:
                raise ConnectionLost("no answer in time")
            fresh = peer.pool.open(seconds)
            return self._on(fresh, peer.pool, function, arguments, seconds)
        except ConnectionLost as error:
            raise PredictorUnavailable(f"predictor {peer.address}: {error}") from error

    def _on(
        self, connection: Connection, pool: Pool, function: str, arguments: tuple[Any, ...], seconds: float
    ) -> Any:
        try:
            answer = connection.call(function, arguments, seconds)
        except PredictorUnavailable:
            pool.give_back(connection)  # a whole answer, if not the one hoped for
            raise
        except BaseException:
            connection.close()
            raise
        pool.give_back(connection)
        return answer

    def _let_rest(self, peer: Peer, error: PredictorUnavailable) -> None:
        seconds = self._rest_seconds(peer.losses)
        if isinstance(error, Overloaded):
            seconds = max(seconds, min(error.retry_after_seconds, _LONGEST_ASKED_REST_SECONDS))
        peer.losses, peer.problem = peer.losses + 1, error
        peer.rests_until = self._clock.monotonic() + seconds
        self._peers.lost()

    def _rest_seconds(self, times: int) -> float:
        """Return how long a predictor is left alone that failed so many times before."""
        seconds = min(_FIRST_REST_SECONDS * 2.0 ** min(times, 10), _LONGEST_REST_SECONDS)
        # Jitter: clients that were turned away together should not come back together.
        return seconds * self._random.uniform(1.0, 1.5)


def _encoded(event: bytes | str | dict[str, Any]) -> bytes:
    if isinstance(event, bytes):
        return event
    return event.encode() if isinstance(event, str) else orjson.dumps(event)
