"""The page and what it asks for, as an ASGI application: it reads, and scores; it changes nothing."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import orjson
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.middleware import Middleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import Request
from starlette.responses import FileResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from stream_ml.console.guard import Guard, body_of
from stream_ml.console.newest import newest_event
from stream_ml.console.scoring import scored
from stream_ml.console.watch import Watch
from stream_ml.errors import ConfigError, StreamMlError
from stream_ml.serving.client import PredictorClient
from stream_ml.streams.log import Log

PAGE = Path(__file__).parent / "page"
# As large as an event may be at most, and its quotation.
MOST_BYTES = 3 << 20


def d3() -> Path:
    """
    Return the plotting library's script, as mpld3 has it; that package itself is not imported.

    Raises:
        ConfigError: it is not installed.
    """
    spec = find_spec("mpld3")
    if spec is None or spec.origin is None:
        raise ConfigError("mpld3, which has d3, is not installed\n  hint: pip install 'stream-ml[console]'")
    return Path(spec.origin).parent / "js" / "d3.v5.min.js"


@dataclass(frozen=True)
class Console:
    """
    What the page asks.

    Attributes:
        predictors: who scores; None where nobody was named.
        log, events_topic: where the newest event is; "" where no topic was named.
    """

    watch: Watch
    predictors: PredictorClient | None
    log: Log
    events_topic: str

    def app(self, hosts: list[str]) -> Starlette:
        """Return the application; *hosts* are the names that it may be called by, "*" is any."""
        script = d3()

        async def plotting(_request: Request) -> Response:
            return FileResponse(script, media_type="text/javascript")

        async def page(_request: Request) -> Response:
            return FileResponse(PAGE / "console.html", media_type="text/html")

        return Starlette(
            routes=[
                Route("/", page),
                Route("/api/state", self._state),
                Route("/api/event", self._event),
                Route("/api/score", self._score, methods=["POST"]),
                Route("/static/d3.js", plotting),
                Mount("/static", StaticFiles(directory=PAGE)),
            ],
            middleware=[
                Middleware(Guard),
                # A page of somebody else whose name leads to us (DNS rebinding) is not let in.
                Middleware(TrustedHostMiddleware, allowed_hosts=hosts, www_redirect=False),
                Middleware(GZipMiddleware, minimum_size=10_000, compresslevel=1),
            ],
        )

    def _model(self, asked: str | None) -> str | None:
        models = self.watch.watched.models
        return asked if asked in models else None if asked else models[0]

    async def _state(self, request: Request) -> Response:
        model = self._model(request.query_params.get("model"))
        if model is None:
            return _json({"error": "there is no such model here"}, 404)
        return _json(self.watch.said(model))

    async def _event(self, _request: Request) -> Response:
        if not self.events_topic:
            return _json({"event": None})
        try:
            return _json({"event": await run_in_threadpool(newest_event, self.log, self.events_topic)})
        except StreamMlError as error:
            return _json({"error": str(error)}, 503)

    async def _score(self, request: Request) -> Response:
        if self.predictors is None:
            return _json({"error": "no predictor is named", "hint": "--predictor HOST:PORT"}, 404)
        body = await body_of(request, MOST_BYTES)
        if body is None:
            return _json({"error": f"an event has at most {MOST_BYTES:,} bytes here", "hint": ""}, 413)
        try:
            asked = orjson.loads(body)
            event, model = str(asked["event"]), self._model(asked.get("model"))
        except (orjson.JSONDecodeError, KeyError, TypeError, AttributeError):
            return _json({"error": 'what is asked is {"model": …, "event": "…"}', "hint": ""}, 400)
        if model is None:
            return _json({"error": "there is no such model here", "hint": ""}, 404)
        return _json(await run_in_threadpool(scored, self.predictors, model, event))


def _json(said: Any, status: int = 200) -> Response:
    # NaN, a figure that does not exist, becomes null.
    return Response(orjson.dumps(said), status, media_type="application/json")
