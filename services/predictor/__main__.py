"""The predictor: answers scores over Thrift from weights that it keeps up to date."""

from __future__ import annotations

import argparse
import logging
import os
import threading
from collections.abc import Sequence
from pathlib import Path

from stream_ml._native import Front
from stream_ml.errors import ConfigError
from stream_ml.runtime import lifecycle, metrics, settings
from stream_ml.runtime.http import OperatorServer
from stream_ml.runtime.lifecycle import Stop
from stream_ml.runtime.logging import configure
from stream_ml.runtime.settings import PredictorSettings
from stream_ml.serving.follower import Follower
from stream_ml.streams.kafka import KafkaLog
from stream_ml.weights.snapshots import SnapshotStore

log = logging.getLogger("predictor")

_NICENESS = 5


def main(arguments: Sequence[str] | None = None) -> int:
    """Run until SIGTERM; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m services.predictor", description=__doc__)
    parser.add_argument("--settings", type=Path, help="TOML file; STREAM_ML_… variables override it")
    options = parser.parse_args(arguments)
    try:
        chosen = settings.load(PredictorSettings, options.settings, os.environ)
    except ConfigError as error:
        parser.exit(lifecycle.CONFIG, f"{error}\n")
    configure("predictor", chosen.log_level, chosen.log_format)
    settings.log_effective(chosen)
    return lifecycle.run(lambda stop: serve(chosen, stop))


def serve(chosen: PredictorSettings, stop: Stop) -> None:
    """Build the parts, follow the models until *stop*, then drain."""
    front = _front(chosen)
    # On a shared core scores come first: the threads started from here on, Kafka's too, give way.
    os.nice(_NICENESS)
    source = KafkaLog(
        {key: str(value) for key, value in chosen.kafka.items()},
        unavailable_after_seconds=chosen.broker_timeout_seconds,
    )
    followers = _followers(chosen, source, front)
    metrics.begin("predictor", chosen.models)
    metrics.PREDICTOR_CONNECTIONS_LIMIT.set(chosen.max_connections)
    metrics.PREDICTOR_FRONT.follow(front.stats)
    threads = [
        threading.Thread(target=follower.run, args=(stop,), name=f"follow-{follower.model}")
        for follower in followers
    ]
    # Before the threads: where it cannot be bound, nothing runs that would keep the process alive.
    operator = OperatorServer(
        chosen.http_host,
        chosen.http_port,
        ready=lambda: _not_ready(followers, stop),
        live=lambda: _dead(threads, stop),
    )
    for thread in threads:
        thread.start()
    log.info("listening", extra={"thrift_port": front.port, "http_port": operator.port})
    try:
        _log_calls(front, chosen.log_calls_per_second)
        while not stop.wait(1.0):
            _log_calls(front, chosen.log_calls_per_second)
            if _dead(threads, stop):
                raise RuntimeError("a follower died; its traceback is above")
    finally:
        stop.request()
        in_time = front.drain(chosen.drain_timeout_seconds)
        _log_calls(front, 0)
        log.info("drained", extra={"in_time": in_time})
        for thread in threads:
            thread.join()
        operator.close()
        source.close()


def _followers(chosen: PredictorSettings, source: KafkaLog, front: Front) -> list[Follower]:
    store = SnapshotStore(chosen.snapshot_store)
    return [
        Follower(model, source, store, front, stale_after_seconds=chosen.stale_after_seconds)
        for model in chosen.models
    ]


def _front(chosen: PredictorSettings) -> Front:
    limits = {
        "connections": chosen.max_connections,
        "frame_bytes": chosen.max_frame_bytes,
        "events": chosen.max_events_per_call,
        "event_bytes": chosen.max_event_bytes,
        "buffered_bytes": chosen.max_buffered_bytes,
        "turn_bytes": chosen.max_turn_bytes,
        "idle_seconds": chosen.idle_timeout_seconds,
        "transfer_seconds": chosen.transfer_timeout_seconds,
        "lag_seconds": chosen.overload_lag_seconds,
    }
    try:
        return Front(chosen.thrift_host, chosen.thrift_port, threads=chosen.server_threads, limits=limits)
    except OSError as error:
        raise ConfigError(f"the Thrift port cannot be bound: {error}") from error


def _log_calls(front: Front, most: int) -> None:
    """Name what was noted in the last second, and let *most* of each kind be noted in the next."""
    for call in front.take_calls(most):
        answered = call["outcome"] == "answered"
        log.log(logging.INFO if answered else logging.WARNING, "call", extra=call)


def _not_ready(followers: Sequence[Follower], stop: Stop) -> str | None:
    """Wait for every model that is on its way; one that is not must not keep the others from being asked."""
    if stop.requested():
        return "stopping"
    waiting = [follower for follower in followers if not follower.ready]
    if len(waiting) == len(followers) or any(not follower.stuck for follower in waiting):
        return f"no model yet: {', '.join(follower.model for follower in waiting)}"
    return None


def _dead(threads: Sequence[threading.Thread], stop: Stop) -> str | None:
    dead = [thread.name for thread in threads if thread.ident and not thread.is_alive()]
    return f"ended: {', '.join(dead)}" if dead and not stop.requested() else None


if __name__ == "__main__":
    raise SystemExit(main())
