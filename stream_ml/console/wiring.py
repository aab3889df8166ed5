"""The console's parts, put together: for `stream-ml console`, and beside what `stream-ml up` runs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from importlib.util import find_spec

from stream_ml.console.watch import Watch, Watched
from stream_ml.errors import ConfigError
from stream_ml.serving.client import PredictorClient
from stream_ml.streams.kafka import KafkaLog

DEFAULT_PORT = 7580
# A person waits for it.
_SCORE_SECONDS = 5.0
# Brokers that are away are told of soon, and asked again and again.
_REQUEST_SECONDS, _UNAVAILABLE_SECONDS = 3.0, 5.0
_PACKAGES = ("mpld3", "starlette", "uvicorn")


@dataclass(frozen=True, slots=True)
class Places:
    """
    Where everything is that the console shows.

    Attributes:
        models: their names.
        kafka: settings of a client, by librdkafka's names.
        services: host:port of operator ports; predictors: of Thrift ports.
        events_topic: "" where it is not known: no event is proposed then.
    """

    models: tuple[str, ...]
    kafka: Mapping[str, str]
    services: tuple[str, ...]
    predictors: tuple[str, ...]
    events_topic: str = ""


def missing() -> str | None:
    """Return what has to be installed first; None if nothing."""
    lacking = [name for name in _PACKAGES if find_spec(name) is None]
    return f"{', '.join(lacking)} not installed: pip install 'stream-ml[console]'" if lacking else None


@contextmanager
def served(places: Places, host: str, port: int | None) -> Iterator[str]:
    """
    Serve the page from threads of this process; yield where a browser finds it. *port* as in `ConsoleServer`.

    Raises:
        ConfigError: what it needs is not installed, or the port cannot be bound.
    """
    if (lacking := missing()) is not None:
        raise ConfigError(f"the console needs packages of its own: {lacking}")
    # Only here: who has not installed them has the other commands.
    from stream_ml.console.app import Console
    from stream_ml.console.server import ConsoleServer

    with ExitStack() as resources:
        log = KafkaLog(
            places.kafka, request_seconds=_REQUEST_SECONDS, unavailable_after_seconds=_UNAVAILABLE_SECONDS
        )
        resources.enter_context(closing(log))
        predictors = None
        if places.predictors:
            predictors = PredictorClient(places.predictors, timeout_seconds=_SCORE_SECONDS)
            resources.enter_context(predictors)
        watch = Watch(Watched(places.models, places.services), log)
        server = ConsoleServer(Console(watch, predictors, log, places.events_topic), host, port)
        resources.enter_context(watch)
        resources.enter_context(server)
        yield server.url
