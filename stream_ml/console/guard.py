"""What keeps other pages out: who may post, and what browsers may do with ours."""

from __future__ import annotations

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

# No script, style or address that is not ours; nothing inline, nothing evaluated.
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
HEADERS = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    # Figures are of now, and after an upgrade scripts are others.
    "Cache-Control": "no-cache",
}


class Guard:
    """Refuses what another page has a browser post, and says what browsers may do with each answer."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(HEADERS)
            await send(message)

        refused = _refused(scope["method"], scope["path"], Headers(scope=scope))
        await (self._app if refused is None else refused)(scope, receive, guarded)


def _refused(method: str, path: str, headers: Headers) -> PlainTextResponse | None:
    reads = method in {"GET", "HEAD"}
    # A link may lead to the page; what it asks for costs a look at a topic, and nobody else may ask it.
    ours = headers.get("sec-fetch-site", "same-origin") in {"same-origin", "none"}
    if not ours and (path.startswith("/api/") or not reads):
        return PlainTextResponse("another page may not ask this\n", 403)
    # A form of another page cannot send this type, also in a browser that hides where it comes from.
    if not reads and headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
        return PlainTextResponse("post application/json\n", 415)
    return None


async def body_of(request: Request, most_bytes: int) -> bytes | None:
    """Return the body of *request*; None as soon as it is larger than *most_bytes*."""
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > most_bytes:
            return None
    return bytes(body)
